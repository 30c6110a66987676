"""Spellings of the temporal shift and of the frame-wise convolution, forward and backward.

python benchmarks/layers.py [--device cpu] [--out layers.json] [--rounds 15]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import interleaved, table, write
from torch import Tensor

from kinema.layers.layout import FrameConv
from kinema.layers.shift import shift, shift_by_pad


def shift_by_slices(x: Tensor, past: int, future: int) -> Tensor:
    """The published spelling: assignments into zeros, differentiated by autograd."""
    y = torch.zeros_like(x)
    y[:, :past, :-1] = x[:, :past, 1:]
    y[:, past : past + future, 1:] = x[:, past : past + future, :-1]
    y[:, past + future :] = x[:, past + future :]
    return y


def both_ways(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """A forward and a backward pass; the producer in front makes the gradient flow on."""
    leaf = x.clone().requires_grad_()
    grad = torch.ones_like(function(leaf.detach()))

    def run() -> None:
        leaf.grad = None
        function(leaf * 1.0).backward(grad)

    return run


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/layers.json"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    rows = []
    formats = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
    spellings = {
        "slices (published)": shift_by_slices,
        "pad and cat (for export)": shift_by_pad,
        "copies (ours)": shift,
    }
    for channels, side in ((256, 56), (1024, 14)):
        for name, memory in formats.items():
            x = torch.randn(1, channels, 8, side, side, device=args.device)
            x = x.contiguous(memory_format=memory)
            share = channels // 8
            variants = {
                key: both_ways(partial(spelling, past=share, future=share), x)
                for key, spelling in spellings.items()
            }
            title = f"shift {channels}x8x{side}x{side} {name}, forward and backward"
            rows += table(title, interleaved(variants, args.rounds))
    for channels, side in ((64, 56), (256, 14)):
        conv = FrameConv(channels, channels, 3, padding=1, bias=False).to(args.device)
        clip = torch.randn(2, channels, 8, side, side, device=args.device)
        last = clip.contiguous(memory_format=torch.channels_last_3d)
        frames = clip.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        variants = {
            "Conv2d on folded frames": both_ways(
                partial(F.conv2d, weight=conv.weight, padding=1), frames
            ),
            "FrameConv, channels_last_3d": both_ways(conv, last),
            "FrameConv, contiguous": both_ways(conv, clip),
            "Conv3d 1x3x3, channels_last_3d": both_ways(
                partial(F.conv3d, weight=conv.weight[:, :, None], padding=(0, 1, 1)), last
            ),
        }
        title = f"3x3 convolution {channels}x8x{side}x{side}, forward and backward"
        rows += table(title, interleaved(variants, args.rounds))
    write(args.out, rows, device=args.device)


if __name__ == "__main__":
    main()
