"""Tables of videos: CSV with a header line, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ...remote import join
from ...types import Record
from ..flips import flip_map_from_names
from ..manifest import Manifest, ManifestError
from ._rows import csv_rows, numbered_lines
from .folder import SPLIT_FOLDERS

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")
LABELS = ("label", "labels")  # one, or several
BETWEEN = "|"  # several labels in a cell
COLUMNS = ("path", *LABELS, "split", "start", "end", "id", "group")
SPLIT_NAMES = {name: split for split, names in SPLIT_FOLDERS.items() for name in names}

Row = tuple[int, Mapping[str, str], tuple[str, ...]]  # line, cells, labels


def read_table(path: Path, *, root: Path | None = None) -> dict[str, Manifest]:
    """The manifests of a table, by split.

    Columns: path, label or labels and, where wanted, split (train, val, test; empty: train), start
    and end in seconds, id (default: the path, with the stretch), group (clips of one group stay
    together when validation data are taken from training data). Text with commas is put in double
    quotes; spaces need none. Labels are text or numbers; the classes are the distinct labels,
    sorted (numbers by value), so it does not matter whether numbers begin at 0 or at 1. In a column
    `labels` a video has several, with `|` between them, or as a list in JSON.

    Args:
        path: `.csv`, `.tsv` or `.jsonl` (an object per line).
        root: what paths are relative to; None: the table's folder.

    Raises:
        ManifestError: with the first faulty rows, by their line in the file.
    """
    home = path.resolve().parent if root is None else root
    rows = list(_json_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path))
    labels = sorted_labels(label for _, _, those in rows for label in those)
    index = {label: i for i, label in enumerate(labels)}
    parts: dict[str, list[Record]] = {}
    faults: list[str] = []
    ids: dict[str, int] = {}
    for line, row, those in rows:
        try:
            split, record = _read(row, [index[label] for label in those if label], home)
            if record.id in ids:
                raise ValueError(f"id {record.id!r} is taken by line {ids[record.id]}")
            if not record.path.exists():
                raise ValueError(f"no such file: {record.path}")
        except ValueError as error:
            faults.append(f"line {line}: {error}")
            continue
        ids[record.id] = line
        parts.setdefault(split, []).append(record)
    if faults:
        raise ManifestError(str(path), faults)
    flips = flip_map_from_names(labels)
    return {
        split: Manifest(f"{path.stem}/{split}", labels, tuple(records), flips)
        for split, records in parts.items()
    }


def _csv_rows(path: Path) -> Iterator[Row]:
    lines = csv_rows(path, "\t" if path.suffix.lower() == ".tsv" else ",")
    _, cells = next(lines, (1, []))
    names = [name.strip() for name in cells]
    _check_columns(path, names)
    for line, cells in lines:
        if len(cells) != len(names):
            fault = f"line {line}: needs {len(names)} columns"
            raise ManifestError(str(path), [fault], 'put text with commas in "quotes"')
        row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        several = row.get("labels", "").split(BETWEEN)
        yield line, row, _labels(row.get("label", ""), *several)


def _json_rows(path: Path) -> Iterator[Row]:
    for line, text in numbered_lines(path):
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ManifestError(str(path), [f"line {line} is not JSON: {error}"]) from None
        if not isinstance(row, dict):
            raise ManifestError(str(path), [f"line {line} must be an object with path and label"])
        _check_columns(path, list(row), line)
        several = row.pop("labels", [])
        if not isinstance(several, list):
            raise ManifestError(str(path), [f"line {line}: labels={several!r} must be a list"])
        cells = {key: "" if value is None else str(value) for key, value in row.items()}
        yield line, cells, _labels(cells.get("label", ""), *several)


def _labels(*given: object) -> tuple[str, ...]:
    """Without the empty ones."""
    return tuple(text for each in given if (text := str(each).strip()))


def _check_columns(path: Path, names: list[str], line: int = 1) -> None:
    missing = [] if "path" in names else ["path"]
    missing += [] if any(name in names for name in LABELS) else ["label"]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        fault = f"line {line} {what} (it names {', '.join(names) or 'nothing'})"
        raise ManifestError(str(path), [fault], f"columns are {', '.join(COLUMNS)}")


def sorted_labels(found: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels: numbers by value, text by alphabet."""
    distinct = set(found) - {""}
    if all(label.isdecimal() for label in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def _read(row: Mapping[str, str], labels: Sequence[int], home: Path) -> tuple[str, Record]:
    if not row["path"]:
        raise ValueError("the path is empty")
    if not labels:
        raise ValueError("the label is empty")
    split = split_named(row.get("split", ""))
    start, end = _seconds(row, "start"), _seconds(row, "end")
    stretch = "" if start is None and end is None else f"@{start or 0:g}-{row.get('end', '')}"
    name = row.get("id") or row["path"] + stretch
    record = Record(
        name,
        join(home, row["path"]),
        labels,
        start or 0.0,
        end,
        row.get("group") or None,
    )
    return split, record


def split_named(word: str) -> str:
    """The split that a file calls by some word; empty: `train`.

    Raises:
        ValueError: for a word that names none.
    """
    split = SPLIT_NAMES.get(word.lower() or "train")
    if split is None:
        raise ValueError(f"split {word!r} must be train, val or test")
    return split


def _seconds(row: Mapping[str, str], column: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} must be a number of seconds") from None
