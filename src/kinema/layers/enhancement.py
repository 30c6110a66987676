"""Channel weights from what changes between frames: MEM (TEINet) and PEM (TDRL)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import check_choice

Gate = Literal["scalar", "channel"]
MemoryStart = Literal["difference", "zeros"]
LastDifference = Literal["ones", "zeros"]

MEM_START = 0.95


def pooled(x: Tensor) -> Tensor:
    """The mean of every frame: (N, C, T, H, W) -> (N, T, C)."""
    return x.mean((3, 4)).transpose(1, 2)


def weigh(x: Tensor, weights: Tensor) -> Tensor:
    """Channels of x (N, C, T, H, W) times weights (N, T, C), the same at every position."""
    return x * weights.transpose(1, 2)[..., None, None]


def with_last(x: Tensor, value: float) -> Tensor:
    """Puts `value` in place of the last frame: (N, T, C) -> same."""
    last = torch.arange(x.shape[1], device=x.device) == x.shape[1] - 1
    return torch.where(last[:, None], value, x)


class FrameDifference(nn.Module):
    """What changes from one pooled frame to the next: f2(x[t+1]) - f1(x[t]), two 1x1 convolutions.

    Args:
        channels: C.
        reduced: C/r.
        bias: of both.
    """

    def __init__(self, channels: int, reduced: int, *, bias: bool = True) -> None:
        super().__init__()
        self.now = nn.Linear(channels, reduced, bias)
        self.next = nn.Linear(channels, reduced, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) -> (N, T, C/r); the last frame has no next one, what stands there is void."""
        after = F.pad(x, (0, 0, 0, 1))[:, 1:]  # T stays open in an exported graph
        return self.next(after) - self.now(x)


