"""Whatever a user calls data, as splits that are fit to train on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ...registry import suggest
from ...remote import to_path
from ..manifest import DataSplits, Manifest, ManifestError, is_manifest_file
from ..splitting import split_by_source
from ._registry import MissingSplitError, datasets
from .cvat import CVAT_ENDING, read_cvat
from .folder import read_folder
from .label_studio import LABEL_STUDIO_ENDING, read_label_studio
from .lists import LIST_ENDING, read_list
from .table import TABLE_ENDINGS, read_table

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.2
REPORTS = {  # how many records of each split a command left out of the manifests beside the file
    "check.json": ("kinema data check", "the data check"),
    "splits.json": ("kinema data flow", "kinema data flow"),
}


class FileReader(Protocol):
    """Reads a file that names videos and labels."""

    def __call__(self, path: Path, *, root: Path | None) -> dict[str, Manifest]:
        """The manifests by split; names are relative to `root`, or None: to the file."""
        ...


READERS: Mapping[str, FileReader] = {
    **dict.fromkeys(TABLE_ENDINGS, read_table),
    LIST_ENDING: read_list,
    LABEL_STUDIO_ENDING: read_label_studio,
    CVAT_ENDING: read_cvat,
}


def load_data(
    source: str | Path,
    *,
    root: Path | str | None = None,
    val_share: float = VAL_SHARE,
    seed: int = 0,
) -> DataSplits:
    """Reads and checks data of any supported form.

    Args:
        source: one of

            - a folder with `train`, `val`, `test` folders of class folders, or of class folders;
            - a folder with manifests `train.jsonl`, `val.jsonl`, `test.jsonl`, or some of them, as
              `kinema data check` writes them; others, such as `faster.jsonl`, are further splits to
              test on;
            - a table (`.csv`, `.tsv`, `.jsonl`) with the columns path and label, see `read_table`;
            - a list file (`.txt`) with lines `path label` or the like, see `read_list`;
            - an export of Label Studio (`.json`) or CVAT (`.xml`), see `read_label_studio` and
              `read_cvat`;
            - a manifest file written by `Manifest.save`;
            - `NAME:ROOT`, or `NAME` and the argument `root`, for a registered data set.
        root: where a registered data set lies, or what paths of a table or list are relative to.
        val_share: part of the training clips used for validation where there is no `val`; clips of
            one source stay together (see `splitting.sources`).
        seed: of that division; a run's own seed is another matter, so that runs of several seeds
            are tested on the same clips.

    Returns:
        The checked splits; `test` is None where there is none. Their note says what a data check
        left out.

    Raises:
        ManifestError: one error with the first faults and their rows.
        ValueError: for a source that is none of the above.
    """
    parts = read_parts(source, root=root)
    if "train" not in parts:
        fault = f"has no split train (it has {', '.join(parts)}), and training needs one"
        raise ManifestError(str(source), [fault])
    return replace(_complete(parts, val_share, seed), note=_left_out(Path(source), parts))


def read_parts(source: str | Path, *, root: Path | str | None = None) -> dict[str, Manifest]:
    """The splits a source itself names, unchecked; where it names none, `train` holds all.

    Args:
        source: see `load_data`.
        root: see `load_data`.

    Raises:
        ManifestError: for a source that cannot be read.
        ValueError: for a source that `load_data` does not know.
    """
    name, found_root = _registered(source, root)
    if name is not None:
        return _read_registered(name, found_root)
    path = to_path(source)
    if path.is_dir():
        return _manifests(path) or read_folder(path)
    if is_manifest_file(path):
        return {"train": Manifest.load(path)}
    ending = path.suffix.lower()
    if ending in READERS and path.is_file():
        return READERS[ending](path, root=None if root is None else to_path(root))
    raise ValueError(_unknown(source, path))


def _complete(parts: dict[str, Manifest], val_share: float, seed: int) -> DataSplits:
    train = parts["train"]
    train.check("train")
    for split in ("val", "test"):
        if split in parts:
            parts[split].check("test")
    if "val" in parts:
        return DataSplits(train, parts["val"], parts.get("test"))
    train, val = split_by_source(train, val_share, seed=seed)
    return DataSplits(train, val, parts.get("test"))


def _left_out(folder: Path, parts: Mapping[str, Manifest]) -> str:
    """What the command whose manifests these are did not take over, in words."""
    name = next((name for name in REPORTS if (folder / name).is_file()), None)
    if name is None:
        return ""
    report, (command, what) = folder / name, REPORTS[name]
    try:
        rows = json.loads(report.read_text(encoding="utf-8"))["splits"]
        counts = {split: (row["before"], row["after"]) for split, row in rows.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(str(report), [f"is not what {command} writes: {error}"]) from None
    lost = [
        f"{before - after:,} of {before:,} {split} videos"
        for split, (before, after) in counts.items()
        if split in parts and len(parts[split]) == after < before
    ]
    if not lost:
        return ""
    return f"left out by {what}: {', '.join(lost)}; reasons in {folder / 'dropped.csv'}"


def _manifests(folder: Path) -> dict[str, Manifest]:
    """The manifests of a folder that has one of a split; further ones follow by name."""
    found = {path.stem: path for path in sorted(folder.glob("*.jsonl")) if is_manifest_file(path)}
    order = {name: found.pop(name) for name in SPLITS if name in found}
    return {name: Manifest.load(path) for name, path in (order | found).items()} if order else {}


def _registered(source: str | Path, root: Path | str | None) -> tuple[str | None, Path]:
    """(name, root) of a registered data set, or (None, anything)."""
    text = str(source)
    name, colon, rest = text.partition(":")
    if colon and name in datasets:
        return name, to_path(rest)
    if text in datasets and not Path(text).exists():
        if root is None:
            raise ValueError(f"data set {text!r} needs its folder: give {text}:FOLDER")
        return text, to_path(root)
    return None, Path()


def _read_registered(name: str, root: Path) -> dict[str, Manifest]:
    if not root.is_dir():
        raise ValueError(f"data set {name}: there is no folder {root}")
    read: Callable[[Path, str], Manifest] = datasets[name]
    parts = {"train": read(root, "train")}
    for split in ("val", "test"):
        try:
            parts[split] = read(root, split)
        except MissingSplitError:
            continue
    return parts


def _unknown(source: str | Path, path: Path) -> str:
    if path.is_file():
        endings = ", ".join(TABLE_ENDINGS)
        return (
            f"{path} is no table ({endings}), no list ({LIST_ENDING}), no export of Label Studio "
            f"({LABEL_STUDIO_ENDING}) or CVAT ({CVAT_ENDING}) and no manifest"
        )
    name = str(source).partition(":")[0]
    known = f"{', '.join(datasets.names())}{suggest(name, datasets.names())}"
    return f"there is no folder or file {path}, and no data set of that name; data sets: {known}"
