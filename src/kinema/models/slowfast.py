"""SlowFast: few frames in a wide network, all frames in a thin one (arXiv:1812.03982).

Facts from facebookresearch/SlowFast and table 1 of the paper. A clip has all the frames, those of
the fast path: "4x16" are 32 frames with `alpha=8` and `fusion_kernel=5`, "8x8" 32 frames with
`alpha=4` and `fusion_kernel=7`, neighbours two source frames apart in both.

Of T frames the slow path sees n = ceil(T / alpha), which is how many steps the lateral convolutions
leave of T, so every length works, one frame included. Deviation: the authors' code takes
floor(T / alpha), and runs only where alpha divides T; there the two are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..layers.heads import ClipHead
from ..layers.layout import FramePool
from ..layers.resnet import RESNETS, ResNet
from ..layers.slow_resnet import SlowBottleneck, slow_block, start_as_identity
from ..layers.taps import NO_TAPS, Taps
from ..layers.time_conv import TimeConv
from ..layers.weights import init_convs
from .base import VideoModel, register_model

SlowFrames = Literal["spread", "every"]
THINNER = 8  # the paper's 1 / beta
FUSION_RATIO = 2  # a lateral connection has twice the channels of the fast path


class Lateral(nn.Module):
    """From the fast path to the slow one: a convolution over time that keeps every alpha-th step.

    Args:
        channels: of the fast path; the output has twice as many.
        alpha: stride.
        kernel: odd.
        norm: whether a batch norm and a ReLU follow.
    """

    def __init__(self, channels: int, alpha: int, kernel: int, norm: bool) -> None:
        super().__init__()
        out = FUSION_RATIO * channels
        self.conv = TimeConv(channels, out, kernel, stride=alpha)
        self.bn = nn.BatchNorm3d(out) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if norm else nn.Identity()

    def forward(self, fast: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, 2 C, ceil(T / alpha), H, W)."""
        x: Tensor = self.relu(self.bn(self.conv(fast)))
        return x


class Join(nn.Module):
    """Both paths as one map whose mean over time is the mean of each.

    The slow path keeps its steps; each has the mean over time of the fast path beside it.
    """

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """(N, C, n, H, W) and (N, D, T, H, W) -> (N, C + D, n, H, W)."""
        mean = fast.mean(2, keepdim=True).expand(-1, -1, slow.shape[2], -1, -1)
        return beside(slow, mean)


def beside(slow: Tensor, other: Tensor) -> Tensor:
    """Channels of both, in channels_last_3d memory also where a map has a single step."""
    return torch.cat([slow, other], 1).contiguous(memory_format=torch.channels_last_3d)


