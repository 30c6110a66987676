"""Residual networks over clips, with one extension point: a factory that is asked for every block.

Parameter names and shapes are those of the common 2D ResNet (conv1, bn1, layer1.0.conv1, ...,
downsample.0), so ImageNet weights load without conversion.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from .layout import FrameConv, FramePool
from .recompute import recompute
from .streaming import State, step, step_through
from .taps import NO_TAPS, Taps
from .weights import init_convs


@dataclass(frozen=True)
class Site:
    """Where a block stands: enough to decide what it should be.

    Attributes:
        stage: 1 to 4, as in layer1..layer4 (res2..res5 of the papers).
        index: position in its stage, from 0.
        depth: number of blocks in its stage.
        ordinal: position in the network, from 0.
        name: module path, e.g. "layer3.5".
        in_channels: channels of the block's input.
        width: channels inside the block; its output has `expansion` times as many.
        stride: of space, in the block's 3x3 convolution.
    """

    stage: int
    index: int
    depth: int
    ordinal: int
    name: str
    in_channels: int
    width: int
    stride: int


BlockFactory = Callable[[Site], nn.Module]


class ResidualBlock(nn.Module):
    """The frame around a residual branch, with five places where a temporal module can stand.

    In the order of the pass: `before` sees what both branch and shortcut get, `temporal` only what
    the branch gets (the usual place), `inner` what the branch's first convolution gives (`width`
    channels), `tail` what the branch gives before it meets the shortcut, `after` the block's
    output. Each is any module from a map to an equal-shaped map.
    """

    expansion: int
    conv1: nn.Module
    bn1: nn.Module

    def __init__(
        self,
        site: Site,
        *,
        temporal: nn.Module | None = None,
        before: nn.Module | None = None,
        inner: nn.Module | None = None,
        tail: nn.Module | None = None,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.name = site.name
        self.out_channels = site.width * self.expansion
        self.before = before or nn.Identity()
        self.temporal = temporal or nn.Identity()
        self.inner = inner or nn.Identity()
        self.tail = tail or nn.Identity()
        self.after = after or nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if site.stride != 1 or site.in_channels != self.out_channels:
            self.downsample = nn.Sequential(
                FrameConv(site.in_channels, self.out_channels, 1, stride=site.stride, bias=False),
                nn.BatchNorm3d(self.out_channels),
            )
        self.relu = nn.ReLU(inplace=True)
        self.add_convs(site)

    def add_convs(self, site: Site) -> None:
        """Makes the layers of the branch: `conv1` and `bn1`, and what `rest` uses."""
        raise TypeError(f"{type(self).__name__} must define add_convs")

    def first(self, x: Tensor) -> Tensor:
        """The branch's first convolution, with norm and activation."""
        return self.relu(self.bn1(self.conv1(x)))

    def rest(self, x: Tensor) -> Tensor:
        """The convolutions behind the first, up to the last norm."""
        raise TypeError(f"{type(self).__name__} must define rest")

    def forward(self, x: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, width * expansion, T, H', W').

        Taps `<name>.before` (what enters the branch) and `<name>.temporal`.
        """
        x = taps(f"{self.name}.before", self.before(x))
        y = taps(f"{self.name}.temporal", self.temporal(x))
        y = self.tail(self.rest(self.inner(self.first(y)))) + self.downsample(x)
        return self.after(self.relu(y))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (N, C, 1, H, W)."""
        past = state if isinstance(state, tuple) else (None,) * 5
        x, before = step(self.before, x, past[0])
        y, temporal = step(self.temporal, x, past[1])
        y, inner = step(self.inner, self.first(y), past[2])
        y, tail = step(self.tail, self.rest(y), past[3])
        y, after = step(self.after, self.relu(y + self.downsample(x)), past[4])
        return y, (before, temporal, inner, tail, after)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions (ResNet-18, -34)."""

    expansion = 1

    def add_convs(self, site: Site) -> None:
        """conv1, bn1, ..., under their usual names."""
        self.conv1 = FrameConv(
            site.in_channels, site.width, 3, stride=site.stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm3d(site.width)
        self.conv2 = FrameConv(site.width, site.width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(site.width)

    def rest(self, x: Tensor) -> Tensor:
        """3x3."""
        return self.bn2(self.conv2(x))


class Bottleneck(ResidualBlock):
    """1x1, 3x3 (which carries the stride), 1x1 (ResNet-50, -101, -152)."""

    expansion = 4

    def add_convs(self, site: Site) -> None:
        """conv1, bn1, ..., under their usual names."""
        self.conv1 = FrameConv(site.in_channels, site.width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(site.width)
        self.conv2 = FrameConv(site.width, site.width, 3, stride=site.stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(site.width)
        self.conv3 = FrameConv(site.width, self.out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(self.out_channels)

    def rest(self, x: Tensor) -> Tensor:
        """3x3, 1x1."""
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


@dataclass(frozen=True)
class Layout:
    """The block and the blocks per stage of one depth."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]


