"""bLVNet-TAM: a big-little network whose branches see neighbouring frames (arXiv:1912.00869).

Facts from IBM/bLVNet-TAM (video) and IBM/BigLittleNet (image, arXiv:1807.03848). Frames come in
pairs: the first of a pair goes through the little branch at full size, the second through the big
branch at half size, and both are merged. Every stage behind the stem therefore has one map per
pair. The authors' code copies it back to both frames before each aggregation; here the aggregation
takes the pairs as they are (`PairSplit`), which gives the same numbers.

The image network is the same with both branches looking at every frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.aggregation import FrameSplit, Init, PairSplit, TemporalAggregation
from ..layers.heads import SegmentHead
from ..layers.layout import FrameConv, FrameWise, fold, unfold
from ..layers.recompute import recompute
from ..layers.resnet import Bottleneck, Site
from ..layers.taps import NO_TAPS, Taps
from ..layers.weights import init_convs
from .base import VideoModel, register_model

ALPHA, BETA = 2, 4  # the little branch is this much thinner and shallower
STAGES: Mapping[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (4, 8, 18, 3)}


class BigLittleBlock(Bottleneck):
    """The authors' bottleneck: shortcuts are pooled, and only projections see the aggregation.

    A shortcut that keeps size and channels takes the input, one that projects takes what the
    temporal module made of it.

    Args:
        site: `width` is a quarter of the output.
        temporal: see `ResidualBlock`.
        last_relu: whether the sum goes through a ReLU.
    """

    def __init__(
        self, site: Site, *, temporal: nn.Module | None = None, last_relu: bool = True
    ) -> None:
        super().__init__(site, temporal=temporal)
        self.last_relu = last_relu
        parts: list[nn.Module] = []
        if site.stride != 1:
            parts.append(FrameWise(nn.AvgPool2d(3, stride=site.stride, padding=1)))
        if site.in_channels != self.out_channels:
            parts.append(FrameConv(site.in_channels, self.out_channels, 1, bias=False))
            parts.append(nn.BatchNorm3d(self.out_channels))
        self.downsample = nn.Sequential(*parts) if parts else nn.Identity()
        self.projects = bool(parts)

    def forward(self, x: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, width * expansion, T, H', W').

        Taps as in `ResidualBlock`.
        """
        y = taps(f"{self.name}.temporal", self.temporal(taps(f"{self.name}.before", x)))
        y = self.rest(self.first(y)) + self.downsample(y if self.projects else x)
        return self.relu(y) if self.last_relu else y

    def reset_parameters(self) -> None:
        """Blocks start as their shortcut: the last norm's scale is zero, as in the image code."""
        nn.init.zeros_(self.bn3.weight)


