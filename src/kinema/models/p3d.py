"""P3D: pseudo-3D residual networks (arXiv:1711.10305). A 3x3x3 convolution as 1x3x3 and 3x1x1.

Facts from ZhaofanQiu/pseudo-3d-residual-networks (Caffe, the authors'). The three ways of putting
the convolution S over space and T over time together, in a block whose input is x (equations 3-5):

    A  x + T(S(x))        B  x + S(x) + T(x)        C  x + S(x) + T(S(x))

Mixed networks take A, B, C, A, ... through the stages 1 to 3; stage 4 is the image network's. Kind
3D has the 3x3x3 convolution itself, to compare with, and 2D none over time. T
goes from 16 to 1 by pooling. Longer clips keep what is left of time, and the head takes the mean
over it (the authors' network demands 16 frames); shorter ones are pooled as far as they go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..layers.heads import ClipHead
from ..layers.layout import FrameConv
from ..layers.resnet import RESNETS, ResidualBlock, ResNet, Site
from ..layers.time_conv import TimeConv
from .base import VideoModel, register_model

Pseudo = Literal["A", "B", "C"]
Kind = Literal[Pseudo, "2D", "3D"]
Semantics = Literal["authors", "port"]
Stride = Literal["reduce", "space"]
TimeInit = Literal["published", "identity", "random"]

PORT_FRAMES = 16
PUBLISHED_STD = 0.001
_MIXED: tuple[Kind, ...] = ("A", "B", "C")


class P3DBlock(ResidualBlock):
    """A bottleneck with S and, but for kinds 2D and 3D, T between its 1x1 convolutions.

    As built by the authors: in B and C the sum goes through the ReLU, T's branch alone does not,
    and C takes the mean of both.

    Args:
        site: where it stands.
        kind: how S and T are put together; 2D has no T, 3D one 3x3x3 convolution in place of both.
        semantics: `port` puts a ReLU behind T and sums C as it is, as
            qijiezhao/pseudo-3d-pytorch does: for weights trained with that code.
        stride_in: `reduce`: the first 1x1 convolution carries the stride, as in the Caffe ResNets
            that the authors start from; `space`: S does, as in pytorch/vision's.
        time_init: start of T: `published` is normal with deviation 0.001; `identity` passes the
            frame on; `random` is He's, as for every other convolution.
    """

    expansion = 4

    def __init__(
        self,
        site: Site,
        kind: Kind,
        *,
        semantics: Semantics = "authors",
        stride_in: Stride = "reduce",
        time_init: TimeInit = "published",
    ) -> None:
        super().__init__(site)
        self.kind, self.semantics, self.time_init = kind, semantics, time_init
        into, width = site.in_channels, site.width
        first, second = (site.stride, 1) if stride_in == "reduce" else (1, site.stride)
        self.conv1 = FrameConv(into, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        if kind == "3D":
            self.conv2: nn.Module = nn.Conv3d(
                width, width, 3, stride=(1, second, second), padding=1, bias=False
            )
        else:
            self.conv2 = FrameConv(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.timed = kind in get_args(Pseudo)
        if self.timed:
            self.conv3, self.bn3 = TimeConv(width, width), nn.BatchNorm3d(width)
        self.conv4 = FrameConv(width, self.out_channels, 1, bias=False)
        self.bn4 = nn.BatchNorm3d(self.out_channels)
        self.stride = second  # of S; T beside it has to keep up

    def add_convs(self, site: Site) -> None:
        """Nothing: the constructor makes them, which knows the kind."""

    def rest(self, x: Tensor) -> Tensor:
        """S and T, then the last 1x1 convolution."""
        s = self.relu(self.bn2(self.conv2(x)))
        return self.bn4(self.conv4(self._with_time(x, s) if self.timed else s))

    def _with_time(self, x: Tensor, s: Tensor) -> Tensor:
        beside = x[..., :: self.stride, :: self.stride] if self.kind == "B" else s
        t = self.bn3(self.conv3(beside))
        if self.kind == "A":
            return self.relu(t)
        if self.semantics == "port":
            return s + self.relu(t)
        return self.relu(s + t if self.kind == "B" else 0.5 * s + 0.5 * t)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Fresh weights of T, see `time_init`."""
        if not self.timed or self.time_init == "random":
            return
        nn.init.normal_(self.conv3.weight, std=PUBLISHED_STD)
        if self.time_init == "identity":
            nn.init.zeros_(self.conv3.weight)
            self.conv3.weight[:, :, 1, 0, 0] = torch.eye(len(self.conv3.weight))


