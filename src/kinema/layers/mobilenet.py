"""MobileNetV2 over clips (arXiv:1801.04381).

Parameters are named as in the TSM authors' copy (features.I.conv.J).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from .layout import FrameConv
from .recompute import recompute
from .streaming import State, step, step_through
from .taps import NO_TAPS, Taps
from .weights import init_convs

# expansion, channels, repeats, stride (table 2 of the paper)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv_norm(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = FrameConv(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm3d(out_channels)]


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; a shortcut where shapes allow.

    Args:
        name: module path of the block, for its tap.
        in_channels: C.
        out_channels: C'.
        stride: of space.
        expand: the inner width is expand * C; 1 leaves the first convolution out.
        temporal: at the start of the branch; None: nothing.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expand: int,
        temporal: nn.Module | None,
    ) -> None:
        super().__init__()
        inner = in_channels * expand
        self.name = name
        self.shortcut = stride == 1 and in_channels == out_channels
        self.temporal = temporal or nn.Identity()
        first = [*_conv_norm(in_channels, inner, 1), nn.ReLU6(inplace=True)] if expand != 1 else []
        self.conv = nn.Sequential(
            *first,
            *_conv_norm(inner, inner, 3, stride=stride, groups=inner),
            nn.ReLU6(inplace=True),
            *_conv_norm(inner, out_channels, 1),
        )

    def forward(self, x: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, C', T, H', W'); taps `<name>.temporal`."""
        y = self.conv(taps(f"{self.name}.temporal", self.temporal(x)))
        return x + y if self.shortcut else y

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (N, C, 1, H, W)."""
        y, state = step(self.temporal, x, state)
        y = self.conv(y)
        return (x + y if self.shortcut else y), state


class MobileNetV2(nn.Module):
    """The network up to its last 1x1 convolution.

    Args:
        in_channels: C of the clip.
        width: 64 is the paper's width multiplier 1.0; channels scale with it, rounded up to
            multiples of 8.
        temporal: makes the temporal module of one block; called for the blocks that have an
            expansion and a shortcut (10 of 17), as the TSM authors place their shift.

    Attributes:
        tap_channels: every tap in the order of the pass -> its channels; the last is the output.
        recompute: keep no activations inside blocks while training, compute them again in the
            backward pass.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        width: int = 64,
        temporal: Callable[[], nn.Module | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.recompute = False
        channels = _scaled(32, width)
        self.features = nn.Sequential(
            nn.Sequential(*_conv_norm(in_channels, channels, 3, stride=2), nn.ReLU6(inplace=True))
        )
        taps = {"features.0": channels}
        for expand, wide, repeats, first_stride in STAGES:
            for index in range(repeats):
                name = f"features.{len(self.features)}"
                stride, out = first_stride if index == 0 else 1, _scaled(wide, width)
                shifted = expand != 1 and stride == 1 and channels == out
                self.features.append(
                    InvertedResidual(
                        name, channels, out, stride=stride, expand=expand,
                        temporal=temporal() if shifted else None,
                    )
                )  # fmt: skip
                taps |= {f"{name}.temporal": channels, name: out}
                channels = out
        self.out_channels = _scaled(1280, width)
        taps[f"features.{len(self.features)}"] = self.out_channels
        self.tap_channels: Mapping[str, int] = taps
        self.features.append(
            nn.Sequential(*_conv_norm(channels, self.out_channels, 1), nn.ReLU6(inplace=True))
        )
        init_convs(self)

    def forward(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, out_channels, T, H/32, W/32)."""
        x = clip
        again = self.recompute and torch.is_grad_enabled()
        for index, block in self.features.named_children():
            if not isinstance(block, InvertedResidual):
                x = block(x)
            else:
                run = partial(recompute, block) if again else block
                x = run(x, taps)
            x = taps(f"features.{index}", x)
        return x

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (N, C, 1, H, W)."""
        return step_through(self.features, x, state)


def _scaled(channels: int, width: int) -> int:
    return math.ceil(channels * width / 64 / 8) * 8
