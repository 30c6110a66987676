"""TIM: every channel learns how it mixes three neighbouring frames (TEINet, arXiv:1911.09435)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import check_choice

TimInit = Literal["shift", "identity"]


class TemporalInteraction(nn.Module):
    """A convolution over time, kernel 3, one per channel, without bias; zeros enter at both ends.

    Starts as a temporal shift: the first 1/div of the channels look one frame ahead, the next one
    frame back, the others at themselves. That start is ours; the authors' is not known to us.

    Args:
        channels: C.
        div: share of the channels that looks in one direction at the start is 1/div.
        init: `identity` starts with every channel looking at itself.
    """

    def __init__(self, channels: int, div: int = 8, *, init: TimInit = "shift") -> None:
        super().__init__()
        check_choice("tim_init", init, TimInit)
        if div < 2:
            raise ValueError(f"shift_div={div} must be at least 2: two shares of 1/div move")
        self.div = div
        self.init = init
        self.weight = nn.Parameter(torch.empty(channels, 1, 3))  # frame before, itself, after
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start as the shift, or as the identity."""
        share = len(self.weight) // self.div if self.init == "shift" else 0
        self.weight.zero_()
        self.weight[:share, :, 2] = 1
        self.weight[share : 2 * share, :, 0] = 1
        self.weight[2 * share :, :, 1] = 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        frames = x.flatten(3)  # (N, C, T, H*W), a view in channels_last_3d memory
        y = F.conv2d(frames, self.weight[..., None], padding=(1, 0), groups=len(self.weight))
        return y.unflatten(3, x.shape[3:])

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"{len(self.weight)}, div={self.div}, init={self.init}"
