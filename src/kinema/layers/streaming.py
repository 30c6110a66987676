"""Running a network frame by frame with explicit state.

A frame is a clip with T = 1. `step(x, state) -> (y, state)` of a causal module gives, over the
frames of a clip, what `forward` gives on the whole clip; `state=None` is the beginning.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from .layout import FrameConv, FramePool, FrameWise

State: TypeAlias = "Tensor | tuple[State, ...] | None"


@runtime_checkable
class Streamable(Protocol):
    """A module that can run frame by frame."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x: (N, C, 1, H, W)."""
        ...


# Modules that never look at another frame (batch norm: in eval mode, the only one a stream runs
# in).
FRAME_BY_FRAME = (
    FrameConv, FramePool, FrameWise, nn.BatchNorm3d, nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout
)  # fmt: skip


def step(module: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One frame through `module`.

    Raises:
        TypeError: for a module that looks at other frames and has no `step`.
    """
    if isinstance(module, Streamable):
        return module.step(x, state)
    if isinstance(module, FRAME_BY_FRAME):
        return module(x), None
    if type(module) is nn.Sequential:
        return step_through(module, x, state)
    raise TypeError(
        f"{type(module).__name__} cannot run frame by frame: it needs other frames; "
        "use a causal model (kinema models '*_causal') or a sliding window"
    )


def step_through(
    modules: nn.Sequential | list[nn.Module], x: Tensor, state: State
) -> tuple[Tensor, State]:
    """One frame through modules in a row; the state is the tuple of theirs."""
    before = state if isinstance(state, tuple) else (None,) * len(modules)
    after: list[State] = []
    for module, past in zip(modules, before, strict=True):
        x, new = step(module, x, past)
        after.append(new)
    return x, tuple(after)
