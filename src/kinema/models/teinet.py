"""TEINet: channels are enhanced by what changes, then frames interact (arXiv:1911.09435)."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from ..layers.enhancement import MotionEnhancement
from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.interaction import TemporalInteraction, TimInit
from ..layers.resnet import Site
from .base import VideoModel, register_model


def teinet_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    reduction: int = 8,
    mem_bias: bool = True,
    gate_init: float | None = None,
    shift_div: int = 8,
    tim_init: TimInit = "shift",
) -> VideoModel:
    """A ResNet whose every branch begins with MEM, then TIM.

    The authors released no code, and the whole paper was not at hand; what that leaves open is
    ours, see `MotionEnhancement` and `TemporalInteraction`.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        reduction: MEM has 1/reduction of the channels in between.
        mem_bias: biases of MEM's linear maps.
        gate_init: what MEM multiplies every channel with at the start; None: MEM's own choice.
        shift_div: 1/shift_div of TIM's channels start by looking in each direction.
        tim_init: `shift`, or `identity`.
    """

    def exchange(site: Site) -> nn.Module:
        channels = site.in_channels
        return nn.Sequential(
            OrderedDict(
                mem=MotionEnhancement(channels, reduction, bias=mem_bias, gate_init=gate_init),
                tim=TemporalInteraction(channels, shift_div, init=tim_init),
            )
        )

    backbone = frame_resnet(depth, in_channels=in_channels, width=width, temporal=exchange)
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50):
    register_model(f"teinet_resnet{_depth}")(partial(teinet_resnet, _depth))
