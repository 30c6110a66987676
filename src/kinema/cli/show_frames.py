"""`kinema show frames`: accuracy against the number of frames, and against their cost."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb, testing_options, testing_settings, whole_numbers


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("models", metavar="MODEL", nargs="+", type=Path, help="model files")
    parser.add_argument("--data", metavar="DATA", required=True, help="labelled videos")
    parser.add_argument(
        "--frames",
        metavar="N,N,...",
        default="4,8,16,32,64",
        help="lengths of a clip (4,8,16,32,64)",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("show/frames"),
        help="where plots, frames.csv and page.html go (show/frames)",
    )  # fmt: skip
    testing_options(parser)


def run(args: Namespace) -> int:
    """Tests every model at every length."""
    from ..tools.show import show_frames
    from ..tools.show.testing import Testing

    rows = show_frames(
        args.models,
        args.data,
        args.out,
        frames=whole_numbers("--frames", args.frames),
        split=args.split,
        testing=Testing(device=args.device, **testing_settings(args)),
    )
    width = max(5, *(len(row.model) for row in rows))
    print(f"{'model':<{width}} {'frames':>7} {'GMACs':>9} {'top-1':>7}   95 % interval")
    for row in rows:
        if row.why:
            print(f"{row.model:<{width}} {row.frames:>7} not tested: {row.why}")
            continue
        print(
            f"{row.model:<{width}} {row.frames:>7} {row.gmacs:>9.3f} {row.top1:>7.1%}   "
            f"{row.low:.1%} to {row.high:.1%}"
        )
    print(f"\npage: {args.out / 'page.html'}")
    return 0


VERB = Verb(
    name="show frames",
    summary="draw accuracy against the number of frames and against their cost",
    arguments=arguments,
    run=run,
    examples=(
        "kinema show frames runs/first/model.safetensors --data clips/",
        "kinema show frames runs/tsn/model.safetensors runs/tam/model.safetensors --data "
        "data/frames --frames 4,8,16,32 --out show/tam",
    ),
)
