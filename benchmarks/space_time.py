"""Space and time in one convolution or in two: P3D beside the full 3x3x3 network of its skeleton.

python benchmarks/space_time.py [--width 64] [--side 160] [--frames 16] [--batch 1] [--rounds 5]

First blocks, then networks; each as 3D projects spell it (`nn.Conv3d` everywhere) and as we do
(2D convolutions on folded frames, the one over time as a 2D one over (T, H*W)). "Depth-first" runs
the convolution over time on a slab of rows as soon as the one over space has made it, so that the
map between them stays in the cache. About three minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleaved, table, write
from torch import Tensor, nn

from kinema import create_model, profile
from kinema.layers.layout import FrameConv
from kinema.layers.time_conv import TimeConv
from kinema.models import VideoModel
from kinema.types import InputSpec
from models import forward, spelled_in_3d, step

NETWORKS = {
    "full 3x3x3": ("p3d_full_resnet50", {}),
    "P3D, mixed": ("p3d_resnet50", {}),
    "P3D-A, one after the other": ("p3d_a_resnet50", {}),
    "P3D-B, side by side": ("p3d_b_resnet50", {}),
    "2D, same pooling": ("p3d_resnet50", {"kinds": ["2D"]}),
}


class DepthFirst(nn.Module):
    """1x3x3, then 3x1x1, a slab of rows at a time; without gradients only.

    Args:
        space: of the first convolution.
        time: the second one.
        rows: of a slab.
    """

    def __init__(self, space: FrameConv, time: TimeConv, rows: int) -> None:
        super().__init__()
        self.space, self.time, self.rows = space, time, rows

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, T, H, W) -> (N, O, T, H, W)."""
        height, slabs = x.shape[3], []
        for top in range(0, height, self.rows):
            end = min(top + self.rows, height)
            low, high = max(top - 1, 0), min(end + 1, height)
            part = self.space(x[:, :, :, low:high])[:, :, :, top - low : end - low]
            slabs.append(self.time(part))
        return torch.cat(slabs, dim=3)


def blocks(channels: int, clip: Tensor, rows: int) -> dict[str, nn.Module]:
    """3x3x3, and 1x3x3 with 3x1x1 in every spelling, on the same weights."""
    space = FrameConv(channels, channels, 3, padding=1, bias=False)
    time = TimeConv(channels, channels)
    space_3d = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1), bias=False)
    time_3d = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
    with torch.no_grad():
        space_3d.weight.copy_(space.weight[:, :, None])
        time_3d.weight.copy_(time.weight)
    found = {
        "3x3x3": nn.Conv3d(channels, channels, 3, padding=1, bias=False),
        "1x3x3 and 3x1x1, nn.Conv3d": nn.Sequential(space_3d, time_3d),
        "1x3x3 and 3x1x1, 2D (ours)": nn.Sequential(space, time),
        "the same, depth-first": DepthFirst(space, time, rows),
    }
    with torch.no_grad():
        wanted, *others = [module(clip) for name, module in found.items() if name != "3x3x3"]
    for other in others:
        torch.testing.assert_close(other, wanted, rtol=1e-3, atol=1e-3)
    return found


def network(name: str, options: dict[str, list[str]], args: argparse.Namespace) -> VideoModel:
    """A model of the table, with the same seed each time."""
    torch.manual_seed(0)
    spec = InputSpec(frames=args.frames, resize=args.side, crop=args.side)
    return create_model(name, width=args.width, input=spec, num_classes=101, **options)


def training(module: nn.Module, clip: Tensor) -> Callable[[], None]:
    """Forward and backward, the input's gradient as well for a block."""
    return step(module, lambda: module(clip), [clip] if clip.requires_grad else [])


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rows", type=int, default=8, help="of a slab, depth-first (8)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/space_time.json"))
    args = parser.parse_args()
    rows = []
    for stage in range(3):
        channels, side = args.width * 2**stage, args.side // 4 // 2**stage
        frames = max(1, args.frames // 2 // 2**stage)
        clip = torch.randn(args.batch, channels, frames, side, side)
        clip = clip.contiguous(memory_format=torch.channels_last_3d)
        made = blocks(channels, clip, args.rows)
        size = f"{args.batch}x{channels}x{frames}x{side}x{side}"
        ways = {name: forward(module, clip) for name, module in made.items()}
        rows += table(f"convolutions {size}, forward", interleaved(ways, 2 * args.rounds + 1))
        leaf = clip.clone().requires_grad_()
        del made["the same, depth-first"]
        ways = {name: training(module, leaf) for name, module in made.items()}
        rows += table(f"convolutions {size}, training", interleaved(ways, 2 * args.rounds + 1))
    spec = InputSpec(frames=args.frames, resize=args.side, crop=args.side)
    pixels = torch.randint(0, 256, (args.batch, 3, args.frames, args.side, args.side))
    clip = spec.to_input(pixels.byte())
    costs = {}
    for train in (False, True):
        ways = {}
        for title, (name, options) in NETWORKS.items():
            model = network(name, options, args).train(train)
            if not train:
                cost = profile(model, (3, args.frames, args.side, args.side))
                costs[title] = cost.macs / 1e9, cost.params / 1e6
            ways[title] = training(model, clip) if train else forward(model, clip)
            if name == "p3d_resnet50" and not options:
                other = spelled_in_3d(network(name, options, args).train(train))
                ways[f"{title}, nn.Conv3d"] = (
                    training(other, clip) if train else forward(other, clip)
                )
        size = f"{args.batch}x{args.frames}x{args.side}x{args.side}, width {args.width}"
        how = "training" if train else "forward"
        rows += table(f"ResNet-50 {size}, {how}", interleaved(ways, args.rounds))
    print(f"\n{'':<34}{'GMACs':>10}{'params, M':>11}")
    for title, (macs, params) in costs.items():
        print(f"{title:<34}{macs:>10.2f}{params:>11.2f}")
    networks = {title: {"gmacs": m, "params_m": p} for title, (m, p) in costs.items()}
    write(args.out, rows, networks=networks)


if __name__ == "__main__":
    main()
