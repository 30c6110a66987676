"""UCF-101 (arXiv:1212.0402) in its official layout, and any other set that is laid out like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...types import Record
from ..flips import flip_map_from_names
from ..manifest import Manifest, ManifestError
from ..splitting import source_of
from ._registry import MissingSplitError, register_dataset

LIST_FOLDERS = ("", "ucfTrainTestlist")
VIDEO_FOLDERS = ("UCF-101", "videos", "")
ENDINGS = (".avi", ".mp4", ".mkv", ".webm")


def read_ucf101(root: Path, split: str, fold: int) -> Manifest:
    """One official list: `classInd.txt` and `trainlist0N.txt` or `testlist0N.txt`.

    The lists lie in `root` or `root/ucfTrainTestlist`, the class folders in `root/UCF-101`,
    `root/videos` or `root`. A clip may have another ending than the list says. Labels count from 1
    on disk and from 0 here; the test list has none, there the class folder tells.

    Args:
        root: folder of the data set.
        split: `train` or `test`; the official lists have no validation part.
        fold: 1, 2 or 3.

    Raises:
        ManifestError: for lists that are not there or disagree, and for missing clips.
        MissingSplitError: for another split.
    """
    if split not in ("train", "test"):
        raise MissingSplitError("ucf101", split, ("train", "test"))
    labels = _labels(_find_list(root, "classInd.txt"))
    index = {label: i for i, label in enumerate(labels)}
    path = _find_list(root, f"{split}list{fold:02d}.txt")
    records: list[Record] = []
    faults: list[str] = []
    missing: list[str] = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        name, _, number = text.strip().partition(" ")
        label = index.get(name.split("/")[0])
        if label is None:
            faults.append(f"line {line}: class {name.split('/')[0]!r} is not in classInd.txt")
        elif number and number.strip() != str(label + 1):
            faults.append(f"line {line}: label {number.strip()} of {name} must be {label + 1}")
        elif (clip := _find_clip(root, name)) is None:
            missing.append(f"line {line}: {name}")
        else:
            records.append(Record(name, clip, label, group=source_of(name)))
    if faults:
        raise ManifestError(str(path), faults)
    if missing:
        places = ", ".join(str(root / folder) for folder in VIDEO_FOLDERS)
        fault = f"{len(missing)} of {len(missing) + len(records)} clips are missing; the first are "
        raise ManifestError(str(path), [fault + ", ".join(missing[:3])], f"looked in {places}")
    return Manifest(f"ucf101/{split}{fold}", labels, tuple(records), flip_map_from_names(labels))


def _register(name: str, fold: int) -> Callable[[Path, str], Manifest]:
    def entry(root: Path, split: str) -> Manifest:
        return read_ucf101(root, split, fold)

    entry.__doc__ = f"UCF-101, official split {fold}."
    return register_dataset(name)(entry)


ucf101 = _register("ucf101", 1)
ucf101_split2 = _register("ucf101_split2", 2)
ucf101_split3 = _register("ucf101_split3", 3)


def _find_list(root: Path, name: str) -> Path:
    for folder in LIST_FOLDERS:
        if (root / folder / name).is_file():
            return root / folder / name
    raise ManifestError(str(root), [f"has no {name}, nor has {root / LIST_FOLDERS[1]}"])


def _labels(path: Path) -> tuple[str, ...]:
    """Class names of lines like `1 ApplyEyeMakeup`, which must count from 1."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for line, row in enumerate(rows, start=1):
        if len(row) != 2 or row[0] != str(line):
            fault = f"line {line} must be '{line} <class>', it is {' '.join(row)!r}"
            raise ManifestError(str(path), [fault])
    return tuple(row[1] for row in rows)


def _find_clip(root: Path, name: str) -> Path | None:
    stem = name.rsplit(".", 1)[0]
    endings = [name[len(stem) :], *ENDINGS]
    places = [root / folder / f"{stem}{ending}" for folder in VIDEO_FOLDERS for ending in endings]
    return next((place for place in places if place.is_file()), None)
