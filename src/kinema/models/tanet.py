"""TANet: temporal adaptive module (arXiv:2005.06803). Every clip makes its own temporal kernels.

A module and its family in one file. The module that bLVNet calls TAM is another one.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.enhancement import pooled
from ..layers.frame_resnet import frame_resnet
from ..layers.heads import SegmentHead
from .base import VideoModel, register_model


class TemporalAdaptive(nn.Module):
    """A convolution over time, per channel, whose kernel and weights come from the clip itself.

    On pooled frames: a local branch weights every channel of every frame; a global branch makes one
    kernel of three frames per channel, the same at all times. From the authors' code
    (liu-zhy/temporal-adaptive-module).

    Deviation: the global branch is fully connected over the clip, so its length is fixed when it is
    built; a clip of another length is resampled to it in front of that branch (and of no other), so
    that the same weights run. At the built length the resampling is the identity.

    Args:
        channels: C.
        frames: T that the global branch is built for.
    """

    def __init__(self, channels: int, frames: int = 8) -> None:
        super().__init__()
        if frames < 1:
            raise ValueError(f"frames={frames} must be at least 1")
        self.frames = frames
        inner = max(channels // 4, 1)
        self.kernel = nn.Sequential(
            nn.Linear(frames, 2 * frames, bias=False),
            nn.BatchNorm1d(2 * frames),
            nn.ReLU(inplace=True),
            nn.Linear(2 * frames, 3, bias=False),
            nn.Softmax(-1),
        )
        self.weights = nn.Sequential(
            nn.Conv1d(channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm1d(inner),
            nn.ReLU(inplace=True),
            nn.Conv1d(inner, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        n, c, steps = x.shape[:3]
        means = pooled(x).transpose(1, 2)  # (N, C, T)
        y = x * self.weights(means)[..., None, None]
        course = F.interpolate(means, size=self.frames, mode="linear")
        kernel = self.kernel(course.flatten(0, 1)).unflatten(0, (n, c))  # (N, C, 3)
        padded = F.pad(y, (0, 0, 0, 0, 1, 1))  # (N, C, T + 2, H, W)
        taps = kernel[..., None, None, None].unbind(2)  # three of (N, C, 1, 1, 1)
        parts = [tap * padded[:, :, i : i + steps] for i, tap in enumerate(taps)]
        y = parts[0] + parts[1] + parts[2]
        return y.contiguous(memory_format=torch.channels_last_3d)


def tanet_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    frames: int = 8,
) -> VideoModel:
    """A ResNet with an adaptive module behind the first convolution of every branch.

    Args:
        depth: of the ResNet; the paper's is 50.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled frame.
        width: channels of the first stage; 64 is the paper's.
        frames: T the modules are built for; clips of other lengths run too, see `TemporalAdaptive`.
    """
    backbone = frame_resnet(
        depth,
        in_channels=in_channels,
        width=width,
        inner=lambda site: TemporalAdaptive(site.width, frames),
    )
    return VideoModel(backbone, SegmentHead(backbone.out_channels, num_classes, dropout))


for _depth in (18, 50):
    register_model(f"tanet_resnet{_depth}")(partial(tanet_resnet, _depth))
