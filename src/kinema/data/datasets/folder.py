"""Class folders: the name of a folder is the label of what lies in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...types import Record
from ..flips import flip_map_from_names
from ..manifest import Manifest, ManifestError
from ..readers import VIDEO_ENDINGS, is_frame_folder

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def read_folder(root: Path) -> dict[str, Manifest]:
    """`root/train/<class>/<clip>` with `val` and `test` beside it, or `root/<class>/<clip>`.

    A clip is a video file or a folder of numbered frames. Labels are the class folders of `train`,
    sorted; of all that are there where there is no `train`, which is fit for a test alone. A clip
    that symbolic links put into several class folders has several labels. Names that begin with a
    dot are passed over, as are files beside class folders.

    Returns:
        The manifests that are there, by split; one level of class folders is all `train`.

    Raises:
        ManifestError: for a folder without clips, or a class that training does not know.
    """
    folders = _split_folders(root)
    if not folders:
        folders = {"train": root}
    classes = [folders["train"]] if "train" in folders else folders.values()
    labels = tuple(sorted({path.name for folder in classes for path in _folders(folder)}))
    if not labels:
        remedy = "expected are <class>/<clip>.mp4, or train/<class>/<clip>.mp4 and val, test"
        raise ManifestError(str(root), ["has no class folders"], remedy)
    flips = flip_map_from_names(labels)
    parts = {}
    for split, folder in folders.items():
        records = _records(folder, labels)
        name = root.name if len(folders) == 1 else f"{root.name}/{split}"
        parts[split] = Manifest(name, labels, records, flips)
    return parts


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders that are named like splits and hold class folders."""
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        there = [root / name for name in names if any(_folders(root / name))]
        if len(there) > 1:
            fault = f"has {' and '.join(path.name for path in there)}; keep one of them"
            raise ManifestError(str(root), [fault])
        if there:
            found[split] = there[0]
    return found


def _folders(path: Path) -> Iterator[Path]:
    """Folders inside, without hidden ones and without folders of frames, which are clips."""
    if path.is_dir():
        for entry in sorted(path.iterdir()):
            if entry.is_dir() and not entry.name.startswith(".") and not is_frame_folder(entry):
                yield entry


def _records(folder: Path, labels: tuple[str, ...]) -> tuple[Record, ...]:
    records: dict[Path, Record] = {}
    faults = []
    for home in _folders(folder):
        clips = sorted(entry for entry in home.iterdir() if _is_clip(entry))
        if home.name not in labels:
            faults.append(f"class folder {home} is not among the classes of train")
        elif not clips:
            faults.append(f"class folder {home} holds no videos")
        else:
            label = labels.index(home.name)
            there = home.resolve()
            for clip in clips:
                file = clip.resolve() if clip.is_symlink() else there / clip.name
                known = records.get(file)
                if known is None or label in known.labels:  # or: linked twice into one class
                    name = f"{home.name}/{clip.name}"
                    records[clip if known else file] = Record(name, clip, label)
                else:
                    records[file] = replace(known, labels=(*known.labels, label))
    if faults:
        raise ManifestError(str(folder), faults)
    return tuple(records.values())


def _is_clip(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_frame_folder(path)
    return path.suffix.lower() in VIDEO_ENDINGS
