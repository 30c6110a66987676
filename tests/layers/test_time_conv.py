"""A convolution along time is the 3D convolution, spelled in two dimensions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kinema.layers.time_conv import TimeConv


@pytest.mark.parametrize(("steps", "groups"), [(3, 1), (3, 4), (1, 1), (5, 2)])
def test_values_and_gradients_are_those_of_conv3d(steps: int, groups: int) -> None:
    conv = TimeConv(8, 12, steps, groups=groups).double()
    x = torch.randn(2, 8, 4, 3, 5, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    y = conv(x)
    wanted = F.conv3d(x, conv.weight, padding=(steps // 2, 0, 0), groups=groups)
    torch.testing.assert_close(y, wanted)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    seen = torch.randn_like(y)
    ours = torch.autograd.grad(y, (x, conv.weight), seen)
    theirs = torch.autograd.grad(wanted, (x, conv.weight), seen)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_an_even_number_of_steps_has_no_middle() -> None:
    with pytest.raises(ValueError, match="steps=4 of a convolution along time must be odd"):
        TimeConv(8, 8, 4)
