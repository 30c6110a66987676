"""`kinema fuse`: the scores of two streams, or of any models, as one answer."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .verb import Verb

if TYPE_CHECKING:
    from ..engine.metrics import Metrics
    from ..tools.fusion import Fusion


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "files",
        metavar="SCORES",
        nargs="+",
        type=Path,
        help="scores.parquet of each model on the same videos, or the folder that holds it",
    )
    parser.add_argument(
        "--weights",
        metavar="W,W,...",
        help="one number per file, of which the proportions count (equal ones)",
    )
    parser.add_argument(
        "--average",
        choices=("prob", "logit"),
        default="prob",
        help="what is averaged: probabilities, or logits in front of the softmax (prob)",
    )
    parser.add_argument(
        "--search",
        metavar="SCORES",
        nargs="+",
        type=Path,
        help="instead of --weights: scores of the same models, in the same order, on other videos "
        "such as a validation split; the weights that are best there are taken",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=20,
        help="--search tries shares that are multiples of 1/STEPS (20)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="also write scores.parquet, card.json and report.html of the fusion here",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: Namespace) -> int:
    """Fuses, tests, prints."""
    from ..plain import to_plain
    from ..tools.fusion import fuse

    fusion = fuse(
        args.files,
        weights=None if args.weights is None else numbers(args.weights),
        average=args.average,
        search=args.search,
        steps=args.steps,
        out=args.out,
    )
    if args.json:
        told = {name: to_plain(getattr(fusion, name)) for name in ("average", "streams", "metrics")}
        print(json.dumps({**told, "searched": fusion.searched, "tried": len(fusion.search)}))
        return 0
    print_table(fusion)
    if args.out:
        print(f"\nreport: {args.out / 'report.html'}")
    return 0


def numbers(text: str) -> tuple[float, ...]:
    """The weights of `1,1.5`.

    Raises:
        ValueError: for anything else than numbers.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--weights {text} must be numbers, such as 1,1.5") from None


def print_table(fusion: Fusion) -> None:
    """The streams alone, then all together."""
    what = {"prob": "probabilities", "logit": "logits"}[fusion.average]
    how = ""
    if fusion.search:
        how = (
            f"; weights are the best of {len(fusion.search):,} on {fusion.searched:,} other videos"
        )
    print(f"{len(fusion.streams)} streams on {fusion.metrics.clips} videos, {what} averaged{how}\n")
    width = max(6, *(len(stream.name) for stream in fusion.streams))
    best = "hit@1" if fusion.targets.ndim == 2 else "top-1"
    print(
        f"  {'stream':<{width}} {'weight':>7} {'views':>6} {best:>7}   {'95 % interval':<18} "
        f"{'loss':>7}   fusion gains, 95 % interval (pairs)"
    )
    for stream in fusion.streams:
        low, high = (100 * end for end in stream.gain_interval)
        print(
            f"  {stream.name:<{width}} {stream.weight:>7.3f} {stream.protocol:>6} "
            f"{figures(stream.metrics)}   {100 * stream.gain:+.1f} ({low:+.1f} to {high:+.1f})"
        )
    print(f"  {'fusion':<{width}} {'':>7} {'':>6} {figures(fusion.metrics)}")


def figures(metrics: Metrics) -> str:
    """Accuracy, its interval and the loss, as the table has them."""
    low, high = metrics.interval
    ends = f"{low:.1%} to {high:.1%}"
    return f"{metrics.top1:>7.1%}   {ends:<18} {metrics.loss:>7.3f}"


VERB = Verb(
    name="fuse",
    summary="average the scores of two streams, or of any models, and test the result",
    arguments=arguments,
    run=run,
    examples=(
        "kinema fuse runs/rgb/scores.parquet runs/flow/scores.parquet",
        "kinema fuse runs/rgb runs/flow --weights 1,1.5 --average logit",
        "kinema fuse runs/rgb runs/flow --search runs/rgb/val runs/flow/val --out runs/two-stream",
    ),
)
