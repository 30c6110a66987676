"""The temporal aggregation: one fused sum beside the published sum of r convolutions.

python benchmarks/aggregation.py [--r 1 3 5 7] [--size 256 56] [--frames 8] [--batch 2]

Forward alone, forward with backward, and the memory of it: what is kept between the two, and what
is alive at most, in maps of the input's size. About three minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from memory import MIB, kept_mib, peak_mib
from timing import interleaved, table, write
from torch import Tensor

from kinema.layers.aggregation import TemporalAggregation, _blend_by_pad
from kinema.layers.layout import fold, unfold

MEMORY = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def published(module: TemporalAggregation, x: Tensor) -> Tensor:
    """As its authors write it: r depthwise 1x1 convolutions, each moved in time, then their sum."""
    steps = x.shape[2]
    total = torch.zeros_like(x)
    for offset, weight in zip(module.offsets, module.weights, strict=True):
        y = unfold(F.conv2d(fold(x), weight, groups=len(weight)), x.shape[0])
        if offset > 0:
            y = F.pad(y[:, :, offset:], (0, 0, 0, 0, 0, min(offset, steps)))
        elif offset < 0:
            y = F.pad(y[:, :, :offset], (0, 0, 0, 0, min(-offset, steps), 0))
        total = total + y
    return F.relu(total, inplace=True)


def padded(module: TemporalAggregation, x: Tensor) -> Tensor:
    """One padded copy and r products (what is exported)."""
    return F.relu(_blend_by_pad(x, module.offsets, 0, 1, list(module.weights)), inplace=True)


def fused(module: TemporalAggregation, x: Tensor) -> Tensor:
    """Ours."""
    y: Tensor = module(x)
    return y


SPELLINGS = {
    "sum of r convolutions (published)": published,
    "padded sum (for export)": padded,
    "fused (ours)": fused,
}
Spelling = Callable[[TemporalAggregation, Tensor], Tensor]


def alone(spelling: Spelling, module: TemporalAggregation, x: Tensor) -> Callable[[], None]:
    """A pass without gradients."""

    @torch.no_grad()
    def run() -> None:
        spelling(module, x)

    return run


def both_ways(spelling: Spelling, module: TemporalAggregation, x: Tensor) -> Callable[[], None]:
    """Forward and backward; the product in front makes the gradient flow on."""
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)

    def run() -> None:
        leaf.grad = None
        module.zero_grad()
        spelling(module, leaf * 1.0).backward(grad)

    return run


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--r", type=int, nargs="+", default=[1, 3, 5, 7], help="frames summed")
    parser.add_argument(
        "--size", type=int, nargs=2, action="append", metavar=("CHANNELS", "SIDE"),
        help="of the map; may be given several times (256 56 and 1024 14)",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/aggregation.json"))
    args = parser.parse_args()
    rows = []
    for channels, side in args.size or ((256, 56), (1024, 14)):
        for layout, memory in MEMORY.items():
            x = torch.randn(args.batch, channels, args.frames, side, side)
            x = x.contiguous(memory_format=memory)
            for r in args.r:
                module = TemporalAggregation(channels, r)
                with torch.no_grad():  # the three are one function
                    for other in (published, padded):
                        torch.testing.assert_close(other(module, x), fused(module, x))
                title = f"r={r}, {args.batch}x{channels}x{args.frames}x{side}x{side} {layout}"
                for how, made in ((f"{title}, forward", alone), (f"{title}, training", both_ways)):
                    variants = {name: made(s, module, x) for name, s in SPELLINGS.items()}
                    rows += table(how, interleaved(variants, args.rounds))
                leaf, whole = x.clone().requires_grad_(), x.nbytes / MIB
                print(f"{'memory, maps':<34}{'kept':>10}{'at most':>16}")
                for row, (name, spelling) in zip(rows[-3:], SPELLINGS.items(), strict=True):
                    compute = partial(spelling, module, leaf)
                    row["kept_maps"] = kept_mib(compute, module.parameters()) / whole
                    row["most_maps"] = peak_mib(variants[name]) / whole
                    print(f"{name:<34}{row['kept_maps']:>10.2f}{row['most_maps']:>16.2f}")
    write(args.out, rows)


if __name__ == "__main__":
    main()
