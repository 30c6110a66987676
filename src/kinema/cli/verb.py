"""What one command of `kinema` consists of; every sibling file has one, as `VERB`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..data.copies import Written

SHOWN = 5  # failures that are printed


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A command: its words, its arguments and what it does.

    Attributes:
        name: one or two words, such as `train` or `data make`.
        summary: one line for the list of commands.
        arguments: adds options to the command's parser.
        run: does the work and returns the exit status. Heavy imports belong inside, so that `kinema
            --help` is quick.
        examples: command lines that end the help text.
        overrides: whether `a.b=c` may stand behind the first argument, anywhere; they arrive as
            `args.overrides`.
    """

    name: str
    summary: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]
    examples: tuple[str, ...]
    overrides: bool = False


def decoder_option(parser: ArgumentParser, *, default: str | None, shown: str) -> None:
    """Adds `--decoder`, which means the same wherever videos are read."""
    parser.add_argument(
        "--decoder",
        metavar="pyav|torchcodec",
        default=default,
        help=f"what reads video files; torchcodec is an extra, kinema[fast] ({shown})",
    )


def testing_options(parser: ArgumentParser) -> None:
    """Adds the options of a test: which videos, which views, how they are read, where it runs."""
    parser.add_argument(
        "--protocol",
        metavar="VIEWSxCROPS",
        help="views of a video that are scored, such as 1x1, 10x3, 2x3 (the model's own)",
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="which videos: train, val, test or another split of DATA (test, or val where there is "
        "no test; all where DATA has no splits)",
    )
    parser.add_argument("--batch", type=int, default=8, help="clips in one forward pass (8)")
    parser.add_argument(
        "--workers", type=int, default=-1, help="decoding processes (as many as cores)"
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="what an unreadable video does: end the test, or count as not recognised (raise)",
    )
    parser.add_argument(
        "--max-skipped",
        type=float,
        metavar="SHARE|NUMBER",
        help="unreadable videos that --on-error skip bears (0.01, and three at any rate)",
    )
    decoder_option(parser, default="pyav", shown="pyav")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def testing_settings(args: Namespace) -> dict[str, Any]:  # argparse gives no types
    """What `evaluate` takes of the values of `testing_options`: all but the device."""
    names = ("protocol", "batch", "workers", "on_error", "decoder")
    settings = {name: getattr(args, name) for name in names}
    return settings if args.max_skipped is None else {**settings, "max_skipped": args.max_skipped}


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """The numbers of an option such as `4,8,16`, in rising order, each once.

    Raises:
        ValueError: for anything else.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{option} {text} must be whole numbers from 1 on, such as 4,8,16")
    return tuple(sorted({int(part) for part in parts}))


def print_failed(failed: Sequence[Written]) -> None:
    """Names the first videos of which nothing could be made, and says why."""
    for one in failed[:SHOWN]:
        print(f"  {one.error}")
    if len(failed) > SHOWN:
        print(f"  and {len(failed) - SHOWN} more")
