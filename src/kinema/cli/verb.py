"""What one command of `kinema` consists of; every sibling file has one, as `VERB`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


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