RESNETS: Mapping[int, Layout] = {
    18: Layout(BasicBlock, (2, 2, 2, 2)),
    34: Layout(BasicBlock, (3, 4, 6, 3)),
    50: Layout(Bottleneck, (3, 4, 6, 3)),
    101: Layout(Bottleneck, (3, 4, 23, 3)),
    152: Layout(Bottleneck, (3, 8, 36, 3)),
}


def frame_stem(in_channels: int, width: int) -> nn.Sequential:
    """The image network's beginning: 7x7 stride 2, norm, 3x3 max pooling stride 2."""
    return nn.Sequential(
        OrderedDict(
            conv1=FrameConv(in_channels, width, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm3d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=FramePool(3, stride=2, padding=1),
        )
    )


class ResNet(nn.Module):
    """Stem and four stages of residual blocks over clips.

    Args:
        depths: blocks per stage.
        block: asked once per site; returns a module that takes (x, taps) and has `out_channels`.
        in_channels: C of the clip.
        width: channels inside the blocks of the first stage; each later stage has twice as many (64
            in the papers).
        stem: named parts that become the network's own children; None: `frame_stem`. Its output has
            `width` channels.
        before_stage: modules that act between stages, by the stage they stand in front of (temporal
            pooling).
        joined: channels that whoever calls `run_stage` adds to the stage's input, by stage.

    Attributes:
        tap_channels: every tap in the order of the pass -> its channels; the last is the output.
        recompute: keep no activations inside blocks while training, compute them again in the
            backward pass.
    """

    def __init__(
        self,
        depths: Sequence[int],
        *,
        block: BlockFactory,
        in_channels: int = 3,
        width: int = 64,
        stem: nn.Sequential | None = None,
        before_stage: Mapping[int, nn.Module] | None = None,
        joined: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__()
        parts = list((stem or frame_stem(in_channels, width)).named_children())
        self.stem_names = tuple(name for name, _ in parts)
        for name, part in parts:
            self.add_module(name, part)
        self.before_stage = nn.ModuleDict({f"layer{s}": m for s, m in (before_stage or {}).items()})
        self.stage_names = tuple(f"layer{stage + 1}" for stage in range(len(depths)))
        self.recompute = False
        channels, ordinal = width, 0
        taps = {self.stem_names[-1]: width}
        for stage, depth in enumerate(depths, start=1):
            blocks = nn.Sequential()
            channels += (joined or {}).get(stage, 0)
            for index in range(depth):
                site = Site(
                    stage=stage,
                    index=index,
                    depth=depth,
                    ordinal=ordinal,
                    name=f"layer{stage}.{index}",
                    in_channels=channels,
                    width=width * 2 ** (stage - 1),
                    stride=2 if index == 0 and stage > 1 else 1,
                )
                blocks.append(block(site))
                taps[f"{site.name}.before"] = taps[f"{site.name}.temporal"] = channels
                channels, ordinal = _channels(blocks[-1]), ordinal + 1
                taps[site.name] = channels
            self.add_module(f"layer{stage}", blocks)
            taps[f"layer{stage}"] = channels
        self.out_channels = channels
        self.tap_channels: Mapping[str, int] = taps
        init_convs(self)

    def forward(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, out_channels, T', H/32, W/32)."""
        x = self.run_stem(clip, taps)
        for stage in self.stage_names:
            x = self.run_stage(stage, x, taps)
        return x

    def run_stem(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, width, T, H/4, W/4)."""
        x = clip
        for name in self.stem_names:
            x = self.get_submodule(name)(x)
        return taps(self.stem_names[-1], x)

    def run_stage(self, stage: str, x: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """All that stands in a stage ("layer1", ...), and what stands in front of it."""
        again = self.recompute and torch.is_grad_enabled()
        if stage in self.before_stage:
            x = self.before_stage[stage](x)
        for index, block in self.get_submodule(stage).named_children():
            run = partial(recompute, block) if again else block
            x = taps(f"{stage}.{index}", run(x, taps))
        return taps(stage, x)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame: (N, C, 1, H, W)."""
        parts: list[nn.Module] = [self.get_submodule(name) for name in self.stem_names]
        for stage in self.stage_names:
            parts += [self.before_stage[stage]] if stage in self.before_stage else []
            parts += self.get_submodule(stage).children()
        return step_through(parts, x, state)


def _channels(block: nn.Module) -> int:
    channels = block.out_channels
    assert isinstance(channels, int)
    return channels