def p3d_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    kinds: Sequence[Kind] = _MIXED,
    dropout: float = 0.5,
    width: int = 64,
    semantics: Semantics = "authors",
    stride_in: Stride = "reduce",
    time_init: TimeInit = "published",
) -> VideoModel:
    """A pseudo-3D network; 50, 101 and 152 are the papers' 63, 131 and 199 layers.

    Args:
        depth: of the ResNet it is made from.
        num_classes: K.
        in_channels: C of the clip.
        kinds: of its blocks, in turn through the stages 1 to 3, see `P3DBlock`.
        dropout: on the pooled clip.
        width: channels of the first stage; 64 is the paper's.
        semantics: `authors`, or `port` for weights of qijiezhao/pseudo-3d-pytorch, which needs
            clips of 16 frames.
        stride_in: `reduce`, or `space` to start from pytorch/vision's image weights, see
            `P3DBlock`.
        time_init: start of the convolutions over time, see `P3DBlock`.
    """
    for name, value, known in (
        ("semantics", semantics, Semantics), ("stride_in", stride_in, Stride),
        ("time_init", time_init, TimeInit),
    ):  # fmt: skip
        if value not in get_args(known):
            raise ValueError(f"{name}={value!r} must be one of {', '.join(get_args(known))}")
    wrong = [kind for kind in kinds if kind not in get_args(Kind)]
    if wrong or not kinds:
        raise ValueError(f"kinds={[*kinds]} must be some of {', '.join(get_args(Kind))}, in turn")
    port = semantics == "port"

    def block(site: Site) -> P3DBlock:
        kind: Kind = "2D" if site.stage == 4 else kinds[site.ordinal % len(kinds)]
        return P3DBlock(site, kind, semantics=semantics, stride_in=stride_in, time_init=time_init)

    backbone = ResNet(
        RESNETS[depth].depths,
        block=block,
        width=width,
        stem=_stem(in_channels, width, port=port),
        # a module of its own for each place: their names are in the state
        before_stage={stage: _halve(port=port) for stage in (2, 3, 4)},
    )
    return VideoModel(backbone, ClipHead(backbone.out_channels, num_classes, dropout))


def _stem(in_channels: int, width: int, *, port: bool) -> nn.Sequential:
    pool = (
        _PortPool((2, 3, 3), 2, (0, 1, 1)) if port else nn.MaxPool3d((2, 3, 3), 2, ceil_mode=True)
    )
    return nn.Sequential(
        OrderedDict(
            conv1=FrameConv(in_channels, width, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm3d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=pool,
        )
    )


def _halve(*, port: bool) -> nn.Module:
    """Max pooling of pairs of frames; an odd one out is kept, but not in the port."""
    return _PortPool((2, 1, 1)) if port else nn.MaxPool3d((2, 1, 1), ceil_mode=True)


class _PortPool(nn.MaxPool3d):
    """The port's pooling over pairs of frames; a frame without a partner is lost."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C, T // 2, H', W')."""
        if x.shape[2] < 2:
            raise ValueError(
                f"semantics='port' halves time four times and needs clips of {PORT_FRAMES} frames "
                "or more; use longer clips, or semantics='authors'"
            )
        y: Tensor = super().forward(x)
        return y


for _depth in (50, 101, 152):
    register_model(f"p3d_resnet{_depth}")(partial(p3d_resnet, _depth))
_PURE: Mapping[str, Kind] = {"a": "A", "b": "B", "c": "C", "full": "3D"}
for _name, _kind in _PURE.items():
    register_model(f"p3d_{_name}_resnet50")(partial(p3d_resnet, 50, kinds=(_kind,)))
