"""A training step of bLVNet-TAM at 2T frames beside ResNets of the same depth at T: memory, time.

python benchmarks/training.py [--depth 50] [--frames 8] [--side 224] [--batch 1] [--rounds 5]

arXiv:1912.00869 says that twice the frames take the same memory or less. Memory is told three
times: what autograd keeps between forward and backward and what is alive at most, both counted, and
how far a step raises the memory of a fresh process, measured. About three minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from memory import MIB, kept_mib, peak_mib
from timing import interleaved, table, write
from torch import Tensor

from kinema import create_model, profile
from kinema.models import VideoModel
from kinema.types import InputSpec


def build(name: str, frames: int, args: argparse.Namespace) -> tuple[VideoModel, Tensor]:
    """A model in training mode, and a batch of clips."""
    torch.manual_seed(0)
    spec = InputSpec(frames=frames, resize=args.side, crop=args.side)
    model = create_model(name, input=spec, num_classes=174, width=args.width, dropout=0.0).train()
    pixels = torch.randint(0, 256, (args.batch, 3, frames, args.side, args.side))
    return model, spec.to_input(pixels.byte())


def step(model: VideoModel, clip: Tensor) -> Callable[[], None]:
    """Forward and backward; the optimizer's part is the same for all."""

    def run() -> None:
        model.zero_grad()
        model(clip).square().mean().backward()

    return run


def measure(name: str, frames: int, args: argparse.Namespace) -> None:
    """In a process of its own: how many MiB a step adds to what was there before it."""
    model, clip = build(name, frames, args)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * os.sysconf("SC_PAGE_SIZE") / MIB
    step(model, clip)()
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's before exec
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MIB
    print(json.dumps({"process_mib": peak - before}))


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=50, choices=(50, 101))
    parser.add_argument("--frames", type=int, default=8, help="T of the ResNets (8)")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/training.json"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # the fresh process
    args = parser.parse_args()
    if args.one:
        measure(args.one[0], int(args.one[1]), args)
        return
    ours = f"blvnet_tam_resnet{args.depth}"
    asked = [
        (f"tam_resnet{args.depth}", args.frames),
        (f"tsn_resnet{args.depth}", args.frames),
        (ours, 2 * args.frames),
        (ours, args.frames),
    ]
    size = f"{args.batch}xTx{args.side}x{args.side}, width {args.width}"
    title = f"training step, {size}"
    variants, about = {}, {}
    for name, frames in asked:
        model, clip = build(name, frames, args)
        title_of = f"{name}, T={frames}"
        variants[title_of] = step(model, clip)
        command = [sys.executable, *sys.argv, "--one", name, str(frames)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cost = profile(model, (3, frames, args.side, args.side))
        about[title_of] = {
            "gmacs": cost.macs / 1e9,
            "params": cost.params,
            "kept_mib": kept_mib(partial(model, clip), model.parameters()),
            "most_mib": peak_mib(variants[title_of]),
            **json.loads(done.stdout),
        }
    rows = table(title, interleaved(variants, args.rounds))
    print(f"\n{'':<34}{'GMACs':>8}{'params, M':>11}{'kept':>8}{'most':>8}{'process':>9}  MiB")
    for row in rows:
        row |= about[str(row["variant"])]
        print(
            f"{row['variant']:<34}{args.batch * row['gmacs']:>8.1f}{row['params'] / 1e6:>11.2f}"
            f"{row['kept_mib']:>8.0f}{row['most_mib']:>8.0f}{row['process_mib']:>9.0f}"
        )
    write(args.out, rows)


if __name__ == "__main__":
    main()
