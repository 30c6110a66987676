"""`kinema data make`: videos in which motion alone tells the classes apart."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument(
        "--classes",
        metavar="A,B,...",
        help="comma-separated names, or 'all' (the eight directions: left, right, up, down, "
        "clockwise, counterclockwise, grow, shrink)",
    )
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", type=int, metavar="N", help=f"{split} clips per class")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of the square picture")
    parser.add_argument("--frames", type=int, metavar="N", help="frames of a clip")
    parser.add_argument("--fps", type=int, metavar="N", help="frames per second")
    for option, whose in (
        ("--speeds", "in every split"),
        ("--val-speeds", "in val, when it differs"),
        ("--test-speeds", "in test, when it differs"),
    ):
        parser.add_argument(
            option,
            type=float,
            nargs=2,
            metavar=("SLOW", "FAST"),
            help=f"slowest and fastest motion in rounds per clip, {whose}",
        )
    parser.add_argument(
        "--background",
        type=float,
        metavar="SHARE",
        help="share of the training clips whose ground gives the class away; 0 in val and test",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed, the same videos")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")


def run(args: Namespace) -> int:
    """Writes the videos and says how far a method can get that does not see their order."""
    from ..data.motion import CLASSES, MotionSpec, chance, make_motion, order_blind_ceiling
    from ..plain import from_plain

    asked = {
        "classes": CLASSES if args.classes == "all" else args.classes and args.classes.split(","),
        "train_speed": args.speeds,
        "val_speed": args.val_speeds,
        "test_speed": args.test_speeds,
    }
    same = ("train", "val", "test", "size", "frames", "fps", "background", "seed")
    asked |= {name: getattr(args, name) for name in same}
    given = {name: value for name, value in asked.items() if value is not None}
    spec = from_plain(MotionSpec, given)
    splits = make_motion(spec, args.out, workers=args.workers)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    counts = ", ".join(f"{len(part.records)} {name}" for name, part in parts.items() if part)
    print(f"{args.out}: {counts} clips of {len(spec.classes)} classes")
    print(
        f"chance {chance(spec.classes):.1%}; a method blind to the order of frames can expect "
        f"{order_blind_ceiling(spec.classes):.1%} at most"
    )
    return 0


VERB = Verb(
    name="data make",
    summary="generate videos in which motion alone tells the classes apart",
    arguments=arguments,
    run=run,
    examples=(
        "kinema data make data/motion",
        "kinema data make data/small --classes left,right --train 20 --val 5 --test 5",
        "kinema data make data/fast --speeds 0.5 1.0 --test-speeds 1.2 1.6",
        "kinema data make data/biased --background 0.9 --seed 7",
    ),
)
