"""TEA's motion excitation (arXiv:2004.01398, 3.1): channels that move count for more.

A module and its family in one file. The other half of TEA, multiple temporal aggregation, belongs
to a Res2Net and is not here; so the models are called after the module.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.enhancement import pooled, weigh, with_last
from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.layout import FrameConv
from ..layers.resnet import Site
from .base import VideoModel, register_model


class MotionExcitation(nn.Module):
    """x + x * (sigmoid(gate) - 0.5): channels are weighted between a half and one and a half times.

    The gate is made of what changes: the next frame, through a depthwise 3x3 convolution, minus
    this frame, both with C/r channels, pooled; the last frame has no change. Convolutions have no
    biases and a norm behind the outer two. From the authors' code
    (Phoenix1327/tea-action-recognition).

    Args:
        channels: C.
        reduction: r, C/r channels in between; one at least.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"reduction={reduction} must be at least 1")
        inner = max(channels // reduction, 1)
        self.squeeze = FrameConv(channels, inner, 1, bias=False)
        self.squeeze_bn = nn.BatchNorm3d(inner)
        self.transform = FrameConv(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.expand = FrameConv(inner, channels, 1, bias=False)
        self.expand_bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        small = self.squeeze_bn(self.squeeze(x))
        following = F.pad(pooled(self.transform(small)), (0, 0, 0, 1))[:, 1:]
        change = with_last(following - pooled(small), 0.0)  # (N, T, C/r)
        gate = self.expand_bn(self.expand(change.transpose(1, 2)[..., None, None]))
        return weigh(x, 0.5 + gate.sigmoid().flatten(2).transpose(1, 2))


def tea_me_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    reduction: int = 16,
) -> VideoModel:
    """A ResNet with motion excitation behind the first convolution of every branch.

    Deviation: TEA's network is a Res2Net-50, and the excitation is one of its two modules.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage.
        reduction: the module has 1/reduction of the channels in between.
    """

    def excitation(site: Site) -> nn.Module:
        return MotionExcitation(site.width, reduction)

    backbone = frame_resnet(depth, in_channels=in_channels, width=width, inner=excitation)
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50):
    register_model(f"tea_me_resnet{_depth}")(partial(tea_me_resnet, _depth))
