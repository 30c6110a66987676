"""Folders of generated videos: made once, gone on with after a stop, never mixed with others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ..files import atomic
from ..progress import Progress
from ..types import JSON, Record
from .flips import flip_map_from_names
from .manifest import Manifest
from .motion_paths import Clip
from .motion_render import write_clip
from .processes import spread

SHOWN = 3  # differences named

Draw = Callable[[str, str, int], Clip]
"""Everything about one clip from its split, its class and its index."""


def make_videos(
    out: Path,
    *,
    file: str,
    content: JSON,
    classes: Sequence[str],
    counts: Mapping[str, int],
    draw: Draw,
    workers: int | None,
    shown: bool,
) -> dict[str, Manifest]:
    """Writes `out/SPLIT/CLASS/00000.mp4`, ..., and a manifest of each split.

    A run that was stopped goes on where it was. A clip is either whole or not there.

    Args:
        out: folder; made where it does not exist.
        file: name of the description in the folder.
        content: what the description says; a folder with another is left alone.
        classes: names; a clip's label is its class's place in alphabetical order.
        counts: clips per class of each split; a split of 0 is left out.
        draw: says what a clip is made from.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Raises:
        ValueError: the folder holds other videos.
    """
    counts = {split: count for split, count in counts.items() if count}
    _claim(out, file, content, counts)
    splits = {split: _manifest(out, split, classes, count) for split, count in counts.items()}
    jobs = [
        (draw(split, label, index), path)
        for split, count in counts.items()
        for label in classes
        for index in range(count)
        if not (path := _path(out, split, label, index)).exists()
    ]
    with (
        Progress("motion videos", len(jobs), shown=shown and bool(jobs)) as progress,
        closing(spread(_write, jobs, workers=workers, crashed=_crashed)) as written,
    ):
        for _ in written:
            progress.advance()
    for split, manifest in splits.items():
        manifest.save(out / f"{split}.jsonl")
    return splits


def _path(out: Path, split: str, label: str, index: int) -> Path:
    return out / split / label / f"{index:05d}.mp4"


def _claim(out: Path, file: str, content: JSON, splits: Mapping[str, int]) -> None:
    """Stores the description in the folder, or finds the same one there."""
    if (out / file).exists():
        found = json.loads((out / file).read_text(encoding="utf-8"))
        if found != content:
            raise ValueError(
                f"{out} holds motion videos of another specification "
                f"({_difference(found, content, file)}); choose another folder, or delete this one"
            )
        return
    if any((out / split).exists() for split in splits):
        raise ValueError(
            f"{out} holds videos, but no {file} that says which; choose another folder"
        )
    with atomic(out / file) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _difference(found: JSON, wanted: JSON, file: str) -> str:
    if not isinstance(found, Mapping) or not isinstance(wanted, Mapping):
        return f"{file} cannot be read"
    keys = [key for key in wanted if found.get(key) != wanted[key]]
    told = [f"{key}: there {found.get(key)}, asked {wanted[key]}" for key in keys[:SHOWN]]
    return ", ".join(told + ["..."] * (len(keys) > SHOWN))


def _manifest(out: Path, split: str, classes: Sequence[str], count: int) -> Manifest:
    labels = tuple(sorted(classes))
    records = tuple(
        Record(f"{label}/{path.name}", path, number)
        for number, label in enumerate(labels)
        for path in (_path(out, split, label, index) for index in range(count))
    )
    return Manifest(f"{out.name}/{split}", labels, records, flip_map_from_names(labels))


def _write(job: tuple[Clip, Path]) -> None:
    clip, path = job
    with atomic(path) as temporary:
        write_clip(clip, temporary)


def _crashed(job: tuple[Clip, Path]) -> None:
    raise RuntimeError(f"{job[1]} could not be written: the encoder ended its process")
