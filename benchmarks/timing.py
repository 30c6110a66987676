"""Timing that survives a noisy machine: variants take turns in one process, medians are compared.

The machine's own ceiling (a large matrix product, a large copy) is measured in the same run and
stands beside every table.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Variant = Callable[[], object]


def interleaved(variants: Mapping[str, Variant], rounds: int = 15) -> dict[str, list[float]]:
    """Milliseconds of every variant in every round; each round runs all, in an order of its own."""
    return wall_and_cpu(variants, rounds)[0]


def wall_and_cpu(
    variants: Mapping[str, Variant], rounds: int = 15
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """`interleaved`, and beside it the milliseconds that all threads of the process computed.

    On a busy machine the second is the one to trust.
    """
    for run in variants.values():
        run()
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    names, draw = list(variants), random.Random(0)
    for _ in range(rounds):
        draw.shuffle(names)  # what ran before leaves the caches and the memory in its own state
        for name in names:
            run = variants[name]
            began, computed = time.perf_counter(), time.process_time()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            wall[name].append((time.perf_counter() - began) * 1e3)
            cpu[name].append((time.process_time() - computed) * 1e3)
    return wall, cpu


def product_rate(device: str = "cpu", number_format: torch.dtype = torch.float32) -> float:
    """GFLOP/s of a large matrix product at best right now."""
    side = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(side, side, device=device).to(number_format) for _ in range(2))
    return 2 * side**3 / min(interleaved({"product": lambda: a @ b}, rounds=7)["product"]) / 1e6


def ceiling() -> dict[str, float]:
    """What this machine reaches at best right now: GFLOP/s of a product, GB/s of a copy."""
    x, y = torch.randn(2**25), torch.empty(2**25)
    copy = min(interleaved({"copy": lambda: y.copy_(x)}, rounds=7)["copy"])
    return {
        "matrix product, GFLOP/s": product_rate(),
        "copy, GB/s": 2 * x.nbytes / copy / 1e6,
    }


def table(title: str, times: Mapping[str, list[float]]) -> list[dict[str, object]]:
    """Prints medians and the ratio to the first variant, round by round; returns the rows."""
    first = next(iter(times.values()))
    rows: list[dict[str, object]] = []
    print(f"\n{title}\n{'':<34}{'median ms':>10}{'times as fast':>16}{'(10 % to 90 %)':>18}")
    for name, values in times.items():
        ratios = sorted(a / b for a, b in zip(first, values, strict=True))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        row = {"case": title, "variant": name, "median_ms": statistics.median(values),
               "times_as_fast": statistics.median(ratios), "low": low, "high": high}  # fmt: skip
        rows.append(row)
        print(
            f"{name:<34}{row['median_ms']:>10.2f}{row['times_as_fast']:>16.2f}{low:>10.2f}{high:>8.2f}"
        )
    return rows


def write(out: Path, rows: list[dict[str, object]], **about: object) -> None:
    """The rows with the machine they were measured on, and what else is said of them, as JSON."""
    machine = {
        "date": time.strftime("%Y-%m-%d"),
        "load": [round(load, 1) for load in os.getloadavg()],  # of 1, 5 and 15 minutes
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "ceiling": ceiling(),
    }
    for name, value in machine["ceiling"].items():  # type: ignore[attr-defined]
        print(f"ceiling: {name} {value:.0f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine, **about, "rows": rows}, indent=1) + "\n")
