"""The temporal pyramid: features of several depths, at several speeds, into one map (2004.03548).

Level i reads one tap of the backbone. In the order of the pass: spatial modulation brings all
levels to the size and the channels of the deepest, temporal modulation gives each its own number of
time steps, the flow adds levels to each other, the fusion joins them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layout import FrameConv
from .time_conv import TimeConv

Flow = Literal["isolation", "top_down", "bottom_up", "cascade", "parallel"]
GROUPS = 32


@dataclass(frozen=True)
class Level:
    """What one level of the pyramid reads.

    Attributes:
        tap: of the backbone.
        channels: of that map.
        halvings: how often its sides must be halved to have the size of the deepest level's.
    """

    tap: str
    channels: int
    halvings: int


class FrameUnit(nn.Sequential):
    """Convolution, norm, ReLU on every frame."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        conv = FrameConv(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        )
        norm, relu = nn.BatchNorm3d(out_channels), nn.ReLU(inplace=True)
        super().__init__(OrderedDict(conv=conv, bn=norm, relu=relu))


class LevelFusion(nn.Module):
    """All levels at the deepest one's time steps, side by side, mixed: the end of one flow.

    Args:
        levels: how many.
        channels: of each.
        out_channels: of the result.
        groups: of the convolution that each level has for itself.
    """

    def __init__(self, levels: int, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            FrameUnit(channels, channels, groups=groups) for _ in range(levels)
        )
        self.mix = FrameUnit(levels * channels, out_channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Maps (N, channels, T, H, W) of equal T -> (N, out_channels, T, H, W)."""
        own = [unit(x) for unit, x in zip(self.levels, levels, strict=True)]
        return self.mix(torch.cat(own, dim=1))


class TemporalPyramid(nn.Module):
    """A neck: the taps' maps -> (N, out_channels, T of the deepest level, H, W).

    Convolutions start with Xavier weights (uniform), as the authors'.

    Args:
        levels: from shallow to deep. A tap may stand there several times (single depth, several
            rates).
        flow: how levels are added to each other, with F_i the level and g the change to another
            number of time steps: `isolation` F'_i = F_i; `bottom_up` F'_i = F_i + g(F'_{i-1});
            `top_down` F'_i = F_i + g(F'_{i+1}); `parallel` both from F, joined; `cascade`
            bottom-up from the result of top-down, joined with that result.
        lengths: time steps of each level, whatever T is (arXiv:2004.03548, figure 2: 4, 2, 1).
        rates: instead of `lengths`: frames that become one time step, of each level.
        channels: within levels, behind the temporal modulation.
        fused_channels: of each flow's result.
        out_channels: of the neck's.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        flow: Flow,
        lengths: Sequence[int] = (),
        rates: Sequence[int] = (),
        channels: int,
        fused_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        if flow not in get_args(Flow):
            raise ValueError(f"flow={flow!r} must be one of {', '.join(get_args(Flow))}")
        self.taps = tuple(dict.fromkeys(level.tap for level in levels))
        self.reads = tuple(level.tap for level in levels)
        self.flow, self.lengths, self.rates = flow, tuple(lengths), tuple(rates)
        self.out_channels = out_channels
        deepest = levels[-1].channels
        groups = math.gcd(GROUPS, channels)
        self.spatial = nn.ModuleList(spatial_modulation(level, deepest) for level in levels)
        self.temporal = nn.ModuleList(TimeConv(deepest, channels, groups=groups) for _ in levels)
        both = flow in ("cascade", "parallel")
        self.bottom_up = nn.ModuleList(
            TimeConv(channels, channels) for _ in levels[1:] if both or flow == "bottom_up"
        )
        names = ("top_down", "bottom_up") if both else (flow,)
        self.fusions = nn.ModuleDict(
            {name: LevelFusion(len(levels), channels, fused_channels, groups) for name in names}
        )
        self.fusion = FrameUnit(len(names) * fused_channels, out_channels)
        xavier_convs(self)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Tap -> (N, C, T, H, W), to (N, out_channels, T', H', W').

        Raises:
            ValueError: for a clip with fewer frames than become one time step.
        """
        levels = self.modulated([features[tap] for tap in self.reads])
        fused = [
            self.fusions[name]([self._fit(x, i, -1, flowed[-1]) for i, x in enumerate(flowed)])
            for name, flowed in self.flowed(levels).items()
        ]
        return self.fusion(torch.cat(fused, dim=1) if len(fused) > 1 else fused[0])

    def modulated(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Every level in the same space, at its own time steps: (N, channels, T_i, H, W)."""
        steps = maps[0].shape[2]
        if self.rates and steps < max(self.rates):
            raise ValueError(
                f"a clip of {steps} frames is too short for rates={list(self.rates)}: give "
                f"at least {max(self.rates)} frames or smaller rates; without rates, "
                "lengths are used and any number of frames works"
            )
        levels = []
        for i, x in enumerate(maps):
            x = self.temporal[i](self.spatial[i](x))
            if self.rates:
                levels.append(pool_by(x, self.rates[i]))
            else:
                levels.append(pool_to(x, self.lengths[i]))
        return levels

    def flowed(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        """Name of the flow's part -> its levels."""
        if self.flow == "isolation":
            return {"isolation": list(levels)}
        found = {}
        if self.flow != "bottom_up":
            found["top_down"] = self._top_down(levels)
        if self.flow != "top_down":
            source = found["top_down"] if self.flow == "cascade" else levels
            found["bottom_up"] = self._bottom_up(source)
        return found

    def _top_down(self, levels: Sequence[Tensor]) -> list[Tensor]:
        result = [levels[-1]]
        for i in range(len(levels) - 2, -1, -1):
            result.insert(0, levels[i] + self._fit(result[0], i + 1, i, levels[i]))
        return result

    def _bottom_up(self, levels: Sequence[Tensor]) -> list[Tensor]:
        result = [levels[0]]
        for i, conv in enumerate(self.bottom_up):
            result.append(levels[i + 1] + self._fit(conv(result[i]), i, i + 1, levels[i + 1]))
        return result

    def _fit(self, x: Tensor, level: int, other: int, like: Tensor) -> Tensor:
        """The map of a level at the time steps of another one, of which `like` is a map.

        More steps: the nearest. Fewer: the largest of each window; where one rate is a multiple of
        the other, windows are counted from the first step, and the last may be shorter.
        """
        steps, wanted = x.shape[2], like.shape[2]
        if steps == wanted:
            return x
        if steps < wanted:
            return F.interpolate(x, size=like.shape[2:], mode="nearest")
        if self.rates and self.rates[other] % self.rates[level] == 0:
            return pool_by(x, self.rates[other] // self.rates[level])
        return pool_to(x, wanted)


def spatial_modulation(level: Level, channels: int) -> nn.Module:
    """To the size and the channels of the deepest level: strided 3x3 units.

    Each halves the sides and doubles the channels, the last ends at `channels`.
    """
    if not level.halvings:
        return nn.Identity()
    widths = [level.channels * 2**i for i in range(level.halvings)] + [channels]
    return nn.Sequential(
        *(FrameUnit(a, b, 3, stride=2) for a, b in zip(widths, widths[1:], strict=False))
    )


def pool_by(x: Tensor, rate: int) -> Tensor:
    """The largest of every `rate` frames: (N, C, T, H, W) -> T' = ceil(T / rate)."""
    return F.max_pool3d(x, (rate, 1, 1), ceil_mode=True)


def pool_to(x: Tensor, length: int) -> Tensor:
    """The largest of each of `length` windows, however many frames there are: T' = length.

    Where length divides T, windows lie side by side; elsewhere neighbours share a frame.
    """
    return F.adaptive_max_pool3d(x, (length, x.shape[3], x.shape[4]))


def xavier_convs(module: nn.Module) -> None:
    """Xavier-uniform weights for every convolution inside (gain 1, fans as torch counts them)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(part.weight)
