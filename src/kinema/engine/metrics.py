"""Numbers that say how good predictions are: from probabilities and targets alone, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.integer]
Bools: TypeAlias = npt.NDArray[np.bool_]

ROUNDS = 10_000  # resampled accuracies behind an interval
BINS = 15  # of confidence, as in arXiv:1706.04599


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The summary of a test; every share is between 0 and 1.

    A video that could not be read is one that was not recognised: it counts in `top1`, `top5`,
    `mean_class` and `interval` as wrong, so that a hard file cannot raise a result by failing.

    Attributes:
        clips: videos of the test.
        top1: share whose most probable label is right.
        top5: share whose label is among the five most probable; with at most five classes, the
            share that could be read.
        mean_class: recall averaged over the classes that occur, whatever their sizes.
        loss: mean negative log probability of the right label, in nats, of the videos read.
        ece: expected calibration error of the videos read.
        interval: 95 % bootstrap interval of `top1` over the videos.
        unread: videos of the test that could not be read.
    """

    clips: int
    top1: float
    top5: float
    mean_class: float
    loss: float
    ece: float
    interval: tuple[float, float]
    unread: int = 0


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One row of the per-class table.

    `recall` is nan for a class without videos, `precision` for one never predicted, `f1` where both
    are.
    """

    index: int
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a probability is worth: bins of equal width over the probability of the predicted label.

    Attributes:
        ece: mean gap between confidence and accuracy over the videos (arXiv:1706.04599, eq. 3).
        edges: (B + 1,) borders of the bins; a bin includes its upper border.
        counts: (B,) videos in each bin.
        confidence: (B,) mean probability of the predicted label; nan in an empty bin.
        accuracy: (B,) share that is right; nan in an empty bin.
    """

    ece: float
    edges: Floats
    counts: Ints
    confidence: Floats
    accuracy: Floats


def summarise(
    probs: Floats, targets: Ints, *, unread: Sequence[int] = (), seed: int = 0
) -> Metrics:
    """All summary figures of one test.

    Args:
        probs: (n, K), rows sum to one.
        targets: (n,) class indices; every video needs one.
        unread: class indices of further videos, which could not be read.
        seed: of the bootstrap.

    Raises:
        ValueError: for shapes that do not fit, targets outside 0..K-1 and rows that are no
            distribution.
    """
    probs, targets = check(probs, targets)
    ranks = target_ranks(probs, targets)
    true = probs[np.arange(len(targets)), targets]
    recall = np.array([row.recall for row in per_class(probs, targets, unread=unread)])
    ranks = np.append(ranks, np.full(len(unread), probs.shape[1]))
    return Metrics(
        clips=len(ranks),
        top1=float(np.mean(ranks < 1)),
        top5=float(np.mean(ranks < min(5, probs.shape[1]))),
        mean_class=float(np.nanmean(recall)),
        loss=float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean()),
        ece=calibration(probs, targets).ece,
        interval=bootstrap_interval(ranks < 1, seed=seed),
        unread=len(unread),
    )


def check(probs: Floats, targets: Ints) -> tuple[Floats, Ints]:
    """(n, K) probabilities as float64, (n,) targets as int64; a ValueError says what is wrong."""
    probs, targets = np.asarray(probs, dtype=np.float64), np.asarray(targets)
    if probs.ndim != 2 or targets.shape != probs.shape[:1] or not len(targets):
        raise ValueError(
            f"probs of shape {probs.shape} and targets of shape {targets.shape} must be (n, K) and "
            "(n,) with n at least 1"
        )
    wrong = np.flatnonzero((targets < 0) | (targets >= probs.shape[1]))
    if len(wrong):
        unlabelled = int(np.sum(targets == -1))
        raise ValueError(
            f"{len(wrong)} of {len(targets)} targets are outside 0..{probs.shape[1] - 1} "
            f"(the first at row {wrong[0]}; {unlabelled} are -1, unlabelled); "
            "score labelled videos only"
        )
    sums = probs.sum(axis=1)
    bad = np.flatnonzero(~(np.abs(sums - 1) < 1e-3) | (probs.min(axis=1) < 0))
    if len(bad):
        raise ValueError(
            f"row {bad[0]} of probs sums to {sums[bad[0]]:.6g} (smallest value "
            f"{probs[bad[0]].min():.3g}); rows must be probabilities, apply softmax first"
        )
    return probs, targets.astype(np.int64)


