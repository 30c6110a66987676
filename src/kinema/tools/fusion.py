"""Several models' scores of the same videos as one answer: two streams, or any number of them.

Videos are matched by their ids and classes by their names, so that a model of pictures and one of
optical flow go together whatever order their data were read in.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ..engine.matched import Matched, match
from ..engine.metrics import Floats, Metrics, Targets, paired_interval, summarise
from ..engine.report import FUSION_FILE, write_report
from ..engine.runtime import command, commit, machine, versions
from ..engine.scores import write_views
from ..files import atomic
from ..plain import to_plain
from ..types import JSON
from .show.page import titles, write_table
from .weighting import (
    ONE_VIEW,
    STEPS,
    Average,
    Weighting,
    fused,
    match_others,
    probabilities,
    search_weights,
)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One model of a fusion, and what the fusion gains over it.

    Attributes:
        name: short, told from its scores file.
        file: of its scores.
        weight: its share; those of all streams add up to one.
        protocol: the views it was tested with.
        metrics: of this stream alone.
        gain: top-1 of the fusion minus that of this stream.
        gain_interval: 95 % of `gain` over the videos, paired.
    """

    name: str
    file: str
    weight: float
    protocol: str
    metrics: Metrics
    gain: float
    gain_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """What several streams say together.

    Attributes:
        average: of what: probabilities, or logits in front of the softmax.
        streams: in the order they were given.
        metrics: of the fusion.
        ids: n videos that all streams could read, in the order of the first one.
        labels: K class names, in the order of the first stream.
        targets: (n,) class indices, or (n, K) bool where videos have several labels.
        probs: (n, K) probabilities.
        search: all weightings tried, the best first; (): weights were given.
        searched: videos the search looked at.
    """

    average: Average
    streams: tuple[Stream, ...]
    metrics: Metrics
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    targets: Targets
    probs: Floats
    search: tuple[Weighting, ...] = ()
    searched: int = 0


def fuse(
    files: Sequence[str | Path],
    *,
    weights: Sequence[float] | None = None,
    average: Average = "prob",
    search: Sequence[str | Path] | None = None,
    steps: int = STEPS,
    out: Path | None = None,
) -> Fusion:
    """Averages the scores of several models and tests the result beside each of them.

    Args:
        files: scores files of the same videos, or the folders that hold them as `scores.parquet`:
            what `kinema train` and `kinema eval --out` leave. The report shows the videos of the
            first one.
        weights: one per file, of which only the proportions count; None: equal ones. The authors of
            TSN weigh RGB to flow 1 to 1.5, with `average="logit"`.
        average: `prob`: each stream's probabilities (the softmax comes first); `logit`: the means
            of each stream's logits over its views (the softmax comes last).
        search: scores files of other videos, such as a validation split, one per file and in the
            same order: the weights with the best top-1 there are taken, of equals those with the
            smaller loss.
        steps: a search tries all shares that are multiples of 1/steps.
        out: folder for the fusion's own `scores.parquet`, which is read like any other, and for
            `card.json`, `report.html` and the weightings of a search, `fusion.csv`; None: nothing
            is written.

    Raises:
        ValueError: for files that are not about the same videos, labels and truth, weights that do
            not fit, and a search on videos of the test.
        FileNotFoundError: for a scores file that is not there.
    """
    if average not in get_args(Average):
        raise ValueError(f"average={average!r} must be one of {', '.join(get_args(Average))}")
    if weights is not None and search is not None:
        raise ValueError(f"weights={[*weights]} and a search exclude each other; leave one out")
    places = _scores_files(files)
    if len(places) < 2:
        raise ValueError(
            f"a fusion needs the scores files of two streams or more, got {len(places)}"
        )
    if out is not None and (out / "scores.parquet").resolve() in [p.resolve() for p in places]:
        raise ValueError(f"out={out} holds a stream's own scores.parquet; choose another folder")
    names = titles(places)
    tested = match(places)
    tried: tuple[Weighting, ...] = ()
    searched = 0
    if search is None:
        shares = _shares([1.0] * len(places) if weights is None else weights, len(places))
    else:
        judged = match_others(_scores_files(search), tested)
        tried, searched = search_weights(judged, average, steps), judged.count
        shares = tried[0].weights
    logits = fused(tested, shares, average)
    probs = probabilities(logits, tested.activation)
    right = tested.right(probs)
    streams = []
    for index, (name, scores) in enumerate(zip(names, tested.tests, strict=True)):
        own = tested.right_alone(index)
        alone = summarise(
            scores.probs, scores.targets, unread=scores.unread, activation=scores.activation
        )
        stream = Stream(
            name=name,
            file=str(places[index]),
            weight=shares[index],
            protocol=scores.protocol.name,
            metrics=alone,
            gain=float(right.mean() - own.mean()),
            gain_interval=paired_interval(right, own),
        )
        streams.append(stream)
    fusion = Fusion(
        average=average,
        streams=tuple(streams),
        metrics=summarise(
            probs, tested.targets, unread=tested.missed_targets, activation=tested.activation
        ),
        ids=tested.ids,
        labels=tested.labels,
        targets=tested.targets,
        probs=probs,
        search=tried,
        searched=searched,
    )
    if out is not None:
        _write(fusion, tested, logits, out)
    return fusion


def _scores_files(given: Sequence[str | Path]) -> list[Path]:
    paths = [Path(file) for file in given]
    return [path / "scores.parquet" if path.is_dir() else path for path in paths]


def _shares(weights: Sequence[float], streams: int) -> tuple[float, ...]:
    """Weights that add up to one."""
    told = f"weights={[*weights]}"
    if len(weights) != streams:
        raise ValueError(f"{told} must be {streams} numbers, one per scores file")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights):
        raise ValueError(f"{told} must be numbers from 0 on, and one of them above 0")
    return tuple(weight / sum(weights) for weight in weights)


def _write(fusion: Fusion, tested: Matched, logits: Floats, out: Path) -> None:
    """Scores, card, weightings of a search, report."""
    marks = list(dict.fromkeys(scores.fingerprint for scores in tested.tests))
    mark = hashlib.sha256(" ".join(marks).encode()).hexdigest()[:16] if marks[1:] else marks[0]
    out.mkdir(parents=True, exist_ok=True)
    write_views(
        out / "scores.parquet",
        ids=tested.ids,
        paths=tested.paths,
        targets=tested.targets,
        logits=logits[:, None],
        spans=tested.spans[:, None],
        about={
            "labels": list(tested.labels),
            "protocol": ONE_VIEW.name,
            "average": ONE_VIEW.average,
            "activation": tested.activation,
            "fingerprint": mark,
        },
        unread=tested.missed,
        unread_targets=tested.missed_targets,
    )
    table = out / FUSION_FILE
    table.unlink(missing_ok=True)
    if fusion.search:
        names = [f"weight of {stream.name}" for stream in fusion.streams]
        rows = [
            {**dict(zip(names, one.weights, strict=True)), "top1": one.top1, "loss": one.loss}
            for one in sorted(fusion.search, key=lambda one: one.weights[::-1])
        ]
        write_table(table, rows)
    card: dict[str, JSON] = {
        "format": 1,
        "model": f"fusion of {' and '.join(stream.name for stream in fusion.streams)}",
        "data": {"fingerprint": mark},
        "fusion": {
            "average": fusion.average,
            "streams": to_plain(fusion.streams),
            "searched": fusion.searched,
            "tried": len(fusion.search),
        },
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "unread": {one.id: one.cause for one in tested.missed},
        "metrics": to_plain(fusion.metrics),
    }
    with atomic(out / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    write_report(out)
