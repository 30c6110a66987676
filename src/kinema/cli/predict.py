"""`kinema predict`: a model file and videos in, labels with probabilities out."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from ..remote import to_path
from .verb import Verb, decoder_option


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", help="a model file (model.safetensors)")
    parser.add_argument(
        "videos",
        metavar="VIDEO",
        nargs="+",
        type=to_path,
        help="video files, folders of frames or URLs",
    )
    parser.add_argument("--top", type=int, default=5, metavar="N", help="labels to show (5)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, all labels")
    parser.add_argument(
        "--protocol",
        metavar="VIEWSxCROPS",
        help="views of the video that are scored, such as 1x1, 10x3 (the model's own)",
    )
    decoder_option(parser, default="pyav", shown="pyav")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")


def run(args: Namespace) -> int:
    """Scores each video and prints its best labels; nothing but the model file is needed."""
    from ..inference.predictor import Predictor

    if args.top < 1:
        raise ValueError(f"--top {args.top} must be at least 1")
    predictor = Predictor(
        args.model, device=args.device, protocol=args.protocol, decoder=args.decoder
    )
    for video in args.videos:
        found = predictor.predict(video)
        if args.json:
            ranked = found.top(len(found.labels))
            print(
                json.dumps(
                    {
                        "video": str(video),
                        "start": round(found.start, 3),
                        "end": round(found.end, 3),
                        "protocol": predictor.protocol.name,
                        "top": [{"label": name, "probability": p} for name, p in ranked],
                    }
                ),
                flush=True,
            )
            continue
        print(
            f"{video}  {found.start:.2f} s to {found.end:.2f} s, protocol {predictor.protocol.name}"
        )
        for name, probability in found.top(args.top):
            print(f"  {probability:>7.2%}  {name}")
    return 0


VERB = Verb(
    name="predict",
    summary="classify videos with a model file",
    arguments=arguments,
    run=run,
    examples=(
        "kinema predict runs/first/model.safetensors clip.mp4",
        "kinema predict model.safetensors *.mp4 --top 1",
        "kinema predict model.safetensors clip.mp4 --protocol 10x3 --json",
    ),
)
