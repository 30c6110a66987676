"""Writes the tables of docs/optical-flow.md: how exact the methods are, and how long they take.

python benchmarks/flow.py [--rounds 7] [--out flow.json] [--data DATA]

DATA are labelled videos (../shared/data/ucf10 as ucf101:FOLDER); a few of them are read with flow
computed in reading and stored.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from timing import wall_and_cpu, write  # noqa: E402

from data.known_motion import MOTIONS, end_point_error, pictures  # noqa: E402  (the tests' own)
from kinema.data import Augment, Manifest, train_dataset  # noqa: E402
from kinema.data.datasets import read_parts  # noqa: E402
from kinema.data.flow import FlowSettings, store_flow  # noqa: E402
from kinema.data.readers import FLOW_METHODS, FlowEstimator, load_opencv  # noqa: E402
from kinema.types import InputSpec  # noqa: E402

PAGE = ROOT / "docs" / "optical-flow.md"
SIZE = 128  # pixels of the pictures with a known motion
SHAPES = ((128, 171), (256, 341))  # height and width of a 4:3 video, for the times
SPEC = InputSpec(modality="flow", stack=5, frames=8, resize=96, crop=80)
CLIPS = 12
BEGIN, END = "<!-- written by benchmarks/flow.py -->\n", "<!-- end -->"


def main() -> None:
    """Measures, prints, and writes the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", help="labelled videos")
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
    if args.data:
        lines += ["", *reading(args.data, args.rounds, rows)]
    lines += [
        "",
        f"OpenCV {load_opencv().__version__}, one thread, median of {args.rounds} rounds.",
    ]
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")
    if args.out:
        write(args.out, rows)


def reading(data: str, rounds: int, rows: list[dict[str, object]]) -> list[str]:
    """A table of what reading a training clip takes, by what the model reads."""
    found = read_parts(data)["train"]
    step = max(1, len(found) // CLIPS)
    manifest = replace(found, records=found.records[::step][:CLIPS])
    with tempfile.TemporaryDirectory() as folder:
        manifest.save(Path(folder, "some.jsonl"))
        settings = FlowSettings(short_side=SPEC.resize)
        store_flow(Path(folder, "some.jsonl"), Path(folder, "flow"), settings, shown=False)
        stored = Manifest.load(Path(folder, "flow", "train.jsonl"))
        cases = {
            "frames (RGB)": (manifest, replace(SPEC, modality="rgb", stack=1, mean=(), std=())),
            "flow, stored": (stored, SPEC),
            "flow, computed in reading": (manifest, SPEC),
        }
        variants = {}
        for name, (videos, spec) in cases.items():
            clips = train_dataset(videos, spec, Augment(), seed=0)
            variants[name] = partial(lambda clips: [clips[i] for i in range(len(clips))], clips)
        _, cpu = wall_and_cpu(variants, rounds)
    lines = ["| ms per training clip | |", "|---|---|"]
    for name, times in cpu.items():
        per_clip = statistics.median(times) / len(manifest)
        rows.append({"case": "ms per clip", "variant": name, "cpu_ms": per_clip})
        lines.append(f"| {name} | {per_clip:.1f} |")
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
