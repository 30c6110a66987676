"""`kinema show channels`: what PEM and MEM let through."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..remote import to_path
from .verb import Verb, decoder_option


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model file with PEM or MEM")
    parser.add_argument(
        "video", metavar="VIDEO", type=to_path, help="a video file, folder of frames or URL"
    )
    parser.add_argument(
        "--block", metavar="NAME", help="a residual block, such as layer1.1 (the first)"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("show/channels"),
        help="where channels.png, channels.csv and page.html go (show/channels)",
    )  # fmt: skip
    decoder_option(parser, default="pyav", shown="pyav")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Draws the channels and prints those at both ends of every frame."""
    from ..tools.show import show_channels

    found = show_channels(
        args.model,
        args.video,
        args.out,
        block=args.block,
        device=args.device,
        decoder=args.decoder,
    )
    print(f"{found.block}: channels and weights, most enhanced and most suppressed")
    for t, (order, weights) in enumerate(zip(found.order, found.weights, strict=True)):
        ends = [f"{int(c):>5} {float(weights[c]):.3f}" for c in (order[0], order[-1])]
        print(f"  frame {t:>3} {ends[0]} {ends[1]}")
    print(f"page: {args.out / 'page.html'}")
    return 0


VERB = Verb(
    name="show channels",
    summary="draw the channels that PEM or MEM enhances and suppresses most",
    arguments=arguments,
    run=run,
    examples=(
        "kinema show channels runs/tdrl/model.safetensors clip.mp4",
        "kinema show channels model.safetensors clip.mp4 --block layer2.0 --out show/pem",
    ),
)
