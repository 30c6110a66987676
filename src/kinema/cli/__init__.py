"""The command line: arguments, calls, printing. Each command is one file beside this one."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from ..registry import suggest
from . import (
    convert,
    data_check,
    data_flow,
    data_make,
    data_transcode,
    demo,
    doctor,
    eval,
    fuse,
    models,
    predict,
    recipes,
    show_cam,
    show_channels,
    show_frames,
    show_similarity,
    show_tempo,
    study,
    train,
)
from .verb import Verb

VERBS: tuple[Verb, ...] = (
    demo.VERB,
    data_make.VERB,
    data_check.VERB,
    data_transcode.VERB,
    data_flow.VERB,
    models.VERB,
    recipes.VERB,
    train.VERB,
    eval.VERB,
    fuse.VERB,
    study.VERB,
    show_frames.VERB,
    show_tempo.VERB,
    show_cam.VERB,
    show_similarity.VERB,
    show_channels.VERB,
    predict.VERB,
    convert.VERB,
    doctor.VERB,
)
GROUPS = {
    "data": "make, check and transcode data sets, and compute their optical flow",
    "show": "look at models: what they need, where they look, what they keep",
}


class UsageError(Exception):
    """Arguments that do not fit; the message names them."""


class Parser(argparse.ArgumentParser):
    """Reports in the same one line as every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: words after `kinema`; None: those of this process.

    Returns:
        0: done; 1: done, but for runs that failed; 2: an error, told in one line on standard error;
        130: stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parse(words)
        run: Verb = args.verb
        status = run.run(args)
        sys.stdout.flush()
    except SystemExit as leave:  # --help and --version
        return int(leave.code or 0)
    except KeyboardInterrupt:
        print("kinema: stopped on request", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost edge: whatever went wrong becomes one line
        if "--debug" in words:
            traceback.print_exc()
        print(f"kinema: error: {describe(error)}", file=sys.stderr)
        return 2
    return status


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments as a namespace with `verb`; raises UsageError."""
    parser = build_parser()
    groups = [verb.name.split()[0] for verb in VERBS]
    word = next((w for w in words if not w.startswith("-")), groups[0])
    if word not in groups:
        raise UsageError(f"no command is named {word!r}{suggest(word, groups)}; see kinema --help")
    args, rest = parser.parse_known_args(words)
    if not hasattr(args, "verb"):
        words_of_group = f" {args.group}" if getattr(args, "group", None) else ""
        raise UsageError(f"a command is missing; see kinema{words_of_group} --help")
    verb: Verb = args.verb
    unknown = [w for w in rest if not (verb.overrides and re.match(r"[A-Za-z_][\w.\[\]]*=", w))]
    if unknown:
        hint = "; recipe values are written a.b=c" if verb.overrides else ""
        raise UsageError(f"unknown argument {unknown[0]!r}{hint}; see kinema {verb.name} --help")
    args.overrides = rest
    return args


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common = Parser(add_help=False)
    common.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser = Parser(
        prog="kinema",
        description="Action recognition in video: train, test and use efficient temporal networks.",
        epilog="kinema VERB --help explains a command and ends with examples.",
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=Version, nargs=0, help="show the version of kinema and leave"
    )
    verbs = parser.add_subparsers(title="commands", metavar="VERB", dest="group")
    inner: dict[str, argparse._SubParsersAction[Parser]] = {}
    for verb in VERBS:
        group, _, word = verb.name.rpartition(" ")
        if group and group not in inner:
            owner = verbs.add_parser(group, help=GROUPS[group], description=GROUPS[group])
            inner[group] = owner.add_subparsers(title="commands", metavar="VERB")
        one = (inner[group] if group else verbs).add_parser(
            word,
            help=verb.summary,
            description=verb.summary[0].upper() + verb.summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {line}" for line in verb.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        verb.arguments(one)
        if verb.overrides:
            plain = re.sub(r"\x1b\[[\d;]*m", "", one.format_usage())  # Python 3.14 colours it
            one.usage = plain.removeprefix("usage: ").rstrip() + " [a.b=c ...]"
        one.set_defaults(verb=verb)
    return parser


class Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, *_: object) -> NoReturn:
        from .. import __version__

        print(f"kinema {__version__}")
        sys.exit(0)


def describe(error: Exception) -> str:
    """An exception in one line for people."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror.lower()}"
    told = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = "; ".join(line.strip() for line in told.splitlines() if line.strip())
    expected = (ValueError, OSError, KeyError, TypeError, ImportError, ArithmeticError)
    ours = type(error).__module__.startswith("kinema.")
    if text and (ours or isinstance(error, expected)):
        return text
    return f"unexpected {type(error).__name__}: {text or 'no message'}; --debug shows where"
