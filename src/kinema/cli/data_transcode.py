"""`kinema data transcode`: a smaller copy of a folder of videos that is quick to read."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb, print_failed

SIZES = ("bytes_before", "bytes_after")


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("source", metavar="FOLDER", type=Path, help="the videos, at any depth")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument(
        "--short-side", type=int, metavar="PIXELS", help="of the copies; never enlarged (256)"
    )
    parser.add_argument(
        "--keyint", type=int, metavar="FRAMES", help="from one key frame to the next, at most (12)"
    )
    parser.add_argument("--crf", type=int, metavar="N", help="quality, lower is better (20)")
    parser.add_argument("--preset", help="of x264; slower ones make smaller files (fast)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")


def run(args: Namespace) -> int:
    """Copies, and names what could not be copied; that is a report, not an error."""
    from ..data.transcode import Encoding, transcode
    from ..plain import from_plain

    names = ("short_side", "keyint", "crf", "preset")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    done = transcode(args.source, args.out, from_plain(Encoding, given), workers=args.workers)
    good = [one for one in done.written if not one.error]
    before, after = (sum(getattr(one, name) for one in good) for name in SIZES)
    print(
        f"{args.out}: {len(good)} videos written, {done.skipped} were there, {len(done.failed)} "
        f"could not be read; {done.copied} lists copied"
    )
    if good:
        frames = sum(one.frames for one in good)
        print(f"{frames:,} frames, {before / 2**20:.1f} MiB became {after / 2**20:.1f} MiB")
    if done.renamed:
        print(f"{done.renamed} copies end in .mp4 where the original does not")
    print_failed(done.failed)
    return 0


VERB = Verb(
    name="data transcode",
    summary="copy videos to a size and form that is quick to train on",
    arguments=arguments,
    run=run,
    examples=(
        "kinema data transcode videos/ videos256/",
        "kinema data transcode videos/ videos128/ --short-side 128 --keyint 8",
    ),
)
