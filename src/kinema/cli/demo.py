"""`kinema demo`: what this is about, shown in a few minutes on a laptop."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from .verb import Verb

if TYPE_CHECKING:
    from ..tools.demo import Demo


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        type=Path,
        help="a folder of <class>/*.mp4 (generated motion videos)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the runs go (runs/demo or runs/demo-DATA)"
    )


def run(args: Namespace) -> int:
    """Generates or reads videos, trains and tests two models, classifies one video, reports."""
    from ..engine.train import Stopped
    from ..progress import console
    from ..tools.demo import demo

    name = f"demo-{args.data.resolve().name}" if args.data else "demo"
    out = args.out or Path("runs") / name

    def say(text: str) -> None:
        console.print(text, style="bold", markup=False, highlight=False, soft_wrap=True)

    try:
        found = demo(out, args.data, say=say)
    except Stopped as stopped:
        print(f"kinema: {stopped}", file=sys.stderr)
        return 130
    print_result(found)
    return 0


def print_result(found: Demo) -> None:
    """The prediction, the closing table and what it shows."""
    best = ", ".join(f"{name} {p:.1%}" for name, p in found.prediction.top(3))
    last = found.results[-1]
    print(f"\n{found.video}  {found.prediction.start:.2f} s to {found.prediction.end:.2f} s")
    print(f"  is '{found.label}'; {last.model} says {best}\n")
    count, split = found.tested
    ceiling = "" if found.ceiling is None else f"{'order-blind':>13}"
    print(
        f"{'model':<14}{'top-1':>8}{'95 % interval':>20}{'chance':>9}{ceiling}"
        f"{'parameters':>12}{'seconds':>9}"
    )
    for result in found.results:
        low, high = result.interval
        ceiling = "" if found.ceiling is None else f"{found.ceiling:>13.1%}"
        print(
            f"{result.model:<14}{result.top1:>8.1%}{f'{low:.1%} to {high:.1%}':>20}"
            f"{found.chance:>9.1%}{ceiling}{result.parameters:>12,}{result.seconds:>9.0f}"
        )
    print("\n" + fill(f"On {count} {split} videos: {verdict(found)}", 96) + "\n\nreports:")
    for result in found.results:
        print(f"  {result.folder / 'report.html'}")


def verdict(found: Demo) -> str:
    """One sentence on what the figures show, whichever way they went."""
    first, last = found.results[0], found.results[-1]
    if found.ceiling is None:
        return (
            f"with the same convolutions, {first.model} averages frames and gets {first.top1:.1%}; "
            f"{last.model} also mixes neighbouring frames and gets {last.top1:.1%}."
        )
    return (
        f"here only the order of frames tells classes apart, so {first.model}, which averages "
        f"them, gets {first.top1:.1%} where no such method can expect more than "
        f"{found.ceiling:.0%}; {last.model} has as many parameters, sees the order, and gets "
        f"{last.top1:.1%}."
    )


VERB = Verb(
    name="demo",
    summary="the whole way in minutes: videos, two models, two tests, a report each",
    arguments=arguments,
    run=run,
    examples=(
        "kinema demo                 # generated motion: what seeing the order of frames is worth",
        "kinema demo my/clips        # the same two models on your own <class>/*.mp4",
    ),
)
