"""Numbers that say how good predictions are: from probabilities and targets alone, in numpy.

Targets are (n,) class indices, or (n, K) bool where videos have several labels; inside, one label
is the case of one true entry in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..types import Activation

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.integer]
Bools: TypeAlias = npt.NDArray[np.bool_]
Targets: TypeAlias = Ints | Bools

TINY = np.finfo(np.float64).tiny
ROUNDS = 10_000  # resampled accuracies behind an interval
SAME = 1e-9  # accuracies that differ by less are one; a video more or less is at least 1e-7
BINS = 15  # of confidence, as in arXiv:1706.04599


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The summary of a test; every share is between 0 and 1.

    A video that could not be read is one that was not recognised: it counts in `top1`, `top5`,
    `mean_class`, `mean_ap` and `interval` as wrong, so that a hard file cannot raise a result by
    failing.

    Attributes:
        clips: videos of the test.
        top1: share whose most probable label is right; of videos with several labels this is
            hit@1: it is one of them.
        top5: share with a right label among the five most probable, hit@5; with at most five
            classes, the share that could be read.
        mean_class: recall averaged over the classes that occur, whatever their sizes; the most
            probable label alone counts as predicted.
        mean_ap: average precision averaged over the classes that occur.
        loss: of softmax models the mean negative log probability of the right label in nats, over
            the labels of a video where there are several; of sigmoid models the mean over videos
            and classes of the binary cross entropy; of the videos read.
        ece: expected calibration error of the videos read.
        interval: 95 % bootstrap interval of `top1` over the videos.
        unread: videos of the test that could not be read.
    """

    clips: int
    top1: float
    top5: float
    mean_class: float
    mean_ap: float
    loss: float
    ece: float
    interval: tuple[float, float]
    unread: int = 0


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One row of the per-class table; the most probable label of a video is its predicted one.

    `recall` and average precision `ap` are nan for a class without videos, `precision` for one
    never predicted, `f1` where both are.
    """

    index: int
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    ap: float


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
    probs: Floats,
    targets: Targets,
    *,
    unread: Sequence[int] | Targets = (),
    activation: Activation = "softmax",
    seed: int = 0,
) -> Metrics:
    """All summary figures of one test.

    Args:
        probs: (n, K); rows of the softmax sum to one.
        targets: (n,) class indices or (n, K) bool; every video needs a label.
        unread: targets of further videos, which could not be read.
        activation: that the probabilities came from.
        seed: of the bootstrap.

    Raises:
        ValueError: for shapes that do not fit, videos without a label and values that are no
            probabilities.
    """
    probs, truth = check(probs, targets, activation)
    rows = per_class(probs, truth, unread=unread, activation=activation)
    ranks = np.append(target_ranks(probs, truth), np.full(len(unread), probs.shape[1]))
    return Metrics(
        clips=len(ranks),
        top1=float(np.mean(ranks < 1)),
        top5=float(np.mean(ranks < min(5, probs.shape[1]))),
        mean_class=float(np.nanmean([row.recall for row in rows])),
        mean_ap=float(np.nanmean([row.ap for row in rows])),
        loss=mean_loss(probs, truth, activation),
        ece=calibration(probs, truth, activation=activation).ece,
        interval=bootstrap_interval(ranks < 1, seed=seed),
        unread=len(unread),
    )


def truth_of(targets: Targets, classes: int) -> Bools:
    """(n, K) which labels each video has; an index outside 0..K-1 has none."""
    if targets.ndim == 2:
        return targets.astype(bool)
    truth: Bools = targets[:, None] == np.arange(classes)
    return truth


def check(
    probs: Floats, targets: Targets, activation: Activation = "softmax"
) -> tuple[Floats, Bools]:
    """(n, K) probabilities as float64, (n, K) truth; a ValueError says what is wrong."""
    probs = np.asarray(probs, dtype=np.float64)
    fits = targets.shape in (probs.shape, probs.shape[:1])
    if probs.ndim != 2 or not fits or not len(targets):
        raise ValueError(
            f"probs of shape {probs.shape} and targets of shape {targets.shape} must be (n, K) and "
            "(n,) or (n, K) with n at least 1"
        )
    truth = truth_of(targets, probs.shape[1])
    wrong = np.flatnonzero(~truth.any(axis=1))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(targets)} targets name no label of 0..{probs.shape[1] - 1} "
            f"(the first at row {wrong[0]}); score labelled videos only"
        )
    sums = probs.sum(axis=1)
    off = np.abs(sums - 1) if activation == "softmax" else probs.max(axis=1) - 1
    bad = np.flatnonzero(~(off < 1e-3) | (probs.min(axis=1) < 0))
    if len(bad):
        raise ValueError(
            f"row {bad[0]} of probs sums to {sums[bad[0]]:.6g} (smallest value "
            f"{probs[bad[0]].min():.3g}); rows must be probabilities, apply {activation} first"
        )
    return probs, truth


def target_ranks(probs: Floats, truth: Bools) -> Ints:
    """(n,) labels that stand before the first right one; of equals, the lower index is first."""
    first = np.where(truth, probs, -1).argmax(axis=1)[:, None]
    best = np.take_along_axis(probs, first, axis=1)
    earlier = np.arange(probs.shape[1]) < first
    ranks: Ints = np.sum((probs > best) | ((probs == best) & earlier), axis=1)
    return ranks


def top_k(probs: Floats, targets: Targets, k: int, activation: Activation = "softmax") -> float:
    """Share of videos with a label among the k most probable; 1 with k classes or fewer."""
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")
    return float(np.mean(target_ranks(*check(probs, targets, activation)) < k))


def confusion(probs: Floats, targets: Targets, *, activation: Activation = "softmax") -> Ints:
    """(K, K) counts: row = true label, column = predicted label.

    A video with several labels counts for the predicted one if it is right, else for each of them.
    """
    probs, truth = check(probs, targets, activation)
    classes, guess = probs.shape[1], probs.argmax(axis=1)
    counted = truth & (~is_right(probs, truth)[:, None] | _guessed(probs))
    video, label = np.nonzero(counted)
    counts: Ints = np.bincount(label * classes + guess[video], minlength=classes**2)
    return counts.reshape(classes, classes)


def is_right(probs: Floats, truth: Bools) -> Bools:
    """(n,) whether the most probable label is one of the video's."""
    right: Bools = np.take_along_axis(truth, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    return right


def per_class(
    probs: Floats,
    targets: Targets,
    *,
    unread: Sequence[int] | Targets = (),
    activation: Activation = "softmax",
) -> tuple[ClassScore, ...]:
    """Support, precision, recall, F1 and average precision of every class, in label order.

    Args:
        probs: (n, K).
        targets: (n,) class indices or (n, K) bool.
        unread: targets of further videos, which could not be read: support without a hit.
        activation: that the probabilities came from.
    """
    probs, truth = check(probs, targets, activation)
    guessed = _guessed(probs)
    missed = truth_of(np.asarray(unread), probs.shape[1]).sum(axis=0)
    sums = (truth & guessed).sum(axis=0), truth.sum(axis=0) + missed, guessed.sum(axis=0)
    return tuple(
        ClassScore(
            index=index,
            support=support,
            predicted=predicted,
            precision=_share(hits, predicted),
            recall=_share(hits, support),
            f1=_share(2 * hits, support + predicted),
            ap=average_precision(probs[:, index], truth[:, index], unread=int(missed[index])),
        )
        for index, (hits, support, predicted) in enumerate(np.stack(sums, axis=1).tolist())
    )


def average_precision(scores: Floats, right: Bools, *, unread: int = 0) -> float:
    """How well the videos of a class stand before the others; nan where there are none.

    The precision among the videos down to each of the class, averaged over those of the class.
    Videos with equal scores share the precision at the last of them, so order decides nothing.

    Args:
        scores: (n,) of the class.
        right: (n,) which videos are of the class.
        unread: further videos of the class, which could not be read and are never found.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of equal scores
    gained = np.diff(hits[last], prepend=0)
    total = float(hits[-1]) + unread
    return float(np.sum(gained * hits[last] / (last + 1)) / total) if total else float("nan")


def mean_loss(probs: Floats, truth: Bools, activation: Activation = "softmax") -> float:
    """The loss of (n, K) probabilities, see `Metrics`; truth (n, K)."""
    if activation == "sigmoid":
        return float(-np.log(np.maximum(np.where(truth, probs, 1 - probs), TINY)).mean())
    nats = -np.log(np.maximum(probs, TINY))
    return float((np.where(truth, nats, 0).sum(axis=1) / truth.sum(axis=1)).mean())


def calibration(
    probs: Floats, targets: Targets, *, bins: int = BINS, activation: Activation = "softmax"
) -> Calibration:
    """Confidence against accuracy of the most probable label in `bins` bins of equal width."""
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1")
    probs, truth = check(probs, targets, activation)
    top, right = probs.max(axis=1), is_right(probs, truth)
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
        The lower and the upper end; see `accuracy_ends` for when every video is right, or wrong.
    """
    _check_interval(hits, level)
    rng = np.random.default_rng(seed)
    means = rng.binomial(len(hits), float(np.mean(hits)), size=rounds) / len(hits)
    return accuracy_ends(means, len(hits), level)


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
        The lower and the upper end of accuracy before minus accuracy after; both are 0 where no
        answer changed.
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
    return ends((drawn[:, 0] - drawn[:, 1]) / len(before), level)


def _check_interval(hits: Bools, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level={level} must be between 0 and 1, such as 0.95")
    if len(hits) == 0:
        raise ValueError("an interval needs at least one video, got none")


def ends(resampled: Floats, level: float) -> tuple[float, float]:
    """The interval that holds the middle of what was resampled."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def accuracy_ends(resampled: Floats, videos: int, level: float) -> tuple[float, float]:
    """`ends` of accuracies over so many videos, also where all of them are right, or wrong.

    Resampling knows nothing of what it did not see: every resample is 1 then, or 0. The exact bound
    for what none of n videos shows (Clopper and Pearson) takes its place: it may be true of
    1 - ((1 - level) / 2)^(1/n) of all videos.
    """
    low, high = ends(resampled, level)
    unseen = 1 - ((1 - level) / 2) ** (1 / videos)
    if resampled.max() < SAME:
        return 0.0, unseen
    if resampled.min() > 1 - SAME:
        return 1 - unseen, 1.0
    return low, high


def _guessed(probs: Floats) -> Bools:
    """(n, K) the most probable label of each video."""
    guessed: Bools = probs.argmax(axis=1)[:, None] == np.arange(probs.shape[1])
    return guessed


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
