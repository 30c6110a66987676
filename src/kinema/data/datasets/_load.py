"""Whatever a user calls data, as splits that are fit to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...registry import suggest
from ..manifest import DataSplits, Manifest, is_manifest_file
from ..splitting import split_by_source
from ._registry import MissingSplitError, datasets
from .folder import read_folder
from .lists import LIST_ENDING, read_list
from .table import TABLE_ENDINGS, read_table


def load_data(
    source: str | Path, *, root: Path | str | None = None, val_share: float = 0.2, seed: int = 0
) -> DataSplits:
    """Reads and checks data of any supported form.

    Args:
        source: one of

            - a folder with `train`, `val`, `test` folders of class folders, or of class folders;
            - a table (`.csv`, `.tsv`, `.jsonl`) with the columns path and label, see `read_table`;
            - a list file (`.txt`) with lines `path label` or the like, see `read_list`;
            - a manifest file written by `Manifest.save`;
            - `NAME:ROOT`, or `NAME` and the argument `root`, for a registered data set.
        root: where a registered data set lies, or what paths of a table or list are relative to.
        val_share: part of the training clips used for validation where there is no `val`; clips of
            one source stay together (see `splitting.sources`).
        seed: of that division.

    Returns:
        The checked splits; `test` is None where there is none.

    Raises:
        ManifestError: one error with the first faults and their rows.
        ValueError: for a source that is none of the above.
    """
    name, found_root = _registered(source, root)
    if name is not None:
        parts = _read_registered(name, found_root)
    else:
        path = Path(source)
        if path.is_dir():
            parts = read_folder(path)
        elif is_manifest_file(path):
            parts = {"train": Manifest.load(path)}
        elif path.suffix.lower() in TABLE_ENDINGS and path.is_file():
            parts = read_table(path, root=None if root is None else Path(root))
        elif path.suffix.lower() == LIST_ENDING and path.is_file():
            parts = read_list(path, root=None if root is None else Path(root))
        else:
            raise ValueError(_unknown(source, path))
    return _complete(parts, val_share, seed)


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


def _registered(source: str | Path, root: Path | str | None) -> tuple[str | None, Path]:
    """(name, root) of a registered data set, or (None, anything)."""
    text = str(source)
    name, colon, rest = text.partition(":")
    if colon and name in datasets:
        return name, Path(rest)
    if text in datasets and not Path(text).exists():
        if root is None:
            raise ValueError(f"data set {text!r} needs its folder: give {text}:FOLDER")
        return text, Path(root)
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
        return f"{path} is no table ({endings}), no list ({LIST_ENDING}) and no manifest"
    name = str(source).partition(":")[0]
    known = f"{', '.join(datasets.names())}{suggest(name, datasets.names())}"
    return f"there is no folder or file {path}, and no data set of that name; data sets: {known}"
