"""Training throughput in fp32 and bf16, and its share of what the machine multiplies in either.

python benchmarks/throughput.py [tsm_resnet50] [--frames 8] [--side 224] [--batch 2] [--rounds 7]

A step is what training does with a batch that is there: forward, backward, optimizer. Its work is
counted as three forward passes of `kinema.profile`, two operations for a multiply-add. On a GPU
take `--batch 32`. Decoding is benchmarks/loader.py.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleaved, product_rate, table, write
from torch.nn import functional as F

from kinema import create_model, profile
from kinema.engine.runtime import Precision, Runtime
from kinema.types import InputSpec

FORMATS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def step(args: argparse.Namespace, precision: Precision) -> Callable[[], None]:
    """A training step of a model of its own, in a number format."""
    torch.manual_seed(0)
    spec = InputSpec(frames=args.frames, resize=args.side, crop=args.side)
    model = create_model(args.model, input=spec, num_classes=174).to(args.device).train()
    pixels = torch.randint(0, 256, (args.batch, 3, args.frames, args.side, args.side))
    clips = spec.to_input(pixels.byte(), torch.device(args.device))
    targets = torch.randint(174, (args.batch,), device=args.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    runtime = Runtime(device=torch.device(args.device), precision=precision)
    forward = torch.compile(model) if args.compile else model

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with runtime.autocast():
            loss = F.cross_entropy(forward(clips), targets)
        loss.backward()
        optimizer.step()

    return run


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tsm_resnet50")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="as `compile: true` of a recipe")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/throughput.json"))
    args = parser.parse_args()
    cost = profile(create_model(args.model), (3, args.frames, args.side, args.side))
    work = 2 * 3 * args.batch * cost.macs / 1e9  # GFLOP
    times = interleaved({name: step(args, name) for name in FORMATS}, args.rounds)
    size = f"{args.batch}x{args.frames}x{args.side}x{args.side}"
    rows = table(f"{args.model}, training step of {size}, {args.device}", times)
    print(f"\n{'':<34}{'clips/s':>10}{'GFLOP/s':>10}{'product':>10}{'share':>8}")
    for row, (name, number_format) in zip(rows, FORMATS.items(), strict=True):
        rate = 1e3 / statistics.median(times[name])
        best = product_rate(args.device, number_format)
        row |= {"clips_per_s": args.batch * rate, "gflops": work * rate, "product_gflops": best}
        print(
            f"{name:<34}{row['clips_per_s']:>10.1f}{row['gflops']:>10.0f}{best:>10.0f}"
            f"{row['gflops'] / best:>8.0%}"
        )
    write(args.out, rows, device=args.device)


if __name__ == "__main__":
    main()
