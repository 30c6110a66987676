"""Whole models, forward and training step, with backbone and neck apart.

python benchmarks/models.py [NAME ...] [--width 16] [--side 112] [--rounds 7] [--out models.json]

Two other forms of the same network stand beside it: kernels stored as torch makes them instead of
channels last, and every convolution in the spelling of 3D projects, `nn.Conv3d`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from timing import interleaved, table, write
from torch import Tensor, nn
from torch.nn import functional as F

from kinema import create_model, list_models
from kinema.layers.layout import FrameConv
from kinema.layers.taps import Taps
from kinema.layers.temporal_pyramid import TemporalPyramid
from kinema.layers.time_conv import TimeConv
from kinema.models import VideoModel
from kinema.types import InputSpec

USUAL = (
    "slowonly_resnet50", "tpn_slowonly_resnet50", "tsn_resnet50", "tpn_tsn_resnet50",
    "tsm_resnet50", "tpn_tsm_resnet50",
)  # fmt: skip


class TimeIn3D(TimeConv):
    """`TimeConv` as 3D projects spell it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, T, H, W) -> (N, O, ceil(T / stride), H, W)."""
        return F.conv3d(x, self.weight, None, self.stride, self.padding, groups=self.groups)


class FrameIn3D(FrameConv):
    """`FrameConv` as 3D projects spell it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, T, H, W) -> (N, O, T, H', W')."""
        kernel, stride = self.weight.unsqueeze(2), (1, *self.stride)
        return F.conv3d(x, kernel, None, stride, (0, *self.padding), groups=self.groups)


def stored_plainly(model: VideoModel) -> VideoModel:
    """The same network with its kernels as torch makes them, undoing `lay_out`."""
    for weight in model.parameters():
        weight.data = weight.data.contiguous()
    return model


def spelled_in_3d(model: VideoModel) -> VideoModel:
    """The same network with every convolution as `nn.Conv3d` computes it."""
    for part in model.modules():
        if type(part) is TimeConv:
            part.__class__ = TimeIn3D
        elif type(part) is FrameConv:
            part.__class__ = FrameIn3D
    return stored_plainly(model)


FORMS: Mapping[str, Callable[[VideoModel], VideoModel]] = {
    "": lambda model: model,
    ", plain kernels": stored_plainly,
    ", nn.Conv3d": spelled_in_3d,
}


def forward(model: Callable[..., object], *inputs: object) -> Callable[[], None]:
    """A pass without gradients."""

    @torch.no_grad()
    def run() -> None:
        model(*inputs)

    return run


def step(
    module: nn.Module, compute: Callable[[], Tensor], inputs: list[Tensor]
) -> Callable[[], None]:
    """A forward and a backward pass; the optimizer's part is the same for all."""

    def run() -> None:
        module.zero_grad()
        for x in inputs:
            x.grad = None
        compute().sum().backward()

    return run


def parts(model: VideoModel, clip: Tensor, *, train: bool) -> dict[str, Callable[[], None]]:
    """The model, its backbone and its neck, as things to time."""
    neck, backbone = model.neck, model.backbone
    assert isinstance(backbone, nn.Module)
    whole = step(model, lambda: model(clip), []) if train else forward(model, clip)
    alone = step(backbone, lambda: backbone(clip), []) if train else forward(backbone, clip)
    found = {"whole": whole, "backbone": alone}
    if not isinstance(neck, TemporalPyramid):
        return found
    with torch.no_grad():
        taps = Taps(neck.taps)
        backbone(clip, taps)
    features = {name: x.detach().requires_grad_(train) for name, x in taps.found().items()}
    found["neck"] = (
        step(neck, lambda: neck(features), list(features.values()))
        if train
        else forward(neck, features)
    )
    return found


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=USUAL, help="models; see kinema models")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/models.json"))
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in list_models()]
    if unknown:
        parser.error(f"no model is named {unknown[0]!r}; see kinema models")
    spec = InputSpec(frames=args.frames, resize=args.side, crop=args.side)
    pixels = torch.randint(0, 256, (args.batch, 3, args.frames, args.side, args.side))
    clip = spec.to_input(pixels.byte())
    rows = []
    for name in args.names:
        for train in (False, True):
            variants = {}
            for form, change in FORMS.items():
                torch.manual_seed(0)
                model = change(create_model(name, width=args.width, input=spec).train(train))
                timed = parts(model, clip, train=train)
                variants |= {part + form: run for part, run in timed.items()}
            size = f"{args.batch}x{args.frames}x{args.side}x{args.side}, width {args.width}"
            title = f"{name} {size}, {'forward and backward' if train else 'forward'}"
            rows += table(title, interleaved(variants, args.rounds))
    write(args.out, rows)


if __name__ == "__main__":
    main()
