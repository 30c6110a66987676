"""GSM: gate-shift module (arXiv:1912.00381). Channels move in time where a learned gate lets them.

A module and its family in one file.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from ..layers.shift import shift
from .base import VideoModel, register_model


class GateShift(nn.Module):
    """The gated part of each half of the channels moves one frame, the rest stays.

    gate = tanh of a 3x3x3 convolution with one output per half, on ReLU(norm(x)); the first half
    takes its gated part from the frame after, the second from the frame before, zeros enter at the
    ends; then the two quarters of each half interleave. From the authors' code (swathikirans/GSM).
    The gate starts at zero: nothing moves, channels only interleave.

    Args:
        channels: C, a multiple of 4.
        interleave: False leaves the channels in their order, which keeps the meaning of image
            weights behind the module.
    """

    def __init__(self, channels: int, *, interleave: bool = True) -> None:
        super().__init__()
        if channels % 4:
            raise ValueError(f"channels={channels} of a gate shift must be a multiple of 4")
        self.side = channels // 2
        self.interleave = interleave
        self.bn = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU()
        self.gate = nn.Conv3d(channels, 2, 3, padding=1, groups=2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start without any shift."""
        nn.init.zeros_(self.gate.weight)
        assert self.gate.bias is not None
        nn.init.zeros_(self.gate.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        gate = self.gate(self.relu(self.bn(x))).tanh()  # (N, 2, T, H, W)
        halves = x.unflatten(1, (2, self.side))
        moving = (gate.unsqueeze(2) * halves).flatten(1, 2)  # (N, C, T, H, W)
        y = shift(moving, self.side, self.side) + (x - moving)
        if not self.interleave:
            return y
        frames = y.movedim(1, -1).unflatten(-1, (2, 2, self.side // 2))  # (N, T, H, W, 2, 2, C/4)
        return frames.transpose(-2, -1).flatten(-3).movedim(-1, 1)


def gsm_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    interleave: bool = True,
) -> VideoModel:
    """A ResNet whose every branch begins with a gate shift.

    Deviation: the paper puts the module into one branch of each Inception block; a ResNet is ours,
    with the module where TSM has its shift.

    Args:
        depth: of the ResNet.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage, a multiple of 4.
        interleave: see `GateShift`.
    """
    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        temporal=lambda site: GateShift(site.in_channels, interleave=interleave),
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50):
    register_model(f"gsm_resnet{_depth}")(partial(gsm_resnet, _depth))
