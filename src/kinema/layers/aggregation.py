"""Temporal aggregation: every channel is a weighted sum of itself over neighbouring frames.

The module of bLVNet-TAM (arXiv:1912.00869, equation 3). Not to be taken for TANet's "temporal
adaptive module", which has the same initials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Init = Literal["official", "identity", "tsm"]
TSM_DIV = 8  # the share of channels that the start `tsm` moves each way


class _Blend(torch.autograd.Function):
    """The spelling for eager mode: one map, to which every neighbour is added in place.

    Only the input is kept for the backward pass, however many neighbours there are.
    """

    @staticmethod  # `ctx` has no public type in torch
    def forward(  # type: ignore[no-untyped-def]
        ctx, x: Tensor, offsets: tuple[int, ...], start: int, stride: int, *weights: Tensor
    ) -> Tensor:
        """See `blend`."""
        ctx.save_for_backward(x, *weights)
        ctx.where = offsets, start, stride
        steps = len(range(start, x.shape[2], stride))
        places = [_overlap(x.shape[2], steps, start + offset, stride) for offset in offsets]
        whole = next((i for i, (_, here) in enumerate(places) if here == slice(0, steps)), None)
        if whole is None:
            y = torch.zeros_like(x[:, :, :steps])
        else:
            y = x[:, :, places[whole][0]] * weights[whole]
        for i, ((there, here), weight) in enumerate(zip(places, weights, strict=True)):
            if i != whole:
                y[:, :, here].addcmul_(x[:, :, there], weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        """The input's gradient is the sum the other way; a weight's is a product summed up."""
        x, *weights = ctx.saved_tensors
        offsets, start, stride = ctx.where
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        grads: list[Tensor] = []
        for offset, weight in zip(offsets, weights, strict=True):
            there, here = _overlap(x.shape[2], grad.shape[2], start + offset, stride)
            if grad_x is not None:
                grad_x[:, :, there].addcmul_(grad[:, :, here], weight)
            product = grad[:, :, here] * x[:, :, there]
            grads.append(product.sum((0, 2, 3, 4)).view_as(weight))
        return grad_x, None, None, None, *grads


def _overlap(frames: int, steps: int, first: int, stride: int) -> tuple[slice, slice]:
    """Which frames first, first + stride, ... exist, and the steps they belong to."""
    begin = max(0, math.ceil(-first / stride))
    end = max(begin, min(steps, math.ceil((frames - first) / stride)))
    at = max(0, first + stride * begin)
    return slice(at, max(at, first + stride * end), stride), slice(begin, end)


def _blend_by_pad(
    x: Tensor, offsets: Sequence[int], start: int, stride: int, weights: Sequence[Tensor]
) -> Tensor:
    """The spelling for compilers: padded sums, with batch and time dynamic in an exported graph."""
    before, after = max(0, -min(offsets)), max(0, max(offsets))
    padded = F.pad(x, (0, 0, 0, 0, before, after))
    parts = [
        padded[:, :, before + offset : before + offset + x.shape[2]][:, :, start::stride] * weight
        for offset, weight in zip(offsets, weights, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def blend(
    x: Tensor,
    weights: Sequence[Tensor],
    offsets: Sequence[int],
    *,
    start: int = 0,
    stride: int = 1,
) -> Tensor:
    """y[k] = sum over i of weights[i] * x[start + stride * k + offsets[i]].

    Frames beyond the ends count as zero.

    Args:
        x: (N, C, T, H, W).
        weights: each (C, 1, 1, 1).
        offsets: distance in frames, one per weight.
        start: frame of the first step.
        stride: frames from step to step.

    Returns:
        (N, C, ceil((T - start) / stride), H, W).
    """
    weights = [weight.to(x.dtype) for weight in weights]
    if torch.compiler.is_compiling():
        return _blend_by_pad(x, offsets, start, stride, weights)
    y: Tensor = _Blend.apply(x, tuple(offsets), start, stride, *weights)  # type: ignore[no-untyped-call]
    return y


class TemporalAggregation(nn.Module):
    """y[t] = ReLU(sum over j of w[j] * x[t + j]), j from -(r // 2) to r // 2, w[j] per channel.

    TAM of arXiv:1912.00869, equation 3. Frames beyond the ends of the clip are zero.

    Args:
        channels: C.
        r: frames that are summed, an odd number; more than T is allowed, the ones beyond the clip
            add nothing.
        init: `official`: normal with variance 2 / C, which is what the authors' code amounts to;
            `identity`: the frame itself; `tsm`: 1/8 of the channels from the frame after, 1/8 from
            the frame before, which equals the temporal shift on maps that are not negative.
    """

    def __init__(self, channels: int, r: int = 3, init: Init = "official") -> None:
        super().__init__()
        if r < 1 or r % 2 == 0:
            raise ValueError(f"tam_r={r} must be an odd number of frames: 1, 3, 5, ...")
        if init not in get_args(Init):
            raise ValueError(f"tam_init={init!r} must be one of {', '.join(get_args(Init))}")
        if init == "tsm" and r < 3:
            raise ValueError(f"tam_init='tsm' needs neighbours: tam_r={r} must be 3 or more")
        self.offsets = tuple(range(-(r // 2), r // 2 + 1))
        self.init = init
        self.weights = nn.ParameterList(torch.empty(channels, 1, 1, 1) for _ in self.offsets)
        self.relu = nn.ReLU(inplace=True)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Fresh weights, see `init`."""
        by_offset = dict(zip(self.offsets, self.weights, strict=True))
        if self.init == "official":
            for weight in self.weights:
                nn.init.normal_(weight, std=math.sqrt(2 / len(weight)))
            return
        for weight in self.weights:
            nn.init.zeros_(weight)
        nn.init.ones_(by_offset[0])
        if self.init == "tsm":
            share = len(by_offset[0]) // TSM_DIV
            for offset, part in ((1, slice(share)), (-1, slice(share, 2 * share))):
                by_offset[0][part] = 0
                by_offset[offset][part] = 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        return self.relu(blend(x, list(self.weights), self.offsets))

    def macs(self, x: Tensor) -> int:
        """Multiply-adds for an input, as the authors count them: one per weight and element."""
        return len(self.offsets) * x.numel()

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"r={len(self.offsets)}, init={self.init}"


class FrameSplit(TemporalAggregation):
    """The aggregated frames 0, 2, 4, ... and 1, 3, 5, ... of a clip with an even T, apart."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(N, C, T, H, W) -> twice (N, C, T / 2, H, W)."""
        weights = list(self.weights)
        first = blend(x, weights, self.offsets, start=0, stride=2)
        second = blend(x, weights, self.offsets, start=1, stride=2)
        return self.relu(first), self.relu(second)


class PairSplit(TemporalAggregation):
    """What `FrameSplit` gives for a clip in which every frame of the input stands twice.

    The pairs are never made: a neighbour j frames away from one half of a pair belongs to the pair
    floor(j / 2) or floor((j + 1) / 2) away, and weights of one pair add up.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(N, C, T, H, W) -> twice the same."""
        return self._half(x, 0), self._half(x, 1)

    def _half(self, x: Tensor, half: int) -> Tensor:
        by_pair: dict[int, Tensor] = {}
        for offset, weight in zip(self.offsets, self.weights, strict=True):
            pair = (offset + half) // 2
            by_pair[pair] = by_pair[pair] + weight if pair in by_pair else weight
        return self.relu(blend(x, list(by_pair.values()), list(by_pair)))

    def macs(self, x: Tensor) -> int:
        """As the authors count them, whose code aggregates both frames of every pair."""
        return 2 * super().macs(x)
