"""`kinema show similarity`: what a temporal module does to the frames of a clip."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..remote import to_path
from .verb import Verb, decoder_option


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", type=Path, help="one or two model files"
    )
    parser.add_argument(
        "video", metavar="VIDEO", type=to_path, help="a video file, folder of frames or URL"
    )
    parser.add_argument(
        "--also", metavar="VIDEO", nargs="+", type=to_path, default=(),
        help="further videos: similarities are means over all, maps are of the first",
    )  # fmt: skip
    parser.add_argument(
        "--blocks", metavar="A,B,...",
        help="residual blocks, such as layer3.1 (the last of each of the last three stages)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("show/similarity"),
        help="where pictures, similarity.csv and page.html go (show/similarity)",
    )  # fmt: skip
    decoder_option(parser, default="pyav", shown="pyav")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Draws maps and matrices, prints the mean similarities."""
    from ..tools.show import show_similarity

    rows = show_similarity(
        args.models,
        args.video,
        args.out,
        also=args.also,
        blocks=tuple(args.blocks.split(",")) if args.blocks else (),
        device=args.device,
        decoder=args.decoder,
    )
    width = max(5, *(len(row.model) for row in rows))
    for row in rows:
        print(f"{row.model:<{width}}  {row.tap:<20} {row.similarity:>7.3f}")
    print(f"\npage: {args.out / 'page.html'}")
    return 0


VERB = Verb(
    name="show similarity",
    summary="draw maps before and behind the temporal module, and how alike frames are",
    arguments=arguments,
    run=run,
    examples=(
        "kinema show similarity runs/tdrl/model.safetensors clip.mp4",
        "kinema show similarity runs/without/model.safetensors runs/with/model.safetensors "
        "clip.mp4 --blocks layer3.1,layer4.1 --out show/loss",
        "kinema show similarity runs/without/model.safetensors runs/with/model.safetensors "
        "test/one.mp4 --also test/*.mp4",
    ),
)
