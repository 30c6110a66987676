"""How often the intervals of a study hold the truth, and tell equal models apart, by simulation.

python benchmarks/coverage.py [--trials 2000] [--clips 512] [--accuracy 0.7] [--scatter 0.05]

Two equal models: the accuracies of their seeds are drawn around the same one, and both are tested
on the same clips, some of which are harder than others. Under a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from timing import write

from kinema.tools.study.summary import interval

SEEDS = (1, 2, 3, 5, 10)


def answers(
    rng: np.random.Generator, hardness: NDArray[np.float64], seeds: int, args: argparse.Namespace
) -> NDArray[np.bool_]:
    """(seeds, clips) whether each seed is right: half is the clip's hardness, half chance."""
    accuracies = args.accuracy + args.scatter * rng.standard_normal((seeds, 1))
    effort = (hardness + rng.random((seeds, len(hardness)))) / 2  # a triangle over 0..1
    rank = np.where(effort < 0.5, 2 * effort**2, 1 - 2 * (1 - effort) ** 2)  # uniform over 0..1
    right: NDArray[np.bool_] = rank < accuracies
    return right


def main() -> None:
    """Simulates, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--accuracy", type=float, default=0.7, help="of both models")
    parser.add_argument("--scatter", type=float, default=0.05, help="of seeds, one deviation")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/coverage.json"))
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print("| seeds | intervals that hold the truth | differences that are not there |")
    print("|---|---|---|")
    rows: list[dict[str, object]] = []
    for seeds in SEEDS:
        held = told = 0
        for _ in range(args.trials):
            hardness = rng.random(args.clips)
            ours, theirs = (answers(rng, hardness, seeds, args) for _ in range(2))
            low, high = interval(ours, rounds=1000)
            held += low <= args.accuracy <= high
            low, high = interval(ours, theirs, rounds=1000)
            told += not low <= 0 <= high
        print(f"| {seeds} | {held / args.trials:.0%} | {told / args.trials:.0%} |", flush=True)
        rows.append({"seeds": seeds, "held": held / args.trials, "told": told / args.trials})
    write(args.out, rows, clips=args.clips, accuracy=args.accuracy, scatter=args.scatter)


if __name__ == "__main__":
    main()
