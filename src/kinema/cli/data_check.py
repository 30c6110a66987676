"""`kinema data check`: every video decoded, and the part of a data set that can be trusted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .train import DEFAULT_RECIPE, stem
from .verb import Verb

if TYPE_CHECKING:
    from ..data.doctor import Checkup
    from ..engine.config import Recipe
    from ..types import InputSpec

SHOWN = 3  # findings of a kind that are printed


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("data", metavar="DATA", help="labelled videos, as for kinema train")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (checks/NAME)")
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help=f"says how clips are cut and what is trained, for short clips and the forecast "
        f"({DEFAULT_RECIPE})",
    )
    parser.add_argument("--model", help="a name from kinema models; replaces the recipe's")
    parser.add_argument("--frames", type=int, metavar="N", help="of a clip; replaces the recipe's")
    parser.add_argument(
        "--stride", type=int, metavar="N", help="take neighbours N frames apart (dense sampling)"
    )
    parser.add_argument(
        "--drop",
        metavar="KIND,...",
        help="what is left out of the cleaned data: unreadable, duplicate, leak, short, twin, or "
        "none (unreadable,duplicate)",
    )
    parser.add_argument(
        "--no-forecast", action="store_true", help="do not measure decoding and training speed"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")
    parser.add_argument("--device", help="that will train: cpu, cuda (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Checks, writes, and closes with a summary; findings are a result, not an error."""
    from ..data.doctor import DROPPED, check_data
    from ..engine.runtime import choose_device
    from ..tools.check import balance, write_check
    from ..tools.forecast import forecast

    recipe = _recipe(args)
    spec = _spec(args, recipe)
    drop = DROPPED if args.drop is None else [k for k in args.drop.split(",") if k != "none"]
    device = choose_device(args.device)
    out = args.out or Path("checks") / stem(args.data)
    checkup = check_data(args.data, out, spec, drop=drop, workers=args.workers)
    train = checkup.clean.get("train")
    outlook = None
    if train and not args.no_forecast:
        outlook = forecast(train, recipe, spec, device)
    page = write_check(checkup, out, args.data, outlook)
    _print_findings(checkup)
    print(f"\n{balance(checkup.clean)}")
    for line in outlook.lines() if outlook else ():
        print(line)
    print()
    for split, manifest in checkup.clean.items():
        print(
            f"{split + ':':<8}{len(manifest)} of {len(checkup.parts[split])} clips in "
            f"{out / f'{split}.jsonl'}, fingerprint {manifest.fingerprint()}"
        )
    print(f"dropped: {len(checkup.dropped)} clips, reasons in {out / 'dropped.csv'}")
    print(f"page:   {page}")
    return 0


def _recipe(args: Namespace) -> Recipe:
    from dataclasses import replace

    from ..engine import recipes as _  # noqa: F401  registers them
    from ..engine.config import find_recipe
    from ..models.base import models

    recipe = find_recipe(args.recipe or DEFAULT_RECIPE)
    if not args.model:
        return recipe
    models[args.model]  # noqa: B018  an unknown name is told before the long pass
    return replace(recipe, model=args.model)


def _spec(args: Namespace, recipe: Recipe) -> InputSpec:
    from dataclasses import replace

    spec = recipe.input_for(recipe.phases[0])
    if args.frames is not None:
        spec = replace(spec, frames=args.frames)
    if args.stride is not None:
        spec = replace(spec, stride=args.stride, sampling="dense")
    return spec


def _print_findings(checkup: Checkup) -> None:
    from ..data.doctor import KINDS, MEANINGS

    readable = sum(not entry.facts.error for entry in checkup.entries)
    print(f"{readable} of {len(checkup.entries)} clips decode to their last frame")
    for kind in KINDS:
        found = checkup.of(kind)
        if not found:
            continue
        word = "dropped" if found[0].dropped else "kept"
        print(f"\n{kind} ({MEANINGS[kind]}): {len(found)}, {word}")
        for finding in found[:SHOWN]:
            where = "" if kind == "unreadable" else f"{finding.entry.record.id}: "
            print(f"  {finding.entry.split}: {where}{finding.reason}")
        if len(found) > SHOWN:
            print(f"  and {len(found) - SHOWN} more")


VERB = Verb(
    name="data check",
    summary="decode every video, find damage, duplicates and leaks, and write a clean manifest",
    arguments=arguments,
    run=run,
    examples=(
        "kinema data check clips/",
        "kinema data check ucf101:/videos/ucf101 --recipe tsm_resnet50_k400 --out checks/ucf101",
        "kinema data check list.csv --frames 64 --stride 2 --drop unreadable,duplicate,short",
    ),
)
