"""TSN: temporal segment networks (arXiv:1608.00859).

Every frame alone; the consensus is an average.
"""

from __future__ import annotations

from functools import partial

from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.nonlocal_block import Affinity
from ..layers.resnet import RESNETS
from .base import VideoModel, register_model


def tsn_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    non_local: Affinity | None = None,
    temporal_pool: bool = False,
) -> VideoModel:
    """A ResNet on every frame.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        non_local: adds non-local blocks of this affinity in stages 2 and 3.
        temporal_pool: halves T in front of stage 2.
    """
    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        non_local=non_local,
        temporal_pool=temporal_pool,
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in RESNETS:
    register_model(f"tsn_resnet{_depth}")(partial(tsn_resnet, _depth))