class SlowFastResNet(nn.Module):
    """Two ResNets side by side, joined in front of every stage and at the end.

    Args:
        depth: of both, 50 or 101.
        in_channels: C of the clip.
        width: channels of the slow path's stem; the fast path has an eighth, but two at least.
        alpha: how many frames of the clip there are for each of the slow path.
        fusion_kernel: frames a lateral convolution sees.
        lateral_norm: see `Lateral`.
        slow_frames: see `slow_index`.
        zero_init: see `slow_resnet`.

    Attributes:
        tap_channels: see `Backbone`; names begin with the path, such as "slow.layer3".
        recompute: see `Backbone`.
    """

    def __init__(
        self,
        depth: int,
        *,
        in_channels: int,
        width: int,
        alpha: int,
        fusion_kernel: int,
        lateral_norm: bool,
        slow_frames: SlowFrames,
        zero_init: bool,
    ) -> None:
        super().__init__()
        thin = max(2, width // THINNER)  # torch cannot tell the layout of maps of one channel
        inputs = {1: thin} | {stage: 4 * thin * 2 ** (stage - 2) for stage in (2, 3, 4)}
        self.alpha, self.slow_frames = alpha, slow_frames
        self.slow = ResNet(
            RESNETS[depth].depths,
            block=slow_block(depth),
            in_channels=in_channels,
            width=width,
            joined={stage: FUSION_RATIO * channels for stage, channels in inputs.items()},
        )
        self.fast = ResNet(
            RESNETS[depth].depths,
            block=SlowBottleneck,
            width=thin,
            stem=fast_stem(in_channels, thin),
        )
        self.lateral = nn.ModuleDict(
            {
                f"layer{stage}": Lateral(channels, alpha, fusion_kernel, lateral_norm)
                for stage, channels in inputs.items()
            }
        )
        init_convs(self.lateral)
        self.join = Join()
        self.out_channels = self.slow.out_channels + self.fast.out_channels
        self.stem_names = tuple(
            f"{path}.{name}"
            for path, network in (("slow", self.slow), ("fast", self.fast))
            for name in network.stem_names
        )
        self.tap_channels: Mapping[str, int] = {
            f"{path}.{tap}": channels
            for path, network in (("slow", self.slow), ("fast", self.fast))
            for tap, channels in network.tap_channels.items()
        } | {"join": self.out_channels}
        if zero_init:
            start_as_identity(self)

    @property
    def paths(self) -> tuple[ResNet, ResNet]:
        """The networks that see the clip."""
        return self.slow, self.fast

    @property
    def recompute(self) -> bool:
        """See `Backbone`."""
        return self.slow.recompute

    @recompute.setter
    def recompute(self, on: bool) -> None:
        self.slow.recompute = self.fast.recompute = on

    def forward(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, out_channels, ceil(T / alpha), H/32, W/32)."""
        at_slow, at_fast = taps.under("slow."), taps.under("fast.")
        index = slow_index(clip.shape[2], self.alpha, self.slow_frames, clip.device)
        chosen = clip.index_select(2, index).contiguous(memory_format=torch.channels_last_3d)
        slow = self.slow.run_stem(chosen, at_slow)
        fast = self.fast.run_stem(clip, at_fast)
        for stage in self.slow.stage_names:
            slow = beside(slow, self.lateral[stage](fast))
            slow = self.slow.run_stage(stage, slow, at_slow)
            fast = self.fast.run_stage(stage, fast, at_fast)
        return taps("join", self.join(slow, fast))


def fast_stem(in_channels: int, width: int) -> nn.Sequential:
    """5x7x7 with stride 2 in space, norm, 3x3 max pooling with stride 2."""
    conv = nn.Conv3d(in_channels, width, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
    stem = nn.Sequential()
    stem.add_module("conv1", conv)
    stem.add_module("bn1", nn.BatchNorm3d(width))
    stem.add_module("relu", nn.ReLU(inplace=True))
    stem.add_module("maxpool", FramePool(3, stride=2, padding=1))
    return stem


def slow_index(
    frames: int, alpha: int, rule: SlowFrames, device: torch.device | None = None
) -> Tensor:
    """Which frames the slow path sees.

    Args:
        frames: T.
        alpha: see `SlowFastResNet`.
        rule: `spread`: from the first to the last frame, as the authors' code (a linspace whose
            fractions are cut off; here in whole numbers, the same on every machine); `every`: each
            alpha-th from the first on, as mmaction2.
        device: of the result.

    Returns:
        (ceil(T / alpha),) int64.
    """
    count = (frames - 1) // alpha + 1
    steps = torch.arange(count, device=device)
    if rule == "every":
        return steps * alpha
    return steps * (frames - 1) // torch.sym_max(count - 1, 1)


def slowfast_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    alpha: int = 8,
    fusion_kernel: int = 5,
    slow_frames: SlowFrames = "spread",
    lateral_norm: bool = True,
    zero_init: bool = True,
) -> VideoModel:
    """The paper's network; the defaults are "4x16", `alpha=4 fusion_kernel=7` is "8x8".

    The last two options are for weights of mmaction2, whose network differs from the authors' in
    both: it takes `every` alpha-th frame and has no norm behind lateral convolutions. Converting
    sets them.

    Args:
        depth: of both paths, 50 or 101.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled clip.
        width: channels of the slow path's stem, a multiple of 8; 64 is the paper's.
        alpha: frames of the clip for each frame of the slow path.
        fusion_kernel: frames a lateral convolution sees, odd.
        slow_frames: which frames the slow path sees, see `slow_index`.
        lateral_norm: whether a batch norm and a ReLU follow lateral convolutions.
        zero_init: see `slow_resnet`.
    """
    if width < THINNER or width % THINNER:
        raise ValueError(f"width={width} must be a multiple of {THINNER}: the fast path has 1/8")
    if alpha < 1:
        raise ValueError(f"alpha={alpha} must be at least 1; the paper has 8 and 4")
    if slow_frames not in get_args(SlowFrames):
        raise ValueError(
            f"slow_frames={slow_frames!r} must be one of {', '.join(get_args(SlowFrames))}"
        )
    backbone = SlowFastResNet(
        depth,
        in_channels=in_channels,
        width=width,
        alpha=alpha,
        fusion_kernel=fusion_kernel,
        lateral_norm=lateral_norm,
        slow_frames=slow_frames,
        zero_init=zero_init,
    )
    return VideoModel(backbone, ClipHead(backbone.out_channels, num_classes, dropout))


for _depth in (50, 101):
    register_model(f"slowfast_resnet{_depth}")(partial(slowfast_resnet, _depth))
