"""TDRL: temporal distinct representation learning (arXiv:2007.07626).

Every residual branch begins with PEM, which lets through the channels that change, and a temporal
module (Fig. 2, TDRL-A). The temporal diversity loss, which makes some of these blocks TDRL-B, reads
the tap `layer3.5.temporal` and the like: `kinema.losses.diversity`.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Literal

from torch import nn

from ..layers.enhancement import (
    Gate,
    LastDifference,
    MemoryStart,
    MotionEnhancement,
    ProgressiveEnhancement,
)
from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.interaction import TemporalInteraction
from ..layers.resnet import Site
from ..layers.shift import TemporalShift
from ..layers.shuffle import VideoShuffle
from ..registry import check_choice
from .base import VideoModel, register_model

Temporal = Literal["tim", "tsm", "mem", "vsn", "none"]
PemPosition = Literal["before", "after", "none"]


def tdrl_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    temporal: Temporal = "tim",
    pem_position: PemPosition = "before",
    reduction: int = 8,
    gate: Gate = "scalar",
    memory_start: MemoryStart = "difference",
    last_difference: LastDifference = "ones",
    pem_bias: bool = True,
    gate_init: float = 0.5,
    shift_div: int = 8,
) -> VideoModel:
    """A ResNet whose every branch begins with PEM and a temporal module.

    Which temporal module the published figures have is not known to us; TIM as the default is
    ours. `reduction`, `gate`, `pem_bias`, `gate_init`: see `ProgressiveEnhancement`.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        temporal: `tim` or `mem` of TEINet; `tsm` the shift; `vsn` the video shuffle in the last
            block of every stage, undone at the end of its branch, and the shift in the others;
            `none`.
        pem_position: `before` the temporal module (Fig. 2) or `after` it (Table 6: 49.0 % against
            48.7 %); with `after` the loss reads PEM's output. `none` leaves PEM out.
        reduction: PEM and MEM have 1/reduction of the channels in between.
        gate: PEM's update is one number per frame (`scalar`) or one per `channel`.
        memory_start: PEM's memory starts from the last `difference` or from `zeros`.
        last_difference: PEM's difference of the last frame is `ones` (Fig. 1) or `zeros`.
        pem_bias: biases of PEM's (and MEM's) linear maps.
        gate_init: what PEM multiplies every channel with at the start.
        shift_div: 1/shift_div of the channels moves in each direction; TIM's start.
    """
    check_choice("temporal", temporal, Temporal)
    check_choice("pem_position", pem_position, PemPosition)

    def shuffles(site: Site) -> bool:
        return temporal == "vsn" and site.index == site.depth - 1

    def exchange(site: Site) -> nn.Module | None:
        channels = site.in_channels
        if temporal == "tim":
            return TemporalInteraction(channels, shift_div)
        if temporal == "mem":
            return MotionEnhancement(channels, reduction, bias=pem_bias)
        if temporal == "none":
            return None
        return VideoShuffle() if shuffles(site) else TemporalShift(shift_div)

    def begin(site: Site) -> nn.Module | None:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if module := exchange(site):
            parts[temporal] = module
        if pem_position != "none":
            parts["pem"] = ProgressiveEnhancement(
                site.in_channels,
                reduction,
                gate=gate,
                memory_start=memory_start,
                last_difference=last_difference,
                bias=pem_bias,
                gate_init=gate_init,
            )
        if pem_position == "before":
            parts.move_to_end("pem", last=False)
        return nn.Sequential(parts) if parts else None

    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        temporal=begin,
        tail=lambda site: VideoShuffle() if shuffles(site) else None,
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50):
    register_model(f"tdrl_resnet{_depth}")(partial(tdrl_resnet, _depth))
