"""`kinema eval`: a model file and labelled videos in, figures out."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .verb import Verb

if TYPE_CHECKING:
    from ..data import Manifest
    from ..engine.evaluate import Evaluation
    from ..models import VideoModel
    from ..types import JSON

SPLITS = ("train", "val", "test")


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file (model.safetensors)")
    parser.add_argument("data", metavar="DATA", help="labelled videos, as for kinema train")
    parser.add_argument(
        "--protocol",
        metavar="VIEWSxCROPS",
        help="views of a video that are scored, such as 1x1, 10x3, 2x3 (the model's own)",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="which videos (test, or val where there is no test; all where DATA has no splits)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="also write scores.parquet and report.html here"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--batch", type=int, default=8, help="clips in one forward pass (8)")
    parser.add_argument(
        "--workers", type=int, default=-1, help="decoding processes (as many as cores)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Scores every video of a split; the first process prints what came out."""
    from .. import checkpoint
    from ..engine.evaluate import REMEMBERED, evaluate, held_out, trained_on
    from ..engine.runtime import open_runtime

    runtime = open_runtime(args.device)
    model = checkpoint.load(args.model, runtime.device)
    split, manifest = held_out(args.data, args.split)
    result = evaluate(
        model,
        manifest,
        protocol=args.protocol,
        batch=args.batch,
        workers=args.workers,
        out=args.out and args.out / "scores.parquet",
    )
    if runtime.first:
        if trained_on(args.model, manifest):
            print(REMEMBERED, file=sys.stderr)
        tell(args, split, manifest, model, result)
    runtime.wait()
    return 0


def tell(
    args: Namespace, split: str, manifest: Manifest, model: VideoModel, result: Evaluation
) -> None:
    """Writes what --out asks for and prints the figures."""
    from ..engine.report import write_report
    from ..plain import to_plain

    if args.out:
        write_card(args, split, manifest, model, result)
        report = write_report(args.out)
    if args.json:
        figures = to_plain(result.metrics)
        print(json.dumps({"split": split, "protocol": result.protocol.name, "metrics": figures}))
        return
    print_table(split, model, result)
    if args.out:
        print(f"\nreport: {report}")


def print_table(split: str, model: VideoModel, result: Evaluation) -> None:
    """Summary figures, then one line per class, weakest first."""
    from ..engine.metrics import per_class

    m, labels = result.metrics, model.spec.labels
    videos = f"all {m.clips} videos" if split == "all" else f"{m.clips} videos of {split}"
    print(f"{model.spec.name} on {videos}, protocol {result.protocol.name}\n")
    print(
        f"  top-1       {m.top1:>7.1%}   95 % interval {m.interval[0]:.1%} to {m.interval[1]:.1%}"
    )
    if len(labels) > 5:
        print(f"  top-5       {m.top5:>7.1%}")
    print(f"  mean class  {m.mean_class:>7.1%}   chance {1 / len(labels):.1%}")
    print(f"  loss        {m.loss:>7.3f}   calibration error {m.ece:.1%}\n")
    width = max(5, *map(len, labels))
    print(f"  {'class':<{width}} {'videos':>7} {'recall':>7} {'precision':>10} {'F1':>7}")
    rows = [row for row in per_class(result.probs, result.targets) if row.support]
    for row in sorted(rows, key=lambda row: row.recall):
        print(
            f"  {labels[row.index]:<{width}} {row.support:>7} {row.recall:>7.1%} "
            f"{_share(row.precision):>10} {_share(row.f1):>7}"
        )


def write_card(
    args: Namespace, split: str, manifest: Manifest, model: VideoModel, result: Evaluation
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
        "decoder": decoder_version(),
        "protocol": result.protocol.name,
        "versions": versions(),
        "machine": machine(),
        "metrics": to_plain(result.metrics),
    }
    with atomic(args.out / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


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
    ),
)
