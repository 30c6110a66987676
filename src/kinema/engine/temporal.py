"""Whether a model uses time: the same clips in their order, backwards, shuffled and standing still.

A model that recognises a class by its motion loses it when the frames come in another order; one
that recognises it by objects, scene and background does not notice. Every video is decoded once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..data import Decoder, Manifest
from ..data.reversals import reversal_pairs
from ..data.unread import MAX_SKIPPED, OnError
from ..models import VideoModel
from ..types import Batch, EvalProtocol, InputSpec, Modality
from .evaluate import evaluate_variants
from .held_out import held_out
from .metrics import Bools, Floats, Targets, bootstrap_interval, paired_interval
from .scores import Evaluation

Order = Literal["normal", "reversed", "shuffled", "frozen"]
ORDERS: tuple[Order, ...] = ("normal", "reversed", "shuffled", "frozen")
CHANGED = ORDERS[1:]

MIN_VIDEOS = 10  # of a class; with fewer no word is said about what it is recognised by
NO_LOSS = 0.1  # a class that surely loses less than this loses nothing
CLASS_ROUNDS = 2000  # resamples behind the interval of one class; there may be hundreds of classes
STILL = 128  # no motion, in flow and in differences

ONE_LABEL = (
    "what a class is recognised by shows in videos of one class, and these have several labels"
)

Verdict = Literal[
    "order", "several frames", "appearance", "unclear", "not recognised", "too few videos"
]


@dataclass(frozen=True, kw_only=True)
class OrderScore:
    """A test in one order.

    Attributes:
        order: of the frames.
        top1: accuracy.
        interval: 95 % bootstrap interval of it over the videos.
        drop: accuracy in the normal order minus this one.
        drop_interval: 95 % interval of the drop over the videos, paired.
    """

    order: Order
    top1: float
    interval: tuple[float, float]
    drop: float
    drop_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ClassUse:
    """What one class is recognised by.

    Attributes:
        label: its name.
        support: videos.
        recall: share found in each order.
        drop: the largest loss of recall in another order.
        verdict: `order`: it loses when frames come backwards or shuffled. `several frames`: it
            loses only where the clip stands still, so it needs more than one picture, but not their
            order. `appearance`: no order costs it as much as `NO_LOSS`. Losses count where their
            95 % interval lies above zero.
        partner: the class it is when played backwards; None: there is none.
        taken: share of its reversed clips that are taken for the partner; None without one.
    """

    label: str
    support: int
    recall: Mapping[Order, float]
    drop: float
    verdict: Verdict
    partner: str | None
    taken: float | None


@dataclass(frozen=True, kw_only=True)
class TemporalUse:
    """What a test in all orders says.

    Attributes:
        orders: in the order of `ORDERS`.
        classes: those that have videos, the largest drop first.
        partnered: videos whose class has a partner.
        taken: share of these that, reversed, are taken for the partner; None where there are none.
        taken_normal: the same in the normal order: the mistake without a reason.
    """

    orders: tuple[OrderScore, ...]
    classes: tuple[ClassUse, ...]
    partnered: int
    taken: float | None
    taken_normal: float | None


def temporal_sensitivity(
    model: VideoModel | str | Path,
    manifest: Manifest | str | Path,
    *,
    protocol: EvalProtocol | str | None = None,
    device: str | torch.device | None = None,
    batch: int = 8,
    workers: int = -1,
    on_error: OnError = "raise",
    max_skipped: float = MAX_SKIPPED,
    decoder: Decoder = "pyav",
    seed: int = 0,
    out: Path | None = None,
) -> Mapping[Order, Evaluation]:
    """Tests a model on clips whose frames come in the normal order and in three others.

    Args:
        model: a model or the path of its file.
        manifest: labelled videos, or what `load_data` takes.
        protocol: a protocol or its name; None: the one the model file states.
        device: None: a GPU if there is one, for a model given as a path; else where the model is.
        batch: clips in one forward pass.
        workers: decoding processes; -1: as many as there are cores, at most 8.
        on_error: what an unreadable video does, see `evaluate`.
        max_skipped: how many may be skipped.
        decoder: what reads video files.
        seed: of the shuffled order, which is another one for every video.
        out: folder where the scores files go (`score_files`); None: nowhere.

    Returns:
        order -> result; `normal` is what `evaluate` gives.

    Raises:
        ValueError: as `evaluate` does, and for videos with several labels.
        NonFiniteError: for logits that are no numbers.
    """
    manifest = manifest if isinstance(manifest, Manifest) else held_out(manifest)[1]
    if manifest.several:
        raise ValueError(f"{manifest.name}: {ONE_LABEL}")
    return evaluate_variants(
        model,
        manifest,
        {order: partial(show, order=order, seed=seed) for order in ORDERS},
        protocol=protocol,
        device=device,
        batch=batch,
        workers=workers,
        on_error=on_error,
        max_skipped=max_skipped,
        decoder=decoder,
        out=score_files(out) if out else None,
    )


def score_files(folder: Path) -> dict[Order, Path]:
    """Order -> scores file; the normal order's is that of any test."""
    return {
        order: folder / ("scores.parquet" if order == "normal" else f"scores_{order}.parquet")
        for order in ORDERS
    }


def show(batch: Batch, spec: InputSpec, *, order: Order, seed: int) -> Tensor:
    """The clips of a batch in an order: (N, V, C, T, H, W) uint8."""
    frames = batch.clips.shape[-3]
    clips = [
        reorder(clip, order, spec.modality, shuffle=draw_order(video, frames, seed))
        for clip, video in zip(batch.clips, batch.ids, strict=True)
    ]
    return torch.stack(clips)


