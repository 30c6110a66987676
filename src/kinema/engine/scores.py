"""The result of a test: as it was computed, as a file with a row per view, and video by video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ..data import Manifest
from ..data.unread import Unread
from ..files import atomic
from ..models import VideoModel
from ..remote import to_path
from ..types import JSON, Activation, EvalProtocol
from .metrics import Bools, Floats, Metrics, Targets, is_right, truth_of

COLUMNS = ("id", "path", "target", "view", "start", "end", "logits")
KEYS = ("labels", "protocol", "average", "fingerprint")  # of the schema, each a JSON value


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The result of a test, in the manifest's order.

    ids of length n, targets (n,) int64 in the model's labels, or (n, K) bool where videos have
    several, logits (n, V, K) float32, spans (n, V, 2) float64 seconds, probs (n, K) float64, whose
    rows sum to one for models of the softmax; unread and their unread_targets, (m,) or (m, K), are
    the videos that could not be read, which are not among the n.
    """

    ids: tuple[str, ...]
    targets: Targets
    logits: Tensor
    spans: Tensor
    probs: Floats
    metrics: Metrics
    protocol: EvalProtocol
    unread: tuple[Unread, ...]
    unread_targets: Targets

    @property
    def several(self) -> bool:
        """Whether videos have several labels."""
        return self.targets.ndim == 2


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A test, video by video.

    Attributes:
        labels: K class names.
        protocol: the views and how they were combined.
        fingerprint: of the data.
        ids: n videos, in the order of the file.
        paths: where each video was.
        targets: (n,) class indices, or (n, K) bool where videos have several labels.
        activation: what made probabilities of the logits.
        logits: (n, K) means over the views.
        probs: (n, K) probabilities over all views.
        spans: (n, 2) first and last second that any view covers.
        view_top1: accuracy of single views.
        unread: (m,) or (m, K), targets of further videos, which could not be read.
        missed: which these are, and why.
    """

    labels: tuple[str, ...]
    protocol: EvalProtocol
    fingerprint: str
    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    targets: Targets
    activation: Activation
    logits: Floats
    probs: Floats
    spans: Floats
    view_top1: float
    unread: Targets
    missed: tuple[Unread, ...]

    @property
    def several(self) -> bool:
        """Whether videos have several labels."""
        return self.targets.ndim == 2

    @property
    def truth(self) -> Bools:
        """(n, K) which labels each video has."""
        return truth_of(self.targets, len(self.labels))

    @property
    def chance(self) -> float:
        """Share of the videos for which a label named blindly is right."""
        return float(self.truth.sum(axis=1).mean()) / len(self.labels)

    @property
    def right(self) -> Bools:
        """(n,) whether the most probable label is one of the video's."""
        return is_right(self.probs, self.truth)


def write_scores(result: Evaluation, manifest: Manifest, model: VideoModel, path: Path) -> None:
    """Writes a test's scores file, see `write_views`."""
    path_of = {record.id: str(record.path.resolve()) for record in manifest.records}
    write_views(
        path,
        ids=result.ids,
        paths=[path_of[i] for i in result.ids],
        targets=result.targets,
        logits=result.logits.numpy(),
        spans=result.spans.numpy(),
        about={
            "labels": list(model.spec.labels),
            "protocol": result.protocol.name,
            "average": result.protocol.average,
            "activation": model.spec.activation,
            "fingerprint": manifest.fingerprint(),
        },
        unread=result.unread,
        unread_targets=result.unread_targets,
    )


