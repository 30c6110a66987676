"""`kinema show cam`: where a model looks in a video."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..remote import to_path
from .verb import Verb, decoder_option


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model file")
    parser.add_argument(
        "video", metavar="VIDEO", type=to_path, help="a video file, folder of frames or URL"
    )
    parser.add_argument(
        "--label", metavar="NAME", help="what to ask about (what the model takes the clip for)"
    )
    parser.add_argument(
        "--tap", metavar="NAME",
        help="the map to look at, such as layer3 for a finer one (the last that has places)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("show/cam"),
        help="where cam.mp4 and cam.png go (show/cam)",
    )  # fmt: skip
    decoder_option(parser, default="pyav", shown="pyav")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")


def run(args: Namespace) -> int:
    """Writes the overlay and says how much each frame of the clip speaks for the label."""
    from ..tools.show import show_cam

    report = show_cam(
        args.model,
        args.video,
        args.out,
        label=args.label,
        tap=args.tap,
        device=args.device,
        decoder=args.decoder,
    )
    print(f"{report.label}: {report.probability:.2%}, tap {report.tap}")
    if not any(report.share):
        print("nothing at this tap speaks for the label")
    for seconds, share in zip(report.seconds, report.share, strict=True):
        print(f"  {seconds:>7.2f} s {share:>7.1%}")
    print(f"film:  {args.out / 'cam.mp4'}\nsheet: {args.out / 'cam.png'}")
    return 0


VERB = Verb(
    name="show cam",
    summary="draw where a model looks in a video: Grad-CAM as a film and a sheet",
    arguments=arguments,
    run=run,
    examples=(
        "kinema show cam runs/first/model.safetensors clip.mp4",
        "kinema show cam model.safetensors clip.mp4 --label diving --tap layer3 --out show/dive",
    ),
)
