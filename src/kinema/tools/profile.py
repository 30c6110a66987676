"""What a model costs: parameters and multiply-adds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..models import VideoModel

# Layers with weights; products between activations (attention) are counted apart, as published
# figures leave them out.
_LAYERS = ("convolution", "mm", "addmm")
Counts = Mapping[object, int]


@dataclass(frozen=True)
class Stage:
    """One top-level part of a model: its share of the parameters and of the multiply-adds."""

    name: str
    params: int
    macs: int


@dataclass(frozen=True)
class Profile:
    """What one view of a video costs.

    Attributes:
        params: number of weights.
        macs: multiply-adds of convolution and linear layers; what the papers call FLOPs.
        attention_macs: multiply-adds of products between activations (non-local blocks), not in
            `macs`.
        clip: (C, T, H, W) it was counted for.
        stages: parts in the order of the pass; their sums are `params` and `macs`.
    """

    params: int
    macs: int
    attention_macs: int
    clip: tuple[int, int, int, int]
    stages: tuple[Stage, ...]

    @property
    def flops(self) -> int:
        """Two per multiply-add."""
        return 2 * self.macs

    def table(self) -> str:
        """The stages as lines of text."""
        rows = [*self.stages, Stage("total", self.params, self.macs)]
        lines = [f"{'part':<24}{'params':>14}{'GMACs':>12}"]
        lines += [f"{s.name:<24}{s.params:>14,}{s.macs / 1e9:>12.3f}" for s in rows]
        if self.attention_macs:
            lines.append(f"{'attention products':<38}{self.attention_macs / 1e9:>12.3f}")
        return "\n".join(lines)


def profile(model: VideoModel, clip: tuple[int, int, int, int] = (3, 8, 224, 224)) -> Profile:
    """Counts a model without running it: shapes flow through it, numbers do not.

    Args:
        model: any; it is not changed.
        clip: (C, T, H, W) of one view.
    """
    ghost = copy.deepcopy(model).to("meta").eval()
    stated = _StatedMacs(ghost)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        ghost(torch.empty(1, *clip, device="meta"))
    counts = counter.get_flop_counts()
    total = counts["Global"]
    layers = _macs(total)
    stages = tuple(
        Stage(
            name,
            params,
            _macs_inside(part, f"{type(model).__name__}.{name}", counts) + stated.inside(name),
        )
        for name, part in _parts(ghost)
        if (params := sum(p.numel() for p in part.parameters()))
    )
    return Profile(
        params=sum(p.numel() for p in model.parameters()),
        macs=layers + stated.inside(""),
        attention_macs=sum(total.values()) // 2 - layers,
        clip=clip,
        stages=stages,
    )


class _StatedMacs:
    """Multiply-adds of modules that are convolutions to their authors, and none to torch.

    Such a module has a method `macs(x)` for its input x, the temporal aggregation for one.
    """

    def __init__(self, model: nn.Module) -> None:
        self._counts: dict[str, int] = {}
        for name, part in model.named_modules():
            if callable(getattr(part, "macs", None)):
                part.register_forward_pre_hook(partial(self._count, name))

    def _count(self, name: str, part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        macs = part.macs
        assert callable(macs)
        self._counts[name] = self._counts.get(name, 0) + int(macs(*inputs))

    def inside(self, name: str) -> int:
        """Of a part of the model and everything in it; "": of the whole model."""
        return sum(
            n for key, n in self._counts.items() if not name or f"{key}.".startswith(f"{name}.")
        )


def _parts(model: VideoModel) -> list[tuple[str, nn.Module]]:
    """The backbone's children, the neck, the head."""
    assert isinstance(model.backbone, nn.Module)
    parts = [(f"backbone.{name}", part) for name, part in model.backbone.named_children()]
    return parts + [(name, part) for name, part in model.named_children() if name != "backbone"]


def _macs_inside(part: nn.Module, name: str, counts: Mapping[str, Counts]) -> int:
    """A part that is only a container was never called itself; then its children were."""
    if name in counts:
        return _macs(counts[name])
    return sum(_macs_inside(c, f"{name}.{n}", counts) for n, c in part.named_children())


def _macs(counts: Counts) -> int:
    return sum(n for op, n in counts.items() if str(op).split(".")[-1] in _LAYERS) // 2