def draw_order(video: str, frames: int, seed: int) -> list[int]:
    """An order of `frames` frames that only the seed and the video's id decide.

    Never the order they came in, except where one frame allows no other.
    """
    key = np.frombuffer(hashlib.sha256(video.encode()).digest(), "<u4")
    rng = np.random.default_rng([seed, *key.tolist()])
    order = rng.permutation(frames)
    while frames > 1 and np.array_equal(order, np.arange(frames)):
        order = rng.permutation(frames)
    return order.tolist()


def reorder(
    clips: Tensor, order: Order, modality: Modality = "rgb", *, shuffle: Sequence[int] = ()
) -> Tensor:
    """Clips whose frames come in another order.

    Pictures are reversed by turning round the time axis, and frozen by repeating the middle one.
    A time step of flow or of differences describes the frames a, ..., a + K: backwards, its K
    entries come in the opposite order and with the opposite sign, which is the same stretch of
    frames gone through from its end. A video that stands still has no motion: frozen, all entries
    are `STILL`. Shuffling changes the order of the time steps, not of the entries in them.

    Deviation: reversed flow stays on the pixels it started from and is not carried to those it
    ends at; reversed differences are one level off where the difference was odd, because a level
    stands for two.

    Args:
        clips: (..., C, T, H, W) uint8, as `read_views` gives them.
        order: of the result.
        modality: what the channels are.
        shuffle: (T,) where each time step of a shuffled clip comes from; the others do not use it.

    Raises:
        ValueError: for a `shuffle` that is no order of the clip's time steps.
    """
    if order == "normal":
        return clips
    if order == "shuffled":
        if sorted(shuffle) != list(range(clips.shape[-3])):
            raise ValueError(f"shuffle={shuffle} must be an order of 0..{clips.shape[-3] - 1}")
        return clips.index_select(-3, torch.tensor(shuffle, device=clips.device))
    if order == "reversed":
        turned = clips.flip(-3)
        return turned if modality == "rgb" else _turn_round(turned, modality)
    if modality == "rgb":
        middle = clips.shape[-3] // 2
        return clips[..., middle : middle + 1, :, :].expand_as(clips)
    return torch.full_like(clips, STILL)


def _turn_round(clips: Tensor, modality: Modality) -> Tensor:
    """Turns the motion inside every time step round: (..., C, T, H, W) uint8 to the same."""
    entry = 2 if modality == "flow" else 3  # channels: x and y, or red, green and blue
    turned = clips.unflatten(-4, (-1, entry)).flip(-5).flatten(-5, -4)
    if modality == "flow":
        return 255 - turned
    return (256 - turned.short()).clamp_(max=255).byte()


def summarise_orders(
    probs: Mapping[Order, Floats], targets: Targets, labels: Sequence[str]
) -> TemporalUse:
    """What the scores in all orders say about a model.

    Args:
        probs: order -> (n, K), rows sum to one, the same videos in the same order.
        targets: (n,) class indices.
        labels: K names; those of classes that are each other's reversal make partners.

    Raises:
        ValueError: for videos with several labels.
    """
    if targets.ndim > 1:
        raise ValueError(ONE_LABEL)
    found = {order: probs[order].argmax(axis=1) for order in ORDERS}
    hits = {order: found[order] == targets for order in ORDERS}
    pairs = reversal_pairs(labels)
    partner = np.array([pairs.get(label, -1) for label in range(len(labels))])[targets]  # (n,)
    paired, taken = partner >= 0, found["reversed"] == partner
    classes = []
    for index in np.unique(targets).tolist():
        own = targets == index
        named = _mean(found["normal"][~own] == index) or 0.0  # of videos that are something else
        recall = {order: float(hits[order][own].mean()) for order in ORDERS}
        use = ClassUse(
            label=labels[index],
            support=int(own.sum()),
            recall=recall,
            drop=max(recall["normal"] - recall[order] for order in CHANGED),
            verdict=_verdict(
                {order: hits[order][own] for order in ORDERS}, max(1 / len(labels), named)
            ),
            partner=labels[pairs[index]] if index in pairs else None,
            taken=_mean(taken[own & paired]),
        )
        classes.append(use)
    return TemporalUse(
        orders=tuple(
            OrderScore(
                order=order,
                top1=float(hits[order].mean()),
                interval=bootstrap_interval(hits[order]),
                drop=float(hits["normal"].mean() - hits[order].mean()),
                drop_interval=paired_interval(hits["normal"], hits[order]),
            )
            for order in ORDERS
        ),
        classes=tuple(sorted(classes, key=lambda use: -use.drop)),
        partnered=int(paired.sum()),
        taken=_mean(taken[paired]),
        taken_normal=_mean((found["normal"] == partner)[paired]),
    )


def _verdict(hits: Mapping[Order, Bools], chance: float) -> Verdict:
    """What a class is recognised by, from which of its videos are right in each order.

    A class that is named as often where it is not, `chance`, is not recognised: a model that always
    gives one answer finds all videos of that class.
    """
    normal = hits["normal"]
    if len(normal) < MIN_VIDEOS:
        return "too few videos"
    if bootstrap_interval(normal, rounds=CLASS_ROUNDS)[0] <= chance:
        return "not recognised"
    ends = {o: paired_interval(normal, hits[o], rounds=CLASS_ROUNDS) for o in CHANGED}
    if ends["reversed"][0] > 0 or ends["shuffled"][0] > 0:
        return "order"
    if ends["frozen"][0] > 0:
        return "several frames"
    return "appearance" if max(high for _, high in ends.values()) < NO_LOSS else "unclear"


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None