class Merge(nn.Module):
    """A stage of two branches: big blocks at half size, few thin blocks at full size, one fusion.

    Args:
        name: module path, such as "layer1".
        in_channels: of its input.
        out_channels: of its output.
        depth: blocks of the plain network's stage.
        stride: of the fusion block.
    """

    def __init__(
        self, name: str, in_channels: int, out_channels: int, depth: int, stride: int
    ) -> None:
        super().__init__()

        def blocks(part: str, count: int, into: int, out: int, stride: int) -> nn.Sequential:
            row = nn.Sequential()
            for index in range(count):
                site = Site(
                    stage=int(name[-1]),
                    index=index,
                    depth=count,
                    ordinal=index,
                    name=f"{name}.{part}.{index}",
                    in_channels=out if index else into,
                    width=out // 4,
                    stride=1 if index else stride,
                )
                last = part == "big" and index == count - 1
                row.append(BigLittleBlock(site, last_relu=not last))
            return row

        thin = out_channels // ALPHA
        self.out_channels = out_channels
        self.big = blocks("big", depth - 1, in_channels, out_channels, 2)
        self.little = blocks("little", max(1, depth // BETA - 1), in_channels, thin, 1)
        self.little_e = nn.Sequential(
            FrameConv(thin, out_channels, 1, bias=False), nn.BatchNorm3d(out_channels)
        )
        self.relu = nn.ReLU(inplace=True)
        self.fusion = blocks("fusion", 1, out_channels, out_channels, stride)

    def forward(self, little: Tensor, big: Tensor) -> Tensor:
        """Twice (N, in_channels, T, H, W) -> (N, out_channels, T, H', W')."""
        little = self.little_e(self.little(little))
        big = fold(self.big(big))
        big = F.interpolate(big, size=little.shape[-2:], mode="nearest")
        x: Tensor = self.fusion(self.relu(little + unfold(big, little.shape[0])))
        return x


class BigLittleResNet(nn.Module):
    """Stem, three stages of two branches, one plain stage.

    Args:
        depth: 50 or 101.
        in_channels: C of the clip.
        width: channels of the stem; 64 is the paper's.
        pairs: the branches share the frames, so T halves; otherwise both see every frame (the
            image network).
        tam: `r` and `init` of the aggregations; None: no temporal module.

    Attributes:
        tap_channels: see `Backbone`.
        recompute: see `Backbone`.
    """

    def __init__(
        self,
        depth: int,
        *,
        in_channels: int = 3,
        width: int = 64,
        pairs: bool = True,
        tam: tuple[int, Init] | None = None,
    ) -> None:
        super().__init__()
        if width % 8:
            raise ValueError(f"width={width} must be a multiple of 8 for a big-little network")
        self.pairs, self.recompute = pairs, False
        thin = width // ALPHA

        def conv(into: int, out: int, kernel: int, stride: int = 1) -> FrameConv:
            return FrameConv(into, out, kernel, stride=stride, padding=kernel // 2, bias=False)

        self.conv1, self.bn1 = conv(in_channels, width, 7, 2), nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.b_conv0, self.bn_b0 = conv(width, width, 3, 2), nn.BatchNorm3d(width)
        self.l_conv0, self.bn_l0 = conv(width, thin, 3), nn.BatchNorm3d(thin)
        self.l_conv1, self.bn_l1 = conv(thin, thin, 3, 2), nn.BatchNorm3d(thin)
        self.l_conv2, self.bn_l2 = conv(thin, width, 1), nn.BatchNorm3d(width)
        self.bl_init, self.bn_bl_init = conv(width, width, 1), nn.BatchNorm3d(width)
        self.stem_names = tuple(name for name, _ in self.named_children())
        self.temporal = nn.ModuleDict()
        taps = {"conv1": width, "bl_init": width}
        channels = width
        if tam:
            self.temporal["stem"] = FrameSplit(width, *tam)
        for stage, blocks in enumerate(STAGES[depth][:3], start=1):
            name, out = f"layer{stage}", width * 4 * 2 ** (stage - 1)
            if tam:
                self.temporal[name] = PairSplit(channels, *tam)
            self.add_module(name, Merge(name, channels, out, blocks, 1 if stage == 3 else 2))
            channels = taps[name] = out
        self.layer4 = nn.Sequential()
        for index in range(STAGES[depth][3]):
            site = Site(
                stage=4,
                index=index,
                depth=STAGES[depth][3],
                ordinal=index,
                name=f"layer4.{index}",
                in_channels=channels,
                width=width * 8,
                stride=1 if index else 2,
            )
            temporal = TemporalAggregation(channels, *tam) if tam else None
            self.layer4.append(BigLittleBlock(site, temporal=temporal))
            taps[f"{site.name}.before"] = taps[f"{site.name}.temporal"] = channels
            channels = taps[site.name] = width * 32
        taps["layer4"] = channels
        self.out_channels = channels
        self.tap_channels: Mapping[str, int] = taps
        init_convs(self)

    def forward(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, out_channels, ceil(T / 2), H/32, W/32); T where not `pairs`.

        The last frame of an odd clip stands for both of its pair.
        """
        if self.pairs:
            clip = _even(clip)
        x = taps("conv1", self.relu(self.bn1(self.conv1(clip))))
        x = taps("bl_init", self._stem(*self._split("stem", x)))
        again = self.recompute and torch.is_grad_enabled()
        for name in ("layer1", "layer2", "layer3"):
            little, big = self._split(name, x)
            merge = self.get_submodule(name)
            x = recompute(merge, little, big) if again else merge(little, big)
            x = taps(name, x)
        for name, block in self.layer4.named_children():
            x = recompute(block, x, taps) if again else block(x, taps)
            x = taps(f"layer4.{name}", x)
        return taps("layer4", x)

    def _stem(self, little: Tensor, big: Tensor) -> Tensor:
        """The first two branches: twice (N, C, T, H, W) -> (N, C, T, H/2, W/2)."""
        big = self.bn_b0(self.b_conv0(big))
        little = self.relu(self.bn_l0(self.l_conv0(little)))
        little = self.relu(self.bn_l1(self.l_conv1(little)))
        little = self.bn_l2(self.l_conv2(little))
        x: Tensor = self.relu(self.bn_bl_init(self.bl_init(self.relu(big + little))))
        return x

    def _split(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the little and the big branch of a stage see."""
        if name in self.temporal:
            little, big = self.temporal[name](x)
            return little, big
        return (x[:, :, 0::2], x[:, :, 1::2]) if self.pairs and name == "stem" else (x, x)


def _even(clip: Tensor) -> Tensor:
    """The clip with its last frame twice if T is odd; spelled without a branch for compilers."""
    steps = clip.shape[2]
    if not torch.compiler.is_compiling() and steps % 2 == 0:
        return clip
    index = torch.arange((steps + 1) // 2 * 2, device=clip.device).clamp(max=steps - 1)
    return clip.index_select(2, index)


def blvnet_tam_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    tam_r: int = 3,
    tam_init: Init = "official",
    temporal: bool = True,
) -> VideoModel:
    """The paper's network; "8x2" are clips of 16 frames, and the same weights run all lengths.

    Args:
        depth: 50 or 101.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled map of a pair.
        width: channels of the stem; 64 is the paper's.
        tam_r: frames that are summed, an odd number.
        tam_init: start of the aggregation, see `TemporalAggregation`.
        temporal: False leaves the aggregation out: pairs of frames, each pair alone.
    """
    backbone = BigLittleResNet(
        depth,
        in_channels=in_channels,
        width=width,
        tam=(tam_r, tam_init) if temporal else None,
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


def tsn_blresnet(
    depth: int, num_classes: int, in_channels: int, *, dropout: float = 0.5, width: int = 64
) -> VideoModel:
    """The image network (arXiv:1807.03848) on every frame: what the video network starts from.

    Args:
        depth: 50 or 101.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the stem; 64 is the paper's.
    """
    backbone = BigLittleResNet(depth, in_channels=in_channels, width=width, pairs=False)
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in STAGES:
    register_model(f"blvnet_tam_resnet{_depth}")(partial(blvnet_tam_resnet, _depth))
    register_model(f"tsn_blresnet{_depth}")(partial(tsn_blresnet, _depth))
