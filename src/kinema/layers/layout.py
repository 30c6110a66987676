"""One layout for every clip and every feature map, and the way 2D networks live in it.

Legend of all shape comments: N batch, V views, C channels, T time, H W space, K classes, D
embedding.

A clip is (N, C, T, H, W), physically `channels_last_3d`: there the T axis lies directly behind N,
so folding time into the batch is a view and a 2D convolution runs on frames without a copy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fold(x: Tensor) -> Tensor:
    """(N, C, T, H, W) -> (N*T, C, H, W); a view in channels_last_3d memory."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold(x: Tensor, n: int) -> Tensor:
    """The inverse of `fold`: (N*T, C, H, W) -> (N, C, T, H, W) for a batch of n clips."""
    return x.unflatten(0, (n, -1)).transpose(1, 2)


def lay_out(module: nn.Module) -> None:
    """Stores 2D kernels as clips are stored, channels last, in place; no value changes.

    A convolution would copy a kernel that is stored otherwise, and its gradient, in every pass.
    """
    for weight in module.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


class FrameWise(nn.Module):
    """Applies any 2D module to every frame: (N, C, T, H, W) -> (N, C', T, H', W').

    Args:
        module: takes (M, C, H, W) and returns (M, C', H', W').
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return unfold(self.module(fold(x)), x.shape[0])


class FrameConv(nn.Conv2d):
    """A 2D convolution on every frame of a clip.

    Weights are (O, I, kH, kW), activations (N, C, T, H, W). Keeps the parameter shapes and names of
    image networks, so their weights load as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C', T, H', W')."""
        return unfold(super().forward(fold(x)), x.shape[0])


class FramePool(nn.MaxPool2d):
    """A 2D max pooling on every frame of a clip."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C, T, H', W')."""
        return unfold(super().forward(fold(x)), x.shape[0])
