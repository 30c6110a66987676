"""`kinema data flow`: the optical flow of every video, stored as pictures to train on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb, print_failed


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("data", metavar="DATA", help="labelled videos, as for kinema train")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument(
        "--method",
        help="dis, dis_fast (coarser, several times as fast), farneback, tvl1 (very slow) (dis)",
    )
    parser.add_argument(
        "--short-side",
        type=int,
        metavar="PIXELS",
        help="that flow is computed at; videos are never enlarged (256)",
    )
    parser.add_argument(
        "--bound", type=float, metavar="PIXELS", help="motion that the largest byte is (20)"
    )
    parser.add_argument("--quality", type=int, metavar="N", help="of the JPEG files (95)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")


def run(args: Namespace) -> int:
    """Computes, and names what could not be read; that is a report, not an error."""
    from ..data.flow import DROPPED_FILE, FlowSettings, store_flow
    from ..data.readers import BOUND, METHOD
    from ..plain import from_plain

    names = ("method", "short_side", "bound", "quality")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    settings = from_plain(FlowSettings, given)
    done = store_flow(args.data, args.out, settings, workers=args.workers)
    good = [one for one in done.written if not one.error]
    print(
        f"{args.out}: flow of {len(good)} videos written, {done.skipped} were there, "
        f"{len(done.failed)} could not be read"
    )
    if good:
        pairs, size = sum(one.frames - 1 for one in good), sum(one.bytes_after for one in good)
        print(f"{pairs:,} pairs of pictures, {size / 2**20:.1f} MiB")
    print_failed(done.failed)
    for split, manifest in done.manifests.items():
        records = done.records[split]
        file = args.out / f"{split}.jsonl"
        print(f"{split + ':':<8}{len(manifest)} of {records} clips in {file}")
    if done.failed:
        print(f"dropped: reasons in {args.out / DROPPED_FILE}")
    if (settings.method, settings.bound) != (METHOD, BOUND):
        print(
            f"note: flow computed while reading videos is always {METHOD} with bound {BOUND:g}; "
            "test and use models of this flow on flow that is stored the same way"
        )
    return 0


VERB = Verb(
    name="data flow",
    summary="compute the optical flow of videos and store it for models that read flow",
    arguments=arguments,
    run=run,
    examples=(
        "kinema data flow clips/ flow/",
        "kinema data flow ucf101:/videos/ucf101 flow128/ --short-side 128 --workers 8",
        "kinema data flow clips/ tvl1/ --method tvl1 --quality 98",
    ),
)
