"""Slow-only networks: the slow pathway of SlowFast on its own (arXiv:1812.03982).

The 3D backbone of TPN and its baseline.
"""

from __future__ import annotations

from functools import partial

from ..layers.heads import ClipHead
from ..layers.slow_resnet import slow_resnet
from .base import VideoModel, register_model


def slowonly_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    zero_init: bool = False,
) -> VideoModel:
    """A ResNet with convolutions over time in res4 and res5, over clips of neighbouring frames.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled clip.
        width: channels of the first stage; 64 is the paper's.
        zero_init: the last norm of every block starts at zero, as mmaction2 trains from scratch.
    """
    backbone = slow_resnet(depth, in_channels=in_channels, width=width, zero_init=zero_init)
    return VideoModel(backbone, ClipHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50, 101):
    register_model(f"slowonly_resnet{_depth}")(partial(slowonly_resnet, _depth))
