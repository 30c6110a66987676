"""Testing: every view of every video scored once, views combined by the protocol, one scores file.

The path is the Predictor's: `read_views`, `score_views`, `EvalProtocol.combine`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from .. import checkpoint
from ..data import (
    DataSplits,
    Decoder,
    Loader,
    Manifest,
    build_loader,
    eval_dataset,
    load_data,
)
from ..data.datasets import VAL_SHARE, read_parts
from ..data.splitting import split_by_source
from ..data.unread import (
    MAX_SKIPPED,
    OnError,
    TooManyUnreadError,
    Unread,
    allowed,
    check_unread,
)
from ..files import atomic
from ..models import VideoModel
from ..progress import Progress, console
from ..registry import suggest
from ..types import CROPS, Batch, EvalProtocol, InputSpec
from .metrics import Metrics, Targets, summarise
from .runtime import Runtime, cores, open_runtime

MAX_WORKERS = 8
REMEMBERED = (
    "note: the model was trained on these videos, so the figures say what it remembers; "
    "videos it has not seen are a fair test"
)


Variant: TypeAlias = Callable[[Batch, InputSpec], Tensor]
"""What a model is shown of a batch: (N, V, C, T, H, W) uint8, for a model with this input."""
Name = TypeVar("Name", bound=str)


class NonFiniteError(ArithmeticError):
    """The loss, the gradient or the logits are no numbers any more; the message says where."""


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
    probs: npt.NDArray[np.float64]
    metrics: Metrics
    protocol: EvalProtocol
    unread: tuple[Unread, ...]
    unread_targets: Targets


def evaluate(
    model: VideoModel | str | Path,
    data: Manifest | str | Path,
    *,
    protocol: EvalProtocol | str | None = None,
    device: str | torch.device | None = None,
    batch: int = 8,
    workers: int = -1,
    on_error: OnError = "raise",
    max_skipped: float = MAX_SKIPPED,
    decoder: Decoder = "pyav",
    out: Path | None = None,
) -> Evaluation:
    """Tests a model on labelled videos.

    Args:
        model: a model or the path of its file.
        data: a manifest, or what `load_data` takes; see `held_out` for what counts of it.
        protocol: a protocol or its name, such as `10x3`; None: the one the model file states.
        device: None: a GPU if there is one, for a model given as a path; else where the model is.
        batch: clips in one forward pass.
        workers: decoding processes; -1: as many as there are cores, at most 8.
        on_error: what an unreadable video does: `raise`, or `skip`: it is told in the result and
            counts as not recognised.
        max_skipped: how many may be skipped, see `allowed`.
        decoder: what reads video files.
        out: where the scores file goes, one row per view; None: nowhere.

    Raises:
        VideoError: for an unreadable video, with `raise`.
        TooManyUnreadError: for too many of them, with `skip`.
        ValueError: for labels the model does not know, videos without a label, and ten crops of
            classes that a mirror changes.
        NonFiniteError: for logits that are no numbers.
    """
    return evaluate_variants(
        model,
        data,
        {"": as_read},
        protocol=protocol,
        device=device,
        batch=batch,
        workers=workers,
        on_error=on_error,
        max_skipped=max_skipped,
        decoder=decoder,
        out={"": out} if out else {},
    )[""]


def evaluate_variants(
    model: VideoModel | str | Path,
    data: Manifest | str | Path,
    variants: Mapping[Name, Variant],
    *,
    protocol: EvalProtocol | str | None = None,
    device: str | torch.device | None = None,
    batch: int = 8,
    workers: int = -1,
    on_error: OnError = "raise",
    max_skipped: float = MAX_SKIPPED,
    decoder: Decoder = "pyav",
    out: Mapping[Name, Path] | None = None,
) -> dict[Name, Evaluation]:
    """Tests a model on several variants of the same clips; every video is decoded once.

    Args:
        model: as in `evaluate`, like all that follow but these two.
        data: labelled videos.
        variants: name -> what the model is shown of a batch.
        protocol: views of a video.
        device: where to compute.
        batch: clips in one forward pass.
        workers: decoding processes.
        on_error: what an unreadable video does.
        max_skipped: how many may be skipped.
        decoder: what reads video files.
        out: name of a variant -> where its scores file goes.

    Returns:
        name -> result.
    """
    manifest = data if isinstance(data, Manifest) else held_out(data)[1]
    manifest.check("test")
    file = None if isinstance(model, VideoModel) else model
    if not isinstance(model, VideoModel):
        model = checkpoint.load(model)
    elif device is None:
        device = model.device
    if isinstance(protocol, str):
        protocol = EvalProtocol.named(protocol)
    protocol = protocol or model.spec.protocol
    runtime = open_runtime(device)
    if file and runtime.first and trained_on(file, manifest):
        console.print(REMEMBERED, soft_wrap=True)
    model.to(runtime.device)
    loader = eval_loader(
        model,
        manifest,
        protocol,
        runtime,
        batch=batch,
        workers=workers,
        on_error=on_error,
        decoder=decoder,
    )
    try:
        results = score_variants(
            model,
            manifest,
            loader,
            variants,
            protocol,
            runtime,
            limit=batch,
            max_skipped=max_skipped,
        )
    finally:
        loader.close()
    if runtime.first:
        for name, path in (out or {}).items():
            write_scores(results[name], manifest, model, path)
    return results


def as_read(batch: Batch, spec: InputSpec) -> Tensor:
    """The variant that changes nothing."""
    return batch.clips


def held_out(data: DataSplits | str | Path, split: str | None = None) -> tuple[str, Manifest]:
    """What a test looks at: the one rule of `evaluate`, `kinema eval` and a run's last test.

    Args:
        data: splits, or what `load_data` takes.
        split: train, val, test, or another the source names; `val` of data that have none is what
            training takes for it. None: `test`, or `val` where there is no test; a source that
            names neither counts whole.

    Returns:
        (the split's name, or `all` for a whole source; its videos, unchecked).

    Raises:
        ValueError: for a split that is not there.
    """
    parts = _parts(data) if isinstance(data, DataSplits) else read_parts(data)
    if split is None:
        split = next((name for name in ("test", "val") if name in parts), None)
        return (split, parts[split]) if split else ("all", parts["train"])
    divided = "train" in parts and "val" not in parts
    if divided and split in ("train", "val") and not isinstance(data, DataSplits):
        parts = _parts(load_data(data))
    if split not in parts:
        whose = "the data" if isinstance(data, DataSplits) else str(data)
        raise ValueError(
            f"{whose} has no split {split!r}{suggest(split, parts)}; it has {', '.join(parts)}"
        )
    return split, parts[split]


def _parts(splits: DataSplits) -> dict[str, Manifest]:
    parts = {"train": splits.train, "val": splits.val}
    return parts | {"test": splits.test} if splits.test else parts


def trained_on(model: str | Path, manifest: Manifest) -> bool:
    """Whether the run that made a model file saw these videos in training, by its fingerprint.

    Also where the run took its training clips from these videos, as `load_data` divides them.
    """
    provenance = checkpoint.read_header(model)["provenance"]
    fingerprint = provenance.get("fingerprint") if isinstance(provenance, dict) else None
    seen = fingerprint.get("train") if isinstance(fingerprint, dict) else None
    if seen is None or seen == manifest.fingerprint():
        return seen is not None
    try:
        share, _ = split_by_source(manifest, VAL_SHARE)
    except ValueError:  # too few to be divided
        return False
    return seen == share.fingerprint()


def check_crops(manifest: Manifest, protocol: EvalProtocol) -> None:
    """Refuses ten crops, half of them mirrored, of classes that a mirror changes.

    Raises:
        ValueError: naming such a class.
    """
    changed = [label for label, after in (manifest.flip_map or {}).items() if after != label]
    if protocol.crop == "ten" and changed:
        raise ValueError(
            f"{manifest.name}: ten crops are mirrored ones too, and a mirror changes "
            f"{manifest.labels[changed[0]]!r}; use three crops, {protocol.views}x3"
        )


def eval_loader(
    model: VideoModel,
    manifest: Manifest,
    protocol: EvalProtocol,
    runtime: Runtime,
    *,
    batch: int,
    workers: int,
    on_error: OnError = "raise",
    decoder: Decoder = "pyav",
) -> Loader:
    """The loader of a test: this process's share of the videos, none twice, none left out.

    Raises:
        ValueError: for ten crops of classes that a mirror changes.
    """
    check_crops(manifest, protocol)
    views = protocol.views * CROPS[protocol.crop]
    return build_loader(
        eval_dataset(manifest, model.spec.input, protocol, decoder=decoder),
        batch=max(1, batch // views),
        workers=share_workers(workers, runtime),
        shuffle=False,
        drop_last=False,
        on_error=on_error,
        rank=runtime.rank,
        world=runtime.world,
        pin=runtime.device.type == "cuda",
    )


def share_workers(wish: int, runtime: Runtime) -> int:
    """Decoding processes of one training process; -1 shares out the cores."""
    return wish if wish >= 0 else max(1, min(MAX_WORKERS, cores() // runtime.world))


def score(
    model: VideoModel,
    manifest: Manifest,
    loader: Loader,
    protocol: EvalProtocol,
    runtime: Runtime,
    *,
    limit: int,
    title: str = "test",
    max_skipped: float = MAX_SKIPPED,
) -> Evaluation:
    """Scores a loader's videos on all processes and puts the results together on each.

    The number of videos need not divide by the processes: each has its own share, and results are
    filed by id. Where the loader skips unreadable videos, those of all processes are put together
    before they are counted, so every process comes to the same end.

    Raises:
        TooManyUnreadError: for more unreadable videos than `max_skipped` allows, or no other ones.
        NonFiniteError: for logits that are no numbers; names the first video.
    """
    variants = {"": as_read}
    found = score_variants(
        model,
        manifest,
        loader,
        variants,
        protocol,
        runtime,
        limit=limit,
        title=title,
        max_skipped=max_skipped,
    )
    return found[""]


def score_variants(
    model: VideoModel,
    manifest: Manifest,
    loader: Loader,
    variants: Mapping[Name, Variant],
    protocol: EvalProtocol,
    runtime: Runtime,
    *,
    limit: int,
    title: str = "test",
    max_skipped: float = MAX_SKIPPED,
) -> dict[Name, Evaluation]:
    """`score`, for several variants of every batch: name -> result."""
    every, activation = _targets(manifest, model), model.spec.activation
    rows: list[tuple[str, list[Tensor]]] = []  # id, spans, logits of each variant
    unread: list[Unread] = []
    most = allowed(max_skipped, len(manifest))
    training = model.training
    model.eval()
    try:
        with Progress(f"{title} {protocol.name}", len(manifest), shown=runtime.first) as bar:
            for batch in loader.epoch(0):
                unread += loader.take_unread()
                if len(unread) > most:
                    break
                wholes = [batch.spans]
                for show in variants.values():
                    clips = show(batch, model.spec.input)
                    with runtime.autocast():
                        wholes.append(model.score_views(clips, limit=limit))  # (N, V, K)
                # copies: a slice would take its whole batch along to the other processes
                rows += [
                    (video, [whole[i].clone() for whole in wholes])
                    for i, video in enumerate(batch.ids)
                ]
                bar.advance(min(len(batch.ids) * runtime.world, len(manifest) - bar.done))
            unread += loader.take_unread()  # of batches behind the last one that could be read
    finally:
        model.train(training)
    gathered = runtime.gather((rows, unread))
    failed = {one.id: one for _, part in gathered for one in part}
    skipped = [record for record in manifest.records if record.id in failed]
    causes = [failed[record.id].cause for record in skipped]
    check_unread(causes, len(manifest), max_skipped=max_skipped, split=title)
    found = {video: parts for share, _ in gathered for video, parts in share}
    if not found:
        raise TooManyUnreadError(f"none of the {len(manifest)} videos can be read: {causes[0]}")
    ids = tuple(record.id for record in manifest.records if record.id in found)
    spans, *scored = (torch.stack(parts) for parts in zip(*(found[i] for i in ids), strict=True))
    targets = every[[record.id in found for record in manifest.records]]
    missed = every[[record.id in failed for record in manifest.records]]
    results = {}
    for name, logits in zip(variants, scored, strict=True):
        bad = (~logits.isfinite()).flatten(1).any(1).tolist()
        if any(bad):
            raise NonFiniteError(
                f"{' '.join((title, name)).strip()}: the logits of {sum(bad)} videos are not "
                f"finite, the first is {ids[bad.index(True)]!r}"
            )
        probs = protocol.combine(logits, activation).numpy()
        results[name] = Evaluation(
            ids=ids,
            targets=targets,
            logits=logits,
            spans=spans,
            probs=probs,
            metrics=summarise(probs, targets, unread=missed, activation=activation),
            protocol=protocol,
            unread=tuple(failed[record.id] for record in skipped),
            unread_targets=missed,
        )
    return results


def _targets(manifest: Manifest, model: VideoModel) -> Targets:
    """(n,) int64 indices into the model's labels, or (n, K) bool where videos have several."""
    place = label_map(manifest, model)
    labels = [[place[label] for label in record.labels] for record in manifest.records]
    if not manifest.several:
        return np.array([label for (label,) in labels], np.int64)
    truth = np.zeros((len(labels), len(model.spec.labels)), np.bool_)
    for row, those in zip(truth, labels, strict=True):
        row[those] = True
    return truth


def label_map(manifest: Manifest, model: VideoModel) -> dict[int, int]:
    """The manifest's label indices -> the model's, by name.

    A model whose classes are only numbered (0, 1, 2, ...) takes as many other names in the
    manifest's order, other numbers by their value.

    Raises:
        ValueError: for videos without a label, and for names the model does not have.
    """
    bare = next((record for record in manifest.records if not record.labels), None)
    if bare is not None:
        raise ValueError(
            f"{manifest.name}: {bare.id!r} has no label, and a test needs one; use predict"
        )
    known = model.spec.labels
    names = manifest.labels
    numbered = known == tuple(map(str, range(len(known))))
    if numbered and len(known) == len(names) and set(known) != set(names):
        by_value = all(name.isdecimal() for name in names)
        order = sorted(range(len(names)), key=lambda i: int(names[i]) if by_value else i)
        return {index: place for place, index in enumerate(order)}
    place = {name: index for index, name in enumerate(known)}
    used = {label for record in manifest.records for label in record.labels}
    unknown = [n for i, n in enumerate(names) if i in used and n not in place]
    if unknown:
        raise ValueError(
            f"{manifest.name}: {len(unknown)} labels are not among the model's {len(known)}: "
            f"{unknown[0]!r}{suggest(unknown[0], known)}; it knows {', '.join(known[:5])}, ..."
        )
    return {i: place[name] for i, name in enumerate(names) if name in place}


def write_scores(result: Evaluation, manifest: Manifest, model: VideoModel, path: Path) -> None:
    """One row per view: id, path, target, view, start and end in seconds, logits.

    `target` is a list where videos have several labels. Labels, protocol, activation, the data's
    fingerprint and the videos that could not be read are in the schema's metadata.
    """
    count, views, classes = result.logits.shape
    path_of = {record.id: str(record.path.resolve()) for record in manifest.records}
    logits = pa.FixedSizeListArray.from_arrays(pa.array(result.logits.numpy().ravel()), classes)
    spans = result.spans.flatten(0, 1).numpy()  # (n*V, 2)
    about = {
        "labels": list(model.spec.labels),
        "protocol": result.protocol.name,
        "average": result.protocol.average,
        "activation": model.spec.activation,
        "fingerprint": manifest.fingerprint(),
        "unread": [
            {"id": one.id, "target": target, "cause": one.cause}
            for one, target in zip(result.unread, _listed(result.unread_targets), strict=True)
        ],
    }
    table = pa.table(
        {
            "id": [i for i in result.ids for _ in range(views)],
            "path": [path_of[i] for i in result.ids for _ in range(views)],
            "target": [labels for labels in _listed(result.targets) for _ in range(views)],
            "view": np.tile(np.arange(views, dtype=np.int32), count),
            "start": spans[:, 0],
            "end": spans[:, 1],
            "logits": logits.cast(pa.list_(pa.float32())),
        }
    )
    with atomic(path) as temporary:
        metadata = {key: json.dumps(value) for key, value in about.items()}
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def _listed(targets: Targets) -> list[int] | list[list[int]]:
    """An index per video, or a list of them."""
    if targets.ndim == 1:
        return [int(label) for label in targets]
    return [[int(label) for label in np.flatnonzero(row)] for row in targets]
