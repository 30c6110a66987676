"""`kinema show tempo`: accuracy against playback rate, and who gains by it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb, testing_options, testing_settings, whole_numbers


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", type=Path,
        help="one or two model files; with two, the gain of the second is shown by class",
    )  # fmt: skip
    parser.add_argument("--data", metavar="DATA", required=True, help="labelled videos")
    parser.add_argument(
        "--rates",
        metavar="N,N,...",
        default="2,4,6,8,10,12,14,16",
        help="frames of the video from one frame of a clip to the next (2,4,6,8,10,12,14,16)",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("show/tempo"),
        help="where plots, tempo.csv, classes.csv and page.html go (show/tempo)",
    )  # fmt: skip
    testing_options(parser)


def run(args: Namespace) -> int:
    """Tests the models at every rate."""
    from ..tools.show import show_tempo
    from ..tools.show.testing import Testing

    report = show_tempo(
        args.models,
        args.data,
        args.out,
        rates=whole_numbers("--rates", args.rates),
        split=args.split,
        testing=Testing(device=args.device, **testing_settings(args)),
    )
    width = max(5, *(len(row.model) for row in report.rates))
    print(f"{'model':<{width}} {'rate':>5} {'top-1':>7}   {'95 % interval':<18} begin again")
    for row in report.rates:
        interval = f"{row.low:.1%} to {row.high:.1%}"
        print(f"{row.model:<{width}} {row.rate:>5} {row.top1:>7.1%}   {interval:<18} {row.short}")
    if report.classes:
        width = max(5, *(len(row.label) for row in report.classes))
        print(f"\n{'class':<{width}} {'videos':>7} {'variance':>9} {'gain':>8}")
        for gain in report.classes:
            print(
                f"{gain.label:<{width}} {gain.videos:>7} {gain.variance:>9.3f} {gain.gain:>+8.1%}"
            )
    print(f"\npage: {args.out / 'page.html'}")
    return 0


VERB = Verb(
    name="show tempo",
    summary="draw accuracy against playback rate, and gain against variance of tempo",
    arguments=arguments,
    run=run,
    examples=(
        "kinema show tempo runs/slow/model.safetensors --data clips/ --rates 2,4,8,16",
        "kinema show tempo runs/slow/model.safetensors runs/tpn/model.safetensors --data "
        "data/tempo --rates 1,2,3,4 --out show/tpn",
    ),
)
