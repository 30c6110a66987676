"""Several tests of the same videos, put side by side: by ids and by the names of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.unread import Unread
from ..types import Activation
from .metrics import Bools, Floats, Targets, is_right, truth_of
from .scores import Scores, read_scores


@dataclass(frozen=True, kw_only=True)
class Matched:
    """S tests of the same videos, in the order and with the labels of the first.

    A video that one of them could not read is none that all can speak of: it is among the missed,
    which count as not recognised.

    Attributes:
        tests: as they were read.
        labels: K class names.
        activation: what made probabilities of the logits.
        ids: n videos that all could read.
        paths: where the first test found them.
        targets: (n,) class indices, or (n, K) bool where videos have several labels.
        logits: (S, n, K) means over the views of each test.
        probs: (S, n, K) probabilities of each test.
        spans: (n, 2) first and last second that any view of any test covers.
        missed: m further videos.
        missed_targets: (m,) or (m, K).
    """

    tests: tuple[Scores, ...]
    labels: tuple[str, ...]
    activation: Activation
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    targets: Targets
    logits: Floats
    probs: Floats
    spans: Floats
    missed: tuple[Unread, ...]
    missed_targets: Targets

    @property
    def count(self) -> int:
        """All videos, n + m."""
        return len(self.ids) + len(self.missed)

    @property
    def truth(self) -> Bools:
        """(n, K) which labels each video has."""
        return truth_of(self.targets, len(self.labels))

    def right(self, probs: Floats) -> Bools:
        """(n + m,) whether answers (n, K) to the videos are right; to the missed they are not."""
        return np.append(is_right(probs, self.truth), np.zeros(len(self.missed), np.bool_))

    def right_alone(self, test: int) -> Bools:
        """(n + m,) whether one test's own answers are right, missed videos it could read too."""
        scores = self.tests[test]
        of = dict(zip(scores.ids, scores.right, strict=True))
        every = (*self.ids, *(one.id for one in self.missed))
        return np.array([of.get(i, False) for i in every], np.bool_)


def match(files: Sequence[Path]) -> Matched:
    """Reads scores files of the same videos.

    Raises:
        ValueError: naming the file, for videos, labels, truths or an activation that differ.
    """
    tests = tuple(read_scores(file) for file in files)
    first = tests[0]
    truths = _truths(first)
    for file, other in zip(files[1:], tests[1:], strict=True):
        where = f"{file} does not go with {files[0]}"
        _same_labels(where, other, first)
        if other.activation != first.activation:
            raise ValueError(
                f"{where}: its probabilities come from the {other.activation} and the other's from "
                f"the {first.activation}; fuse models that were trained with the same kind of loss"
            )
        _same_truths(where, _truths(other), truths)
    lost = {one.id: one for scores in tests for one in scores.missed}
    kept = [row for row, i in enumerate(first.ids) if i not in lost]
    if not kept:
        raise ValueError(f"{files[0]}: there is no video that all of the streams could read")
    ids = tuple(first.ids[row] for row in kept)
    order = [i for i in (*first.ids, *(one.id for one in first.missed)) if i in lost]
    rows = [_rows(scores, ids) for scores in tests]
    columns = [[scores.labels.index(label) for label in first.labels] for scores in tests]
    spans = np.stack([scores.spans[own] for scores, own in zip(tests, rows, strict=True)])
    places = list(zip(tests, rows, columns, strict=True))
    return Matched(
        tests=tests,
        labels=first.labels,
        activation=first.activation,
        ids=ids,
        paths=tuple(str(first.paths[row]) for row in kept),
        targets=first.targets[kept],
        logits=np.stack([scores.logits[own][:, labels] for scores, own, labels in places]),
        probs=np.stack([scores.probs[own][:, labels] for scores, own, labels in places]),
        spans=np.stack([spans[..., 0].min(axis=0), spans[..., 1].max(axis=0)], axis=1),
        missed=tuple(lost[i] for i in order),
        missed_targets=_targets_of([truths[i] for i in order], first),
    )


def _truths(scores: Scores) -> dict[str, frozenset[str]]:
    """By id, the names of the video's labels; of those that could not be read too."""
    unread = truth_of(scores.unread, len(scores.labels))
    ids = (*scores.ids, *(one.id for one in scores.missed))
    table = np.concatenate([scores.truth, unread])
    return {
        i: frozenset(scores.labels[k] for k in np.flatnonzero(row))
        for i, row in zip(ids, table, strict=True)
    }


def _same_labels(where: str, other: Scores, first: Scores) -> None:
    new, gone = set(other.labels) - set(first.labels), set(first.labels) - set(other.labels)
    if new or gone:
        told = [f"it alone has {min(new)!r}"] if new else []
        told += [f"it has no {min(gone)!r}"] if gone else []
        raise ValueError(
            f"{where}: of {len(other.labels)} and {len(first.labels)} labels, "
            f"{len(new) + len(gone)} are not in both: {' and '.join(told)}; both models must know "
            "the same classes"
        )


def _same_truths(
    where: str, other: dict[str, frozenset[str]], first: dict[str, frozenset[str]]
) -> None:
    new, gone = other.keys() - first.keys(), first.keys() - other.keys()
    if new or gone:
        told = [f"it alone has {len(new)}, such as {min(new)!r}"] if new else []
        told += [f"it lacks {len(gone)}, such as {min(gone)!r}"] if gone else []
        raise ValueError(
            f"{where}: of {len(other)} and {len(first)} videos, {' and '.join(told)}; test both "
            "models on the same split, with the same ids"
        )
    wrong = sorted(i for i, labels in other.items() if labels != first[i])
    if wrong:
        raise ValueError(
            f"{where}: {len(wrong)} videos have other labels there, such as {wrong[0]!r}: "
            f"{', '.join(sorted(other[wrong[0]]))}, and {', '.join(sorted(first[wrong[0]]))} in "
            "the first; test both models on the same list"
        )


def _rows(scores: Scores, ids: Sequence[str]) -> list[int]:
    place = {i: row for row, i in enumerate(scores.ids)}
    return [place[i] for i in ids]


def _targets_of(truths: Sequence[frozenset[str]], scores: Scores) -> Targets:
    """As the targets of a test: indices, or a table where its videos have several labels."""
    table = np.array([[label in own for label in scores.labels] for own in truths], np.bool_)
    table = table.reshape(len(truths), len(scores.labels))
    return table if scores.several else table.argmax(axis=1)
