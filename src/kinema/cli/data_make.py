"""`kinema data make`: videos in which motion alone tells the classes apart."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from .verb import Verb

DEFINITIONS = ("order", "tempo", "background", "frames", "decoupling", "long_range")
DRAWN = ("train", "val", "test", "frames", "fps", "background", "seed")


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    parser.add_argument(
        "--benchmark",
        metavar="NAME",
        help=f"a definition of the motion benchmark: {', '.join(DEFINITIONS)}; it decides "
        "everything but --size",
    )
    parser.add_argument(
        "--classes",
        metavar="A,B,...",
        help="comma-separated names, or 'all' (the eight directions: left, right, up, down, "
        "clockwise, counterclockwise, grow, shrink)",
    )
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", type=int, metavar="N", help=f"{split} clips per class")
    parser.add_argument(
        "--size",
        metavar="PIXELS",
        help="side of the square picture; with --benchmark: tiny, small or full (tiny)",
    )
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
    return _run_motion(args) if args.benchmark is None else _run_benchmark(args)


def _asked(args: Namespace) -> dict[str, object]:
    """What was given about the videos, by the names of `MotionSpec`, but for the size."""
    asked: dict[str, object] = {
        "classes": args.classes,
        "train_speed": args.speeds,
        "val_speed": args.val_speeds,
        "test_speed": args.test_speeds,
    }
    asked |= {name: getattr(args, name) for name in DRAWN}
    return {name: value for name, value in asked.items() if value is not None}


def _run_motion(args: Namespace) -> int:
    from ..data.motion import CLASSES, MotionSpec, chance, make_motion, order_blind_ceiling
    from ..plain import from_plain

    asked = _asked(args)
    if args.classes is not None:
        asked["classes"] = CLASSES if args.classes == "all" else args.classes.split(",")
    if args.size is not None:
        if not args.size.isdecimal():
            raise ValueError(
                f"--size {args.size} must be a number of pixels; names of sizes go with --benchmark"
            )
        asked["size"] = int(args.size)
    spec = from_plain(MotionSpec, asked)
    splits = make_motion(spec, args.out, workers=args.workers)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    clips = {name: len(part.records) for name, part in parts.items() if part}
    _tell(args.out, clips, spec.classes, chance(spec.classes), order_blind_ceiling(spec.classes))
    return 0


def _run_benchmark(args: Namespace) -> int:
    from ..data.motion_benchmark import make_benchmark, read_benchmark

    asked = _asked(args)
    if asked:
        raise ValueError(
            f"--benchmark {args.benchmark} decides {', '.join(asked)}; give only --size with it"
        )
    folder = make_benchmark(args.benchmark, args.size or "tiny", args.out, workers=args.workers)
    info = read_benchmark(folder)
    print(f"{info.name}, version {info.version}, size {info.size}: {info.claim}")
    _tell(args.out, info.clips, info.classes, info.chance, info.ceiling)
    print("conditions:")
    for name, condition in info.conditions.items():
        frames = f", {condition.frames} frames" if condition.frames else ""
        print(f"  {name:<14}{condition.split}{frames}: {condition.note or 'as in training'}")
    return 0


def _tell(
    out: Path, clips: Mapping[str, int], classes: Sequence[str], chance: float, ceiling: float
) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in clips.items())
    print(f"{out}: {counts} clips of {len(classes)} classes")
    print(
        f"chance {chance:.1%}; a method blind to the order of frames can expect {ceiling:.1%} "
        "at most"
    )


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
        "kinema data make data/tempo --benchmark tempo --size tiny",
    ),
)