class _Enhancement(nn.Module):
    """What MEM and PEM share: the differences, and the way from them to weights in (0, 1)."""

    def __init__(self, channels: int, reduction: int, *, bias: bool, gate_init: float) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"reduction={reduction} must be at least 1")
        if not 0 < gate_init < 1:
            raise ValueError(f"gate_init={gate_init} must be between 0 and 1, both excluded")
        if not bias and gate_init != 0.5:
            raise ValueError(f"gate_init={gate_init} needs a bias; without one it is 0.5")
        self.gate_init = gate_init
        reduced = max(channels // reduction, 1)
        self.difference = FrameDifference(channels, reduced, bias=bias)
        self.expand = nn.Linear(reduced, channels, bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """At the start every channel of every frame is weighted with about `gate_init`."""
        nn.init.normal_(self.expand.weight, std=1e-3)
        if self.expand.bias is not None:
            nn.init.constant_(self.expand.bias, math.log(self.gate_init / (1 - self.gate_init)))


class MotionEnhancement(_Enhancement):
    """MEM: channels that differ from those of the next frame are let through (arXiv:1911.09435).

    a[t] = sigmoid(W (f2(x[t+1]) - f1(x[t]))) on pooled frames; the last frame passes unchanged.
    The authors released no code and the whole paper was not at hand: reduction, biases and
    initialisation are ours. Because the last frame passes as it is, the others start close to that:
    from 0.5 it is twice as strong as they are in front of every block, and a ResNet-18 stays at
    chance where it learns to 98 % from 0.95 (docs/findings.md).

    Args:
        channels: C.
        reduction: r, C/r channels in between; one at least.
        bias: of the three linear maps.
        gate_init: weight of every channel at the start; without a bias it is 0.5.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        *,
        bias: bool = True,
        gate_init: float | None = None,
    ) -> None:
        if gate_init is None:
            gate_init = MEM_START if bias else 0.5
        super().__init__(channels, reduction, bias=bias, gate_init=gate_init)

    def weights(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, T, C), in (0, 1]."""
        return with_last(self.expand(self.difference(pooled(x))).sigmoid(), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        return weigh(x, self.weights(x))


class ProgressiveEnhancement(_Enhancement):
    """PEM: channels are weighted by a memory of what has changed so far (arXiv:2007.07626, 3.2).

    On pooled frames: d[t] = f2(x[t+1]) - f1(x[t]), for the last frame ones (Fig. 1); a gate
    g[t] = sigmoid(W_g [m[t-1], d[t]]); the memory m[t] = (1 - g[t]) m[t-1] + g[t] d[t]; weights
    sigmoid(W_a m[t]) (eq. 1 to 4). Not causal: d looks at the next frame, and the memory starts
    from the end of the clip.

    The paper was at hand in its figures and equations; what they leave open is ours: reduction 8
    (as in MEM; that there is one is drawn in Fig. 1), a scalar gate (the paper typesets it as a
    scalar), biases on all four maps, weights of 0.5 at the start.

    Args:
        channels: C.
        reduction: r, C/r channels in between; one at least.
        gate: one number per frame, or one per channel of the memory.
        memory_start: m[0]: the last real difference, which the authors found better, or zeros. A
            clip of one frame has no difference and starts from zeros.
        last_difference: d[T], which has no next frame: ones as in Fig. 1, or zeros.
        bias: of the four linear maps.
        gate_init: weight of every channel at the start.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        *,
        gate: Gate = "scalar",
        memory_start: MemoryStart = "difference",
        last_difference: LastDifference = "ones",
        bias: bool = True,
        gate_init: float = 0.5,
    ) -> None:
        super().__init__(channels, reduction, bias=bias, gate_init=gate_init)
        check_choice("gate", gate, Gate)
        check_choice("memory_start", memory_start, MemoryStart)
        check_choice("last_difference", last_difference, LastDifference)
        self.memory_start = memory_start
        self.last = 1.0 if last_difference == "ones" else 0.0
        reduced = self.expand.in_features
        self.update = nn.Linear(2 * reduced, 1 if gate == "scalar" else reduced, bias)

    def weights(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, T, C), in (0, 1)."""
        changes = with_last(self.difference(pooled(x)), self.last)  # (N, T, C/r)
        if self.memory_start == "difference" and x.shape[2] > 1:
            start = changes[:, -2]
        else:
            start = torch.zeros_like(changes[:, 0])
        return self.expand(gated_memory(changes, start, self.update)).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        return weigh(x, self.weights(x))


def gated_memory(changes: Tensor, start: Tensor, update: nn.Linear) -> Tensor:
    """A memory that takes up as much of every change as its gate says (arXiv:2007.07626, eq. 3, 4).

    Only the gate's view of the memory has to wait for the frame before; its view of the changes is
    one product for all frames.

    Args:
        changes: (N, T, R).
        start: (N, R), the memory before the first frame.
        update: (memory, change) (2R) -> gate (1 or R).

    Returns:
        (N, T, R).
    """
    of_memory, of_change = update.weight.split(changes.shape[2], dim=1)
    pulls = F.linear(changes, of_change, update.bias)  # (N, T, 1 or R)
    if torch.compiler.is_compiling() and torch.compiler.is_exporting():
        # A Python loop would fix T in the exported graph. Not `scan` around it: that compiles the
        # step anew for every block of the network.
        from torch._higher_order_ops.scan import scan_op

        by_time = [x.transpose(0, 1).contiguous() for x in (changes, pulls)]
        return scan_op(_take_up, [start.contiguous()], by_time, (of_memory,))[1].transpose(0, 1)
    memory, memories = start, []
    for change, pull in zip(changes.unbind(1), pulls.unbind(1), strict=True):
        memory, _ = _take_up(memory, change, pull, of_memory)
        memories.append(memory)
    return torch.stack(memories, dim=1)


def _take_up(memory: Tensor, change: Tensor, pull: Tensor, of_memory: Tensor) -> list[Tensor]:
    """One frame of `gated_memory`: the new memory, twice, because `scan` stacks a second one."""
    gate = (pull + F.linear(memory, of_memory)).sigmoid()
    memory = (1 - gate) * memory + gate * change
    return [memory, memory.clone() if torch.compiler.is_compiling() else memory]
