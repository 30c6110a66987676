"""What a test is about: which videos, and what their labels are to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import checkpoint
from ..data import DataSplits, Manifest, load_data
from ..data.datasets import VAL_SHARE, read_parts
from ..data.splitting import split_by_source
from ..models import VideoModel
from ..registry import suggest
from ..types import EvalProtocol
from .metrics import Targets

REMEMBERED = (
    "note: the model was trained on these videos, so the figures say what it remembers; "
    "videos it has not seen are a fair test"
)


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


def targets_of(manifest: Manifest, model: VideoModel) -> Targets:
    """(n,) int64 indices into the model's labels, or (n, K) bool where videos have several."""
    place = label_map(manifest, model)
    labels = [[place[label] for label in record.labels] for record in manifest.records]
    if not manifest.several:
        return np.array([label for (label,) in labels], np.int64)
    truth = np.zeros((len(labels), len(model.spec.labels)), np.bool_)
    for row, those in zip(truth, labels, strict=True):
        row[those] = True
    return truth
