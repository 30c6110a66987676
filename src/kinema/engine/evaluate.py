"""Testing: every view of every video scored once, views combined by the protocol, one scores file.

The path is the Predictor's: `read_views`, `score_views`, `EvalProtocol.combine`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from .. import checkpoint
from ..data import Decoder, Loader, Manifest, build_loader, eval_dataset
from ..data.unread import (
    MAX_SKIPPED,
    OnError,
    TooManyUnreadError,
    Unread,
    allowed,
    check_unread,
)
from ..models import VideoModel
from ..progress import Progress, console
from ..types import CROPS, Batch, EvalProtocol, InputSpec
from .held_out import REMEMBERED, check_crops, held_out, targets_of, trained_on
from .metrics import summarise
from .runtime import Runtime, cores, open_runtime
from .scores import Evaluation, write_scores

MAX_WORKERS = 8

Variant: TypeAlias = Callable[[Batch, InputSpec], Tensor]
"""What a model is shown of a batch: (N, V, C, T, H, W) uint8, for a model with this input."""
Name = TypeVar("Name", bound=str)


class NonFiniteError(ArithmeticError):
    """The loss, the gradient or the logits are no numbers any more; the message says where."""


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
    every, activation = targets_of(manifest, model), model.spec.activation
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