def write_views(
    path: Path,
    *,
    ids: Sequence[str],
    paths: Sequence[str],
    targets: Targets,
    logits: Floats,
    spans: Floats,
    about: Mapping[str, JSON],
    unread: Sequence[Unread],
    unread_targets: Targets,
) -> None:
    """One row per view: id, path, target, view, start and end in seconds, logits.

    `target` is a list where videos have several labels. Labels, protocol, activation, the data's
    fingerprint and the videos that could not be read are in the schema's metadata.

    Args:
        path: of the file.
        ids: n videos.
        paths: where each of them is.
        targets: (n,) or (n, K).
        logits: (n, V, K) float32.
        spans: (n, V, 2) seconds.
        about: values of `KEYS`, and the activation.
        unread: m further videos, which could not be read.
        unread_targets: (m,) or (m, K).
    """
    count, views, classes = logits.shape
    flat = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), classes)
    ends = spans.reshape(-1, 2)  # (n*V, 2)
    missed = [
        {"id": one.id, "target": target, "cause": one.cause}
        for one, target in zip(unread, _listed(unread_targets), strict=True)
    ]
    table = pa.table(
        {
            "id": [i for i in ids for _ in range(views)],
            "path": [file for file in paths for _ in range(views)],
            "target": [labels for labels in _listed(targets) for _ in range(views)],
            "view": np.tile(np.arange(views, dtype=np.int32), count),
            "start": ends[:, 0],
            "end": ends[:, 1],
            "logits": flat.cast(pa.list_(pa.float32())),
        }
    )
    with atomic(path) as temporary:
        metadata = {key: json.dumps(value) for key, value in (*about.items(), ("unread", missed))}
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def read_scores(path: Path) -> Scores:
    """Reads `scores.parquet` and combines the views of each video as its protocol says.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for a file that is no scores file or whose videos have unequal numbers of views.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no scores file {path}; `kinema eval MODEL DATA --out FOLDER` "
            "writes FOLDER/scores.parquet"
        ) from None
    except pa.ArrowInvalid as error:
        cause = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} must be a scores file as `kinema eval` writes it: {cause}"
        ) from error
    about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    missing = set(COLUMNS) - set(table.column_names)
    if missing or not set(KEYS) <= about.keys():
        raise ValueError(
            f"{path} must be a scores file as `kinema eval` writes it; it lacks "
            f"{', '.join(sorted(missing or set(KEYS) - about.keys()))}"
        )
    labels, name, average, fingerprint = (json.loads(about[key]) for key in KEYS)
    activation = json.loads(about.get("activation", '"softmax"'))  # older files do not say
    unread = json.loads(about.get("unread", "[]"))
    protocol = replace(EvalProtocol.named(name), average=average)
    columns = table.select(COLUMNS[:-1]).to_pydict()
    logits = np.stack(table.column("logits").to_numpy()).astype(np.float64)  # (n*V, K)
    first = {key: row for row, key in reversed(list(enumerate(columns["id"])))}
    ids = sorted(first, key=first.__getitem__)
    number = {key: index for index, key in enumerate(ids)}
    owners = np.array([number[key] for key in columns["id"]])
    order = np.lexsort((columns["view"], owners))
    views = len(owners) // len(ids)
    if not np.array_equal(owners[order], np.repeat(np.arange(len(ids)), views)):
        raise ValueError(f"{path}: every video must have the same number of views, {views}")
    grouped = logits[order].reshape(len(ids), views, -1)  # (n, V, K)
    targets = _targets([columns["target"][first[key]] for key in ids], len(labels))
    truth = np.repeat(truth_of(targets, len(labels)), views, axis=0)  # (n*V, K)
    starts, ends = (np.array(columns[k])[order].reshape(-1, views) for k in ("start", "end"))
    return Scores(
        labels=tuple(labels),
        protocol=protocol,
        fingerprint=fingerprint,
        ids=tuple(ids),
        paths=tuple(to_path(columns["path"][first[key]]) for key in ids),
        targets=targets,
        activation=activation,
        logits=grouped.mean(axis=1),
        probs=protocol.combine(torch.from_numpy(grouped), activation).numpy(),
        spans=np.stack([starts.min(axis=1), ends.max(axis=1)], axis=1),
        view_top1=float(np.mean(is_right(grouped.reshape(len(truth), -1), truth))),
        unread=_targets([one["target"] for one in unread], len(labels)),
        missed=tuple(Unread(id=one["id"], cause=one["cause"]) for one in unread),
    )


def _targets(listed: list[int] | list[list[int]], classes: int) -> Targets:
    """(n,) int64 of numbers, (n, K) bool of lists of numbers."""
    if not listed or not isinstance(listed[0], list):
        return np.array(listed, dtype=np.int64)
    return np.stack([np.isin(np.arange(classes), labels) for labels in listed])


def _listed(targets: Targets) -> list[int] | list[list[int]]:
    """An index per video, or a list of them."""
    if targets.ndim == 1:
        return [int(label) for label in targets]
    return [[int(label) for label in np.flatnonzero(row)] for row in targets]
