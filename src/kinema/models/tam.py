"""TAM on a plain ResNet: temporal aggregation in every residual branch.

The network of "Deep Analysis of CNN-based Spatio-temporal Representations" (arXiv:2010.11757,
IBM/action-recognition-pytorch), with the module of bLVNet-TAM (arXiv:1912.00869).
"""

from __future__ import annotations

from functools import partial

from ..layers.aggregation import Init, TemporalAggregation
from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from .base import VideoModel, register_model


def tam_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    tam_r: int = 3,
    tam_init: Init = "official",
) -> VideoModel:
    """A ResNet whose residual branches begin with a temporal aggregation; shortcuts do without.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        tam_r: frames that are summed, an odd number.
        tam_init: start of the aggregation, see `TemporalAggregation`.
    """
    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        temporal=lambda site: TemporalAggregation(site.in_channels, tam_r, tam_init),
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 34, 50, 101):
    register_model(f"tam_resnet{_depth}")(partial(tam_resnet, _depth))
