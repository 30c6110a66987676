"""The 3D convolution of video networks whose spatial part is an image network: over time only."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TimeConv(nn.Conv3d):
    """A convolution along time at every pixel: k x 1 x 1, zeros beyond the ends.

    Weights are (O, I / groups, k, 1, 1), as in 3D networks, so that theirs load as they are. Space
    is one axis to it: it runs as a 2D convolution over (T, H*W), which in channels_last_3d memory
    is a view. Values are those of `nn.Conv3d`; `benchmarks/space_time.py` compares the times.

    Args:
        in_channels: I.
        out_channels: O.
        steps: k, odd.
        groups: see `nn.Conv3d`.
        stride: along time; T stays with 1 and becomes ceil(T / stride) with others.
    """

    def __init__(
        self, in_channels: int, out_channels: int, steps: int = 3, groups: int = 1, stride: int = 1
    ) -> None:
        if steps % 2 == 0:
            raise ValueError(f"steps={steps} of a convolution along time must be odd")
        super().__init__(
            in_channels,
            out_channels,
            (steps, 1, 1),
            stride=(stride, 1, 1),
            padding=(steps // 2, 0, 0),
            groups=groups,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, T, H, W) -> (N, O, ceil(T / stride), H, W)."""
        plane = x.flatten(3)  # (N, I, T, H*W)
        y = F.conv2d(
            plane,
            self.weight.squeeze(4),
            stride=(self.stride[0], 1),
            padding=(self.kernel_size[0] // 2, 0),
            groups=self.groups,
        )
        return y.unflatten(3, x.shape[3:])
