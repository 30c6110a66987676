"""What several runs say together: means over seeds, intervals over seeds and clips, differences.

The bootstrap draws seeds and clips again, both with replacement and crossed: every seed of a model
was tested on the same clips. A difference draws the same clips for both models, and the seeds of
each by themselves. With one seed only clips are drawn, and the interval says nothing about seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...engine.metrics import Bools, Floats, Ints, accuracy_ends, ends, truth_of
from ...engine.scores import read_scores
from .job import Job, scores_file
from .plan import Plan

ROUNDS = 4000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One run's answers to one test: n ids in order, (n, K) true and (n,) predicted classes.

    The class of a video that could not be read is -1, which is wrong, as in a run's own figures.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    truth: Bools
    predicted: Ints

    @property
    def hits(self) -> Bools:
        """(n,) whether each is right."""
        right: Bools = self.truth[np.arange(len(self.predicted)), self.predicted]
        return right & (self.predicted >= 0)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One model on one test of one data set, over its finished runs.

    Attributes:
        data: title.
        test: name.
        model: title.
        seeds: of the finished runs.
        clips: tested by each.
        top1: mean over the seeds.
        interval: 95 % of `top1` over seeds and clips.
        each: top-1 of each seed.
        mean_class: mean over the seeds.
        difference: top-1 minus the baseline's; None: for the baseline, and where it has no run.
        difference_interval: 95 % of it.
        sure: whether that leaves out zero and knows of seeds: both models have two or more.
        classes: name -> recall, mean over the seeds; nan for a class without clips.
    """

    data: str
    test: str
    model: str
    seeds: tuple[int, ...]
    clips: int
    top1: float
    interval: tuple[float, float]
    each: tuple[float, ...]
    mean_class: float
    difference: float | None
    difference_interval: tuple[float, float] | None
    sure: bool
    classes: Mapping[str, float]


def read_answers(path: Path) -> Answers:
    """The answers in a scores file, by id, so that runs can be compared clip by clip."""
    scores = read_scores(path)
    ids = (*scores.ids, *(one.id for one in scores.missed))
    unread = truth_of(scores.unread, len(scores.labels))
    predicted = np.append(scores.probs.argmax(axis=1), np.full(len(unread), -1))
    order = np.argsort(ids)
    return Answers(
        labels=scores.labels,
        ids=tuple(ids[i] for i in order),
        truth=np.concatenate([scores.truth, unread])[order],
        predicted=predicted[order],
    )


class Reader:
    """Reads each scores file once."""

    def __init__(self) -> None:
        self._found: dict[Path, Answers] = {}

    def __call__(self, path: Path) -> Answers:
        if path not in self._found:
            self._found[path] = read_answers(path)
        return self._found[path]


def summarise_study(plan: Plan, read: Reader) -> list[Summary]:
    """Every model on every test that has a finished run, in the order of the plan."""
    done: dict[tuple[str, str], list[Job]] = {}
    for job in plan.jobs:
        if plan.finished(job):
            done.setdefault((job.data, job.model), []).append(job)
    found = []
    for data, tests in plan.cases.items():
        for test in tests:
            answers = {
                title: [
                    read(scores_file(job, plan.folder(job), test))
                    for job in done.get((data, title), ())
                ]
                for title in plan.study.models
            }
            _check_clips(data, test, [one for all_ in answers.values() for one in all_])
            hits = {t: np.stack([a.hits for a in all_]) for t, all_ in answers.items() if all_}
            for title, own in hits.items():
                seeds = tuple(job.recipe.seed for job in done[data, title])
                base = hits.get(plan.study.baseline)
                recall = np.stack([recalls(a) for a in answers[title]]).mean(axis=0)
                difference, apart, sure = None, None, False
                if base is not None and title != plan.study.baseline:
                    difference, apart = float(own.mean() - base.mean()), interval(own, base)
                    sure = min(len(own), len(base)) > 1 and not apart[0] <= 0 <= apart[1]
                found.append(
                    Summary(
                        data=data,
                        test=test,
                        model=title,
                        seeds=seeds,
                        clips=own.shape[1],
                        top1=float(own.mean()),
                        interval=interval(own),
                        each=tuple(float(row.mean()) for row in own),
                        mean_class=float(np.nanmean(recall)),
                        difference=difference,
                        difference_interval=apart,
                        sure=sure,
                        classes=dict(
                            zip(answers[title][0].labels, map(float, recall), strict=True)
                        ),
                    )
                )
    return found


def _check_clips(data: str, test: str, answers: Sequence[Answers]) -> None:
    """Refuses to compare runs that were tested on different clips."""
    if len({one.ids for one in answers}) > 1:
        some, more = sorted({one.ids for one in answers}, key=len)[:2]
        differing = sorted(set(some) ^ set(more))
        raise ValueError(
            f"the runs on {data} were not all tested on the same clips of {test!r}: only some have "
            f"{differing[0]} (of {len(differing)} such); delete their folders to repeat them"
        )


def recalls(answers: Answers) -> Floats:
    """(K,) share of each class's clips that are right; nan for a class without clips."""
    classes = len(answers.labels)
    support = answers.truth.sum(axis=0)
    right = np.bincount(answers.predicted[answers.hits], minlength=classes)
    return np.divide(right, support, out=np.full(classes, np.nan), where=support > 0)


def interval(
    hits: Bools,
    base: Bools | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % of the accuracy, or of its difference to `base`, over seeds and clips.

    Args:
        hits: (S, n) whether each seed's answer to each clip is right.
        base: (S', n) of another model on the same clips; None: no difference.
        rounds: resampled values.
        seed: of the resampling.
    """
    rng = np.random.default_rng((seed, 1))
    clips = hits.shape[1]
    values = np.empty(rounds)
    step = max(1, 4_000_000 // clips)  # rounds at a time, to bound the memory
    for start in range(0, rounds, step):
        count = min(step, rounds - start)
        weights = _drawn_clips(clips, count, seed, start)
        found = _resampled(hits, weights, rng)
        if base is not None:
            found -= _resampled(base, weights, rng)
        values[start : start + count] = found
    return accuracy_ends(values, clips, LEVEL) if base is None else ends(values, LEVEL)


@lru_cache(maxsize=1)
def _drawn_clips(clips: int, count: int, seed: int, start: int) -> Floats:
    """(count, clips) weights of redrawn clips; the same for all models, so drawn once for them."""
    rng = np.random.default_rng((seed, 0, start))
    return rng.multinomial(clips, np.full(clips, 1 / clips), size=count) / clips


def _resampled(hits: Bools, clip_weights: Floats, rng: np.random.Generator) -> Floats:
    """(R,) accuracies of redrawn seeds, on clips with the given weights (R, n).

    One seed less than there are is drawn: means of S - 1 draws from S values vary as much as means
    of S seeds do, those of S draws by (S - 1) / S too little, which with three seeds is a third.
    """
    seeds, few = len(hits), max(1, len(hits) - 1)
    each = clip_weights @ hits.T.astype(np.float64)  # (R, S)
    drawn = rng.multinomial(few, np.full(seeds, 1 / seeds), size=len(clip_weights)) / few
    return (each * drawn).sum(axis=1)


def of(summaries: Sequence[Summary], **wanted: str) -> list[Summary]:
    """Those whose fields have these values, such as `data="order-tiny"`."""
    return [s for s in summaries if all(getattr(s, k) == v for k, v in wanted.items())]
