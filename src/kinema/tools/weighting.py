"""What streams say together under given weights, and the weights that are best on other videos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..engine.matched import Matched, match
from ..engine.metrics import TINY, Floats, mean_loss
from ..engine.scores import Scores
from ..progress import Progress
from ..types import Activation, EvalProtocol

Average = Literal["prob", "logit"]

STEPS = 20  # shares of a search are multiples of 1/20
MOST = 20_000  # weightings a search may try
ONE_VIEW = EvalProtocol()


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """Weights that a search tried, and what they gave on the videos of the search."""

    weights: tuple[float, ...]
    top1: float
    loss: float


def fused(matched: Matched, shares: Sequence[float], average: Average) -> Floats:
    """(n, K) float32 logits, the one form in which scores are kept.

    Averaged probabilities are kept as the logits that give them.
    """
    if average == "logit":
        total = np.tensordot(np.array(shares), matched.logits, axes=1)
    else:
        probs = np.tensordot(np.array(shares), matched.probs, axes=1)
        total = np.log(np.maximum(probs, TINY))
        if matched.activation == "sigmoid":
            total -= np.log(np.maximum(1 - probs, np.finfo(np.float64).eps))
    return total.astype(np.float32)


def probabilities(logits: Floats, activation: Activation) -> Floats:
    """(n, K), as a reader of the fusion's scores file makes them."""
    return ONE_VIEW.combine(torch.from_numpy(logits)[:, None], activation).numpy()


def match_others(places: Sequence[Path], tested: Matched) -> Matched:
    """The scores a search looks at: the same streams on other videos.

    Raises:
        ValueError: for another number of streams, other labels, and videos of the test.
    """
    if len(places) != len(tested.tests):
        raise ValueError(
            f"a search needs one scores file per stream, {len(tested.tests)}, got {len(places)}"
        )
    judged = match(places)
    if set(judged.labels) != set(tested.labels):
        raise ValueError(
            f"{places[0]}: its {len(judged.labels)} labels are not the {len(tested.labels)} of the "
            "test; search on scores of the same models"
        )
    for place, own, other in zip(places, judged.tests, tested.tests, strict=True):
        both = _videos(own) & _videos(other)
        if both:
            raise ValueError(
                f"{place} has {len(both)} videos of the test, such as {min(both)[0]!r}; weights "
                "must be chosen on other videos, such as a validation split"
            )
    return judged


def _videos(scores: Scores) -> set[tuple[str, str]]:
    """Ids alone do not tell: every split may begin to count anew."""
    return set(zip(scores.ids, map(str, scores.paths), strict=True))


def search_weights(judged: Matched, average: Average, steps: int) -> tuple[Weighting, ...]:
    """All weightings, the best first: by top-1, of equals by the loss, as a run keeps its best."""
    streams = len(judged.tests)
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    count = math.comb(steps + streams - 1, streams - 1)
    if count > MOST:
        raise ValueError(
            f"steps={steps} gives {count:,} weightings of {streams} streams, and at most {MOST:,} "
            "are tried; take fewer steps"
        )
    found = []
    with Progress("search", count) as bar:
        for parts in _compositions(steps, streams):
            shares = tuple(part / steps for part in parts)
            probs = probabilities(fused(judged, shares, average), judged.activation)
            loss = mean_loss(probs, judged.truth, judged.activation)
            top1 = float(judged.right(probs).mean())
            found.append(Weighting(weights=shares, top1=top1, loss=loss))
            bar.advance()
    return tuple(sorted(found, key=lambda one: (-one.top1, one.loss)))


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways of sharing a number out, in order: (0, 2), (1, 1), (2, 0)."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
