"""Fitting weights of image networks to video networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def init_convs(module: nn.Module) -> None:
    """He initialisation (fan out) of every convolution inside, then each part's own wish.

    A module with special needs defines `reset_parameters` and is asked last (a non-local block
    starts as the identity).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    own = (nn.Conv2d, nn.Conv3d, nn.Conv1d, nn.Linear, nn.modules.batchnorm._BatchNorm)
    for part in module.modules():
        if not isinstance(part, own) and hasattr(part, "reset_parameters"):
            reset = part.reset_parameters
            assert callable(reset)
            reset()


def inflate(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """2D kernels as 3D ones: (O, I, kH, kW) -> (O, I, kT, kH, kW).

    Repeated over time and divided by kT. A constant video then gives the response of the image
    network (I3D, arXiv:1705.07750, 2.3). Equal ranks come back as they are.
    """
    if weight.ndim == len(shape):
        return weight
    if weight.ndim != 4 or len(shape) != 5:
        raise ValueError(
            f"cannot inflate a weight of shape {tuple(weight.shape)} to {tuple(shape)}"
        )
    steps = shape[2]
    return weight.unsqueeze(2).repeat(1, 1, steps, 1, 1) / steps


def adapt_stem(weight: Tensor, in_channels: int) -> Tensor:
    """RGB kernels of a first convolution for other inputs: (O, 3, ...) -> (O, in_channels, ...).

    Averaged over the colours and repeated, as TSN does for optical flow (arXiv:1608.00859, 3.2).
    """
    if weight.shape[1] == in_channels:
        return weight
    mean = weight.mean(1, keepdim=True)
    return torch.cat([mean] * in_channels, dim=1)
