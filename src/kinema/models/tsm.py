"""TSM: temporal shift module (arXiv:1811.08383). A frame network whose frames exchange channels.

The example to copy for a new temporal module: a module from a map to an equal-shaped map, placed by
a factory.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.mobilenet import MobileNetV2
from ..layers.nonlocal_block import Affinity
from ..layers.resnet import RESNETS, Site
from ..layers.shift import CausalShift, TemporalShift
from ..registry import check_choice
from .base import VideoModel, register_model

Place = Literal["residual", "block"]


def tsm_resnet(
    shift: type[TemporalShift] | type[CausalShift],
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    shift_div: int = 8,
    place: Place = "residual",
    non_local: Affinity | None = None,
    temporal_pool: bool = False,
) -> VideoModel:
    """A ResNet whose blocks begin with a temporal shift.

    Every block has one; from 23 blocks in stage 3 on (ResNet-101) every second one, as in the
    authors' code.

    Args:
        shift: two-sided, or causal for streams.
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        shift_div: 1/shift_div of the channels moves in each direction.
        place: `residual` shifts what the residual branch sees, `block` what the shortcut sees too.
        non_local: adds non-local blocks of this affinity in stages 2 and 3.
        temporal_pool: halves T in front of stage 2.
    """
    check_choice("place", place, Place)
    every = 2 if RESNETS[depth].depths[2] >= 23 else 1

    def make(site: Site) -> nn.Module | None:
        return shift(shift_div) if site.index % every == 0 else None

    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        non_local=non_local,
        temporal_pool=temporal_pool,
        **{"temporal" if place == "residual" else "before": make},
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


def tsm_mobilenetv2(
    shift: type[TemporalShift] | type[CausalShift],
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    shift_div: int = 8,
) -> VideoModel:
    """MobileNetV2 whose blocks with expansion and shortcut begin with a temporal shift.

    Args:
        shift: two-sided, or causal for streams.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: 64 is the paper's width multiplier 1.0.
        shift_div: 1/shift_div of the channels moves in each direction.
    """
    backbone = MobileNetV2(in_channels=in_channels, width=width, temporal=lambda: shift(shift_div))
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _suffix, _shift in (("", TemporalShift), ("_causal", CausalShift)):
    for _depth in (18, 34, 50, 101):
        register_model(f"tsm_resnet{_depth}{_suffix}")(partial(tsm_resnet, _shift, _depth))
    register_model(f"tsm_mobilenetv2{_suffix}")(partial(tsm_mobilenetv2, _shift))
