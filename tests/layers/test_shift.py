from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kinema.layers.shift import CausalShift, TemporalPool, TemporalShift, shift, shift_by_pad


def clip(channels: int = 16, steps: int = 5) -> Tensor:
    x = torch.randn(2, channels, steps, 3, 4)
    return x.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("past", "future"), [(2, 2), (0, 3), (0, 0), (8, 8)])
def test_the_two_spellings_agree_with_gradients(steps: int, past: int, future: int) -> None:
    x, weight = clip(steps=steps), torch.randn(2, 16, steps, 3, 4)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ya, yb = shift(a, past, future), shift_by_pad(b, past, future)
    assert torch.equal(ya, yb)
    (ya * weight).sum().backward()
    (yb * weight).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert torch.equal(a.grad, b.grad)


def test_second_derivatives_agree() -> None:
    x = torch.randn(1, 4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: shift(x, 1, 1) ** 2, x)


def test_a_hand_written_shift() -> None:
    x = torch.arange(1.0, 13.0).view(1, 4, 3, 1, 1)  # channel c, frame t: 3c + t + 1
    assert TemporalShift(4)(x).view(4, 3).tolist() == [
        [2, 3, 0],
        [0, 4, 5],
        [7, 8, 9],
        [10, 11, 12],
    ]
    assert CausalShift(4)(x).view(4, 3).tolist() == [[0, 1, 2], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


def test_memory_format_is_kept() -> None:
    assert TemporalShift()(clip()).is_contiguous(memory_format=torch.channels_last_3d)


def test_exports_with_dynamic_batch_and_time() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = TemporalShift(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.shift(x) * 2

    batch, steps = torch.export.Dim("batch", max=64), torch.export.Dim("steps", min=2, max=64)
    program = torch.export.export(Net(), (clip(),), dynamic_shapes={"x": {0: batch, 2: steps}})
    other = torch.randn(3, 16, 9, 3, 4)
    assert torch.equal(program.module()(other), Net()(other))


def test_few_channels_stay() -> None:
    x = torch.randn(1, 7, 3, 1, 1)
    assert torch.equal(TemporalShift(8)(x), x)


@pytest.mark.parametrize("div", [0, 1])
def test_a_share_too_large_is_refused(div: int) -> None:
    with pytest.raises(ValueError, match=f"shift_div={div} must be at least 2"):
        TemporalShift(div)


def test_temporal_pool_keeps_odd_lengths() -> None:
    x = torch.arange(5.0).view(1, 1, 5, 1, 1)
    assert TemporalPool()(x).flatten().tolist() == [1, 3, 4]