def target_ranks(probs: Floats, targets: Ints) -> Ints:
    """(n,) labels that stand before the right one; of equals, the lower index is first."""
    true = np.take_along_axis(probs, targets[:, None], axis=1)
    earlier = np.arange(probs.shape[1]) < targets[:, None]
    ranks: Ints = np.sum((probs > true) | ((probs == true) & earlier), axis=1)
    return ranks


def top_k(probs: Floats, targets: Ints, k: int) -> float:
    """Share of videos whose label is among the k most probable; 1 with k classes or fewer."""
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")
    return float(np.mean(target_ranks(*check(probs, targets)) < k))


def confusion(probs: Floats, targets: Ints) -> Ints:
    """(K, K) counts: row = true label, column = predicted label."""
    probs, targets = check(probs, targets)
    classes = probs.shape[1]
    cells = targets * classes + probs.argmax(axis=1)
    counts: Ints = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return counts


def per_class(
    probs: Floats, targets: Ints, *, unread: Sequence[int] = ()
) -> tuple[ClassScore, ...]:
    """Support, precision, recall and F1 of every class, in label order.

    Args:
        probs: (n, K).
        targets: (n,) class indices.
        unread: class indices of further videos, which could not be read: support without a hit.
    """
    counts = confusion(probs, targets)
    missed = np.bincount(np.asarray(unread, dtype=np.int64), minlength=len(counts))
    rows = []
    for index, (hits, support, predicted) in enumerate(
        zip(np.diag(counts), counts.sum(axis=1) + missed, counts.sum(axis=0), strict=True)
    ):
        rows.append(
            ClassScore(
                index=index,
                support=int(support),
                predicted=int(predicted),
                precision=_share(hits, predicted),
                recall=_share(hits, support),
                f1=_share(2 * hits, support + predicted),
            )
        )
    return tuple(rows)


def calibration(probs: Floats, targets: Ints, *, bins: int = BINS) -> Calibration:
    """Confidence against accuracy in `bins` bins of equal width."""
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1")
    probs, targets = check(probs, targets)
    top, right = probs.max(axis=1), probs.argmax(axis=1) == targets
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=top, minlength=bins)
    hits = np.bincount(place, weights=right, minlength=bins)
    confidence, accuracy = (
        np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in (sums, hits)
    )
    return Calibration(
        ece=float(np.abs(sums - hits).sum() / len(top)),
        edges=edges,
        counts=counts,
        confidence=confidence,
        accuracy=accuracy,
    )


def bootstrap_interval(
    hits: Bools, *, level: float = 0.95, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """Where the accuracy would lie had other such videos been drawn (percentile bootstrap).

    Resampling n zeros and ones with replacement gives a binomial number of ones, so the binomial is
    drawn directly: the same distribution, without n x rounds random indices.

    Args:
        hits: (n,) whether each video is right.
        level: share of the resampled accuracies inside the interval.
        rounds: resampled accuracies.
        seed: of the resampling.

    Returns:
        The lower and the upper end. Both are 0 or 1 when every video is wrong or right: a bootstrap
        cannot see past what it was given.
    """
    _check_interval(hits, level)
    rng = np.random.default_rng(seed)
    means = rng.binomial(len(hits), float(np.mean(hits)), size=rounds) / len(hits)
    return _ends(means, level)


def paired_interval(
    before: Bools, after: Bools, *, level: float = 0.95, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """Where the loss of accuracy from `before` to `after` would lie had other videos been drawn.

    Both are about the same videos, so these are drawn in pairs: what two tests have in common, such
    as the videos that are hard for every model, does not widen the interval. A video is lost (1),
    gained (-1) or neither (0); their numbers in a resample are multinomial.

    Args:
        before: (n,) whether each video is right in the first test.
        after: (n,) in the second one.
        level: share of the resampled losses inside the interval.
        rounds: resampled losses.
        seed: of the resampling.

    Returns:
        The lower and the upper end of accuracy before minus accuracy after.
    """
    if np.shape(before) != np.shape(after):
        raise ValueError(
            f"before of shape {np.shape(before)} and after of shape {np.shape(after)} must be "
            "about the same videos"
        )
    _check_interval(before, level)
    before, after = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    changes = np.array([np.sum(before & ~after), np.sum(after & ~before), np.sum(before == after)])
    drawn = np.random.default_rng(seed).multinomial(len(before), changes / len(before), rounds)
    return _ends((drawn[:, 0] - drawn[:, 1]) / len(before), level)


def _check_interval(hits: Bools, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level={level} must be between 0 and 1, such as 0.95")
    if len(hits) == 0:
        raise ValueError("an interval needs at least one video, got none")


def _ends(resampled: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
