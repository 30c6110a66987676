"""Temporal shift: part of the channels moves one step along time (arXiv:1811.08383)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .streaming import State


def shift_by_pad(x: Tensor, past: int, future: int) -> Tensor:
    """The spelling for compilers: `pad` and `cat` only.

    Batch and time stay dynamic in an exported graph.

    Args:
        x: (N, C, T, H, W).
        past: the first channels take the value of the frame after (the future moves back).
        future: the next channels take the value of the frame before. Frames beyond the ends are
            zero.
    """
    back, ahead, rest = x.split((past, future, x.shape[1] - past - future), dim=1)
    back = F.pad(back, (0, 0, 0, 0, 0, 1))[:, :, 1:]
    ahead = F.pad(ahead, (0, 0, 0, 0, 1, 0))[:, :, :-1]
    return torch.cat((back, ahead, rest), dim=1)


class ShiftByCopy(torch.autograd.Function):
    """The spelling for eager mode: five slice copies into fresh memory.

    The backward pass is the opposite shift. Autograd through slice assignments would clone and zero
    the whole map several times; this touches every element once.
    """

    @staticmethod  # `ctx` has no public type in torch
    def forward(ctx, x: Tensor, past: int, future: int, forth: bool) -> Tensor:  # type: ignore[no-untyped-def]
        """`forth`: False runs the shift backwards in time (its adjoint)."""
        ctx.args = past, future, forth
        y = torch.empty_like(x)
        a, b = slice(None, past), slice(past, past + future)
        earlier, later = slice(None, -1), slice(1, None)
        first, last = slice(None, 1), slice(-1, None)
        if not forth:
            earlier, later, first, last = later, earlier, last, first
        y[:, a, earlier] = x[:, a, later]
        y[:, a, last] = 0
        y[:, b, later] = x[:, b, earlier]
        y[:, b, first] = 0
        y[:, past + future :] = x[:, past + future :]
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[no-untyped-def]
        """The shift is a permutation with zeros, so its adjoint is the shift the other way."""
        past, future, forth = ctx.args
        opposite = ShiftByCopy.apply(grad, past, future, not forth)  # type: ignore[no-untyped-call]
        return opposite, None, None, None


def shift(x: Tensor, past: int, future: int) -> Tensor:
    """Moves `past` channels of (N, C, T, H, W) one frame back, the next `future` ones ahead."""
    if torch.compiler.is_compiling():
        return shift_by_pad(x, past, future)
    return ShiftByCopy.apply(x, past, future, True)  # type: ignore[no-untyped-call]


class TemporalShift(nn.Module):
    """Moves 1/div of the channels one step back in time, 1/div forward (arXiv:1811.08383).

    Zeros enter at both ends. Where div does not divide C, floor(C/div) channels move each way; none
    below div channels.

    Args:
        div: share of the channels that moves in one direction is 1/div.
    """

    def __init__(self, div: int = 8) -> None:
        super().__init__()
        if div < 2:
            raise ValueError(f"shift_div={div} must be at least 2: two shares of 1/div move")
        self.div = div

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        share = x.shape[1] // self.div
        return shift(x, share, share)

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"div={self.div}"


class CausalShift(nn.Module):
    """Moves the first 1/div of the channels one step forward in time.

    Frames see the past only (arXiv:1811.08383, 4.2). Streams: `step` keeps those channels of the
    last frame. Weights of the two-sided shift do not fit: there the same channels come from the
    future.

    Args:
        div: share of the channels that moves is 1/div.
    """

    def __init__(self, div: int = 8) -> None:
        super().__init__()
        if div < 1:
            raise ValueError(f"shift_div={div} must be at least 1")
        self.div = div

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        return shift(x, 0, x.shape[1] // self.div)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x: (N, C, 1, H, W); state: the first C // div channels of the frame before."""
        share = x.shape[1] // self.div
        kept = x[:, :share]
        past = state if isinstance(state, Tensor) else torch.zeros_like(kept)
        return torch.cat((past, x[:, share:]), dim=1), kept

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"div={self.div}"


class TemporalPool(nn.MaxPool3d):
    """Max pooling over three neighbouring frames, every second kept: T -> ceil(T / 2).

    Deviation: the authors' code views T as pairs and fails on an odd T; this keeps the last frame's
        window.
    """

    def __init__(self) -> None:
        super().__init__(kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
