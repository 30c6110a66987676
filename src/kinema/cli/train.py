"""`kinema train`: a data set in, a run folder with a tested model out."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .verb import Verb, decoder_option

if TYPE_CHECKING:
    from ..engine.config import Recipe

DEFAULT_RECIPE = "clips"  # for one's own videos


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a folder of <class>/*.mp4 (or train/, val/, test/ of them), a table, list or "
        "manifest (.csv, .jsonl, .txt), an export of Label Studio (.json) or CVAT (.xml), or "
        "NAME:FOLDER for a registered data set",
    )
    parser.add_argument("--model", help="a name from kinema models; replaces the recipe's")
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help=f"a name from kinema recipes, or a YAML file ({DEFAULT_RECIPE})",
    )
    parser.add_argument(
        "--init",
        metavar="scratch|imagenet|FILE",
        help="where the weights start from; FILE is a kinema model, or with --source a published "
        "checkpoint",
    )
    parser.add_argument("--source", help="the repository the file of --init was released with")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder (runs/NAME)")
    parser.add_argument("--name", help="what the run is called (the data's and the model's name)")
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        help="what an unreadable video does: end the run, or be replaced and counted (raise)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    decoder_option(parser, default=None, shown="the recipe's")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Trains and tests; every other setting of the recipe is given as a.b=c."""
    from ..engine.runtime import open_runtime
    from ..engine.train import Stopped, train

    recipe = chosen_recipe(args)
    out = args.out or Path("runs") / recipe.name
    first = open_runtime(args.device).first
    try:
        train(recipe, args.data, out, resume=args.resume, device=args.device)
    except Stopped as stopped:
        if first:
            print(f"kinema: {stopped}", file=sys.stderr)
        return 130
    if first:
        print(f"model:  {out / 'model.safetensors'}")
        if (out / "report.html").exists():
            print(f"report: {out / 'report.html'}")
    return 0


def chosen_recipe(args: Namespace) -> Recipe:
    """The recipe that the options add up to."""
    from dataclasses import replace

    from ..engine import recipes as _  # noqa: F401  registers them
    from ..engine.config import find_recipe, override

    if not args.recipe and not args.model:
        raise ValueError(
            "--model or --recipe is needed; kinema models and kinema recipes list their names"
        )
    recipe = find_recipe(args.recipe or DEFAULT_RECIPE)
    if args.model:
        recipe = replace(recipe, model=args.model)
    if not args.recipe:
        recipe = replace(recipe, name="")
    if args.init:
        recipe = replace(recipe, init=args.init, init_source=args.source or "")
    elif args.source:
        raise ValueError(f"--source {args.source} says what --init FILE is; give --init too")
    if args.on_error:
        recipe = replace(recipe, on_error=args.on_error)
    if args.decoder:
        recipe = replace(recipe, decoder=args.decoder)
    recipe = override(recipe, args.overrides)
    if args.name:
        return replace(recipe, name=args.name)
    return recipe if recipe.name else replace(recipe, name=f"{stem(args.data)}_{recipe.model}")


def stem(data: str) -> str:
    """`ucf101` of `ucf101:/videos/ucf`, `clips` of `my/clips/`, `list` of `list.csv`."""
    from ..data import list_datasets

    name, colon, _ = data.partition(":")
    return name if colon and name in list_datasets() else Path(data).resolve().stem


VERB = Verb(
    name="train",
    summary="train and test a model on labelled videos",
    arguments=arguments,
    run=run,
    overrides=True,
    examples=(
        "kinema train clips/ --model tsm_resnet50 --init imagenet",
        "kinema train clips/ --model tsm_resnet18 phases.0.epochs=40 phases.0.lr=0.02",
        "kinema train list.csv --recipe mine.yaml --out runs/third",
        "kinema train ucf101:/videos/ucf101 --model tsn_resnet50 eval=10x3",
        "kinema train clips/ --model tsm_resnet50 --on-error skip max_skipped=20",
        "kinema train flow/ --model tsm_resnet50 input.modality=flow input.stack=5",
        "kinema train clips/ --model tsm_resnet50 --resume",
        "torchrun --nproc-per-node 4 -m kinema train clips/ --model tsm_resnet50",
    ),
)
