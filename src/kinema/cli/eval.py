"""`kinema eval`: a model file and labelled videos in, figures out."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .verb import Verb, testing_options, testing_settings

if TYPE_CHECKING:
    from ..data import Manifest
    from ..engine.scores import Evaluation
    from ..engine.temporal import Order, TemporalUse
    from ..models import VideoModel
    from ..types import JSON

SHOWN = 5  # unreadable videos that are named; --out has all of them in card.json


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file (model.safetensors)")
    parser.add_argument("data", metavar="DATA", help="labelled videos, as for kinema train")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="length of a clip (the model's own, as trained)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write scores.parquet and report.html here"
    )
    parser.add_argument(
        "--temporal",
        action="store_true",
        help="also on reversed, shuffled and frozen clips: which classes are recognised by motion",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    testing_options(parser)


def run(args: Namespace) -> int:
    """Scores every video of a split; the first process prints what came out."""
    from .. import checkpoint
    from ..engine.evaluate import evaluate
    from ..engine.held_out import REMEMBERED, held_out, trained_on
    from ..engine.runtime import open_runtime
    from ..engine.temporal import temporal_sensitivity

    runtime = open_runtime(args.device)
    model = checkpoint.load(args.model, runtime.device)
    if args.frames is not None:
        model.spec = replace(model.spec, input=replace(model.spec.input, frames=args.frames))
    split, manifest = held_out(args.data, args.split)
    options = testing_settings(args)
    if args.temporal:
        results = temporal_sensitivity(model, manifest, out=args.out, **options)
    else:
        scores = args.out and args.out / "scores.parquet"
        results = {"normal": evaluate(model, manifest, out=scores, **options)}
    if runtime.first:
        if trained_on(args.model, manifest):
            print(REMEMBERED, file=sys.stderr)
        tell(args, split, manifest, model, results)
    runtime.wait()
    return 0


def tell(
    args: Namespace,
    split: str,
    manifest: Manifest,
    model: VideoModel,
    results: Mapping[Order, Evaluation],
) -> None:
    """Writes what --out asks for and prints the figures."""
    from ..engine.announce import unread_text
    from ..engine.report import write_report
    from ..engine.temporal import summarise_orders
    from ..plain import to_plain

    result = results["normal"]
    probs = {order: scored.probs for order, scored in results.items()}
    use = summarise_orders(probs, result.targets, model.spec.labels) if args.temporal else None
    if args.out:
        write_card(args, split, manifest, model, result, use)
        report = write_report(args.out)
    if args.json:
        figures = {"metrics": to_plain(result.metrics)}
        if use:
            figures["temporal"] = to_plain(use)
        print(json.dumps({"split": split, "protocol": result.protocol.name, **figures}))
        return
    count = result.metrics.clips
    videos = f"all {count} videos" if split == "all" else f"{count} videos of {split}"
    frames, unread = model.spec.input.frames, unread_text(result.metrics)
    for one in result.unread[:SHOWN]:
        print(f"unreadable: {one.cause}")
    print(
        f"{model.spec.name} on {videos}, protocol {result.protocol.name}, {frames} frames{unread}\n"
    )
    if use:
        print_orders(use, chance=1 / len(model.spec.labels))
    else:
        print_table(model, result)
    if args.out:
        print(f"\nreport: {report}")


def print_table(model: VideoModel, result: Evaluation) -> None:
    """Summary figures, then one line per class, weakest first."""
    from ..engine.metrics import per_class

    m, labels, several = result.metrics, model.spec.labels, result.several
    best, five = ("hit@1", "hit@5") if several else ("top-1", "top-5")
    print(
        f"  {best}       {m.top1:>7.1%}   95 % interval {m.interval[0]:.1%} to {m.interval[1]:.1%}"
    )
    if len(labels) > 5:
        print(f"  {five}       {m.top5:>7.1%}")
    if several:
        print(f"  mean AP     {m.mean_ap:>7.1%}   average precision over the classes")
    else:
        print(f"  mean class  {m.mean_class:>7.1%}   chance {1 / len(labels):.1%}")
    print(f"  loss        {m.loss:>7.3f}   calibration error {m.ece:.1%}\n")
    width = max(5, *map(len, labels))
    ap = f" {'AP':>7}" if several else ""
    print(f"  {'class':<{width}} {'videos':>7} {'recall':>7} {'precision':>10} {'F1':>7}{ap}")
    rows = per_class(
        result.probs,
        result.targets,
        unread=result.unread_targets,
        activation=model.spec.activation,
    )
    for row in sorted((row for row in rows if row.support), key=lambda row: row.recall):
        ap = f" {row.ap:>7.1%}" if several else ""
        print(
            f"  {labels[row.index]:<{width}} {row.support:>7} {row.recall:>7.1%} "
            f"{_share(row.precision):>10} {_share(row.f1):>7}{ap}"
        )


def print_orders(use: TemporalUse, chance: float) -> None:
    """Accuracy in every order of the frames, then one line per class, the largest loss first."""
    print(
        f"  {'order':<10} {'top-1':>7}   {'95 % interval':<18} {'loss':>7}   95 % interval (pairs)"
    )
    for score in use.orders:
        line = f"  {score.order:<10} {score.top1:>7.1%}   {_range(score.interval):<18}"
        if score.order != "normal":
            line += f" {score.drop:>7.1%}   {_range(score.drop_interval)}"
        print(line.rstrip())
    print(f"  {'chance':<10} {chance:>7.1%}\n")
    width = max(5, *(len(row.label) for row in use.classes))
    orders = [score.order for score in use.orders]
    names = "".join(f"{order:>10}" for order in orders)
    print(f"  {'class':<{width}} {'videos':>7}{names}{'loss':>8}   recognised by")
    for row in use.classes:
        shares = "".join(f"{row.recall[order]:>10.1%}" for order in orders)
        print(f"  {row.label:<{width}} {row.support:>7}{shares}{row.drop:>8.1%}   {row.verdict}")
    if use.taken is None:
        return
    print(
        f"\n  {use.partnered} videos are of classes whose reversal is a class too: reversed, "
        f"{use.taken:.1%} are taken for it (in the normal order {use.taken_normal:.1%})\n"
        f"  {'class':<{width}} {'reversed it is':<{width}} {'taken for it':>13}"
    )
    for row in use.classes:
        if row.partner is not None:
            print(f"  {row.label:<{width}} {row.partner:<{width}} {row.taken:>13.1%}")


def write_card(
    args: Namespace,
    split: str,
    manifest: Manifest,
    model: VideoModel,
    result: Evaluation,
    use: TemporalUse | None,
) -> None:
    """What was tested, on what and with what, beside the scores."""
    from ..data import decoder_version
    from ..engine.runtime import machine, versions
    from ..files import atomic
    from ..plain import to_plain

    card: dict[str, JSON] = {
        "format": 1,
        "model": model.spec.name,
        "weights": str(args.model),
        "data": {"name": manifest.name, "split": split, "fingerprint": manifest.fingerprint()},
        "decoder": decoder_version(args.decoder),
        "protocol": result.protocol.name,
        "frames": model.spec.input.frames,
        "versions": versions(),
        "machine": machine(),
        "unread": {one.id: one.cause for one in result.unread},
        "metrics": to_plain(result.metrics),
    }
    if use:
        card["temporal"] = to_plain(use.orders)
    with atomic(args.out / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _share(value: float) -> str:
    return "-" if value != value else f"{value:.1%}"


VERB = Verb(
    name="eval",
    summary="test a model file on labelled videos",
    arguments=arguments,
    run=run,
    examples=(
        "kinema eval runs/first/model.safetensors clips/",
        "kinema eval model.safetensors list.csv --protocol 10x3 --out runs/first/10x3",
        "kinema eval model.safetensors ucf101:/videos/ucf101 --split val --json",
        "kinema eval runs/first/model.safetensors clips/ --temporal --out runs/first/temporal",
        "kinema eval model.safetensors data/tempo --split faster",
        "kinema eval model.safetensors clips/ --on-error skip --max-skipped 20",
    ),
)
