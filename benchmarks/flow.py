"""Writes the tables of docs/optical-flow.md: how exact the methods are, and how long they take.

python benchmarks/flow.py [--rounds 7] [--out flow.json]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from timing import wall_and_cpu, write  # noqa: E402

from data.known_motion import MOTIONS, end_point_error, pictures  # noqa: E402  (the tests' own)
from kinema.data.readers import FLOW_METHODS, FlowEstimator, load_opencv  # noqa: E402

PAGE = ROOT / "docs" / "optical-flow.md"
SIZE = 128  # pixels of the pictures with a known motion
SHAPES = ((128, 171), (256, 341))  # height and width of a 4:3 video, for the times
BEGIN, END = "<!-- written by benchmarks/flow.py -->\n", "<!-- end -->"


def main() -> None:
    """Measures, prints, and writes the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    args = parser.parse_args()
    methods = {name: FlowEstimator(name) for name in FLOW_METHODS}
    rows: list[dict[str, object]] = []
    lines = [
        f"| mean end-point error, pixels | {' | '.join(methods)} |",
        "|---|" + "---|" * len(methods),
    ]
    for name, motion in MOTIONS.items():
        first, second = pictures(motion, SIZE)
        errors = {
            method: end_point_error(estimate(first, second), motion)
            for method, estimate in methods.items()
        }
        rows.append({"case": name, **errors})
        lines.append(
            f"| {name} | " + " | ".join(f"{error:.3f}" for error in errors.values()) + " |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"| ms per pair of frames | {' | '.join(methods)} |",
        "|---|" + "---|" * len(methods),
    ]
    for height, width in SHAPES:
        large = pictures(MOTIONS["shift by -2.5, 1.25"], max(height, width))
        first, second = (picture[:height, :width].copy() for picture in large)
        variants = {name: partial(estimate, first, second) for name, estimate in methods.items()}
        wall, cpu = wall_and_cpu(variants, args.rounds)
        medians = {method: statistics.median(times) for method, times in cpu.items()}
        waited = {method: statistics.median(times) for method, times in wall.items()}
        rows.append({"case": f"{width}x{height}", "cpu_ms": medians, "wall_ms": waited})
        lines.append(
            f"| {width}x{height} | " + " | ".join(f"{ms:.1f}" for ms in medians.values()) + " |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        f"OpenCV {load_opencv().__version__}, one thread, median of {args.rounds} rounds.",
    ]
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")
    if args.out:
        write(args.out, rows)


if __name__ == "__main__":
    main()
