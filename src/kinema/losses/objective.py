"""What is minimised: a model and its loss terms, one module for DDP and the compiler to wrap.

Terms may own parameters (an auxiliary head): they are trained with the model and stay out of its
file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import VideoModel
from ..types import Outputs


class LossTerm(Protocol):
    """One summand of the objective; also an nn.Module."""

    name: str
    weight: float
    taps: tuple[str, ...]

    def __call__(self, out: Outputs, target: Tensor) -> Tensor:
        """Mean over the batch, () float; target (N,) int64 or (N, K) float, see `Batch`."""
        ...


class TermConfig(Protocol):
    """The plain-data half of a term: a frozen dataclass whose first field is `kind`, a Literal."""

    def build(self, model: VideoModel) -> LossTerm:
        """The term for this model; `model.backbone.tap_channels` sizes an auxiliary head."""
        ...


@dataclass
class LossReport:
    """total () to call backward on; detached: parts name -> () unweighted, logits (N, K)."""

    total: Tensor
    parts: dict[str, Tensor]
    logits: Tensor


class CrossEntropy(nn.Module):
    """Softmax cross entropy against class indices or shares of classes.

    A row of shares that adds up to more than one, of a clip with several labels, is divided by its
    sum: the target is the even distribution over the labels (arXiv:1805.00932).

    Args:
        weight: factor in the objective.
        smoothing: share of the target spread evenly over all classes (arXiv:1512.00567, section 7).
    """

    name = "cross_entropy"
    taps: tuple[str, ...] = ()

    def __init__(self, weight: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.weight = weight
        self.smoothing = smoothing

    def forward(self, out: Outputs, target: Tensor) -> Tensor:
        """Cross entropy in float32, () float."""
        target = distribution(target)
        return F.cross_entropy(out.logits.float(), target, label_smoothing=self.smoothing)


def distribution(target: Tensor) -> Tensor:
    """What the softmax shall give: (N,) indices as they are, rows of (N, K) that sum to one."""
    if target.ndim == 1:
        return target
    return target / target.sum(1, keepdim=True).clamp_min(1)


@dataclass(frozen=True, kw_only=True)
class CrossEntropyConfig:
    """See `CrossEntropy`."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    weight: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"loss smoothing={self.smoothing} must be at least 0 and below 1")

    def build(self, model: VideoModel) -> CrossEntropy:
        """The term; it needs nothing of the model."""
        return CrossEntropy(self.weight, self.smoothing)


class Objective(nn.Module):
    """A model and the terms it is trained with.

    Args:
        model: its weights are the deployable ones.
        terms: at least one; names are unique.
    """

    def __init__(self, model: VideoModel, terms: Sequence[LossTerm]) -> None:
        super().__init__()
        names = [term.name for term in terms]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"loss terms {names} must be at least one, each name once")
        known: Mapping[str, int] = model.backbone.tap_channels
        for term in terms:
            missing = [tap for tap in term.taps if tap not in known]
            if missing:
                raise ValueError(
                    f"loss term {term.name} asks for the taps {missing}, which {model.spec.name} "
                    f"does not have; it has {', '.join(known)}"
                )
        self.model = model
        self.terms = nn.ModuleDict({term.name: _module(term) for term in terms})
        self._terms = tuple(terms)
        self._taps = tuple(sorted({tap for term in terms for tap in term.taps}))

    def forward(self, clips: Tensor, target: Tensor) -> LossReport:
        """clips: (N, C, T, H, W) float, normalised; target: (N,) int64 or (N, K) float 0..1."""
        out = self.model.run(clips, self._taps)
        parts = {term.name: term(out, target) for term in self._terms}
        total = torch.stack([term.weight * parts[term.name] for term in self._terms]).sum()
        detached = {name: part.detach() for name, part in parts.items()}
        return LossReport(total, detached, out.logits.detach())


def _module(term: LossTerm) -> nn.Module:
    assert isinstance(term, nn.Module), f"{term.name} must be an nn.Module"
    return term
