"""Tables of videos: CSV with a header line, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ...remote import join
from ...types import Record
from ..flips import flip_map_from_names
from ..manifest import Manifest, ManifestError
from .folder import SPLIT_FOLDERS

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")
NEEDED = ("path", "label")
COLUMNS = (*NEEDED, "split", "start", "end", "id", "group")
SPLIT_NAMES = {name: split for split, names in SPLIT_FOLDERS.items() for name in names}

Row = tuple[int, Mapping[str, str]]


def read_table(path: Path, *, root: Path | None = None) -> dict[str, Manifest]:
    """The manifests of a table, by split.

    Columns: path, label and, where wanted, split (train, val, test; empty: train), start and end in
    seconds, id (default: the path, with the stretch), group (clips of one group stay together when
    validation data are taken from training data). Text with commas is put in double quotes; spaces
    need none. Labels are text or numbers; the classes are the distinct labels, sorted (numbers by
    value), so it does not matter whether numbers begin at 0 or at 1.

    Args:
        path: `.csv`, `.tsv` or `.jsonl` (an object per line).
        root: what paths are relative to; None: the table's folder.

    Raises:
        ManifestError: with the first faulty rows, by their line in the file.
    """
    home = path.resolve().parent if root is None else root
    rows = list(_json_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path))
    labels = sorted_labels([row["label"] for _, row in rows])
    index = {label: i for i, label in enumerate(labels)}
    parts: dict[str, list[Record]] = {}
    faults: list[str] = []
    ids: dict[str, int] = {}
    for line, row in rows:
        try:
            split, record = _read(row, index, home)
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
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            names = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(path, names)
            reader.fieldnames = names
            for row in reader:
                if None in row or None in row.values():
                    fault = f"line {reader.line_num}: needs {len(names)} columns"
                    raise ManifestError(str(path), [fault], 'put text with commas in "quotes"')
                yield reader.line_num, {key: value.strip() for key, value in row.items()}
        except csv.Error as error:
            raise ManifestError(str(path), [f"line {reader.line_num}: {error}"]) from None


def _json_rows(path: Path) -> Iterator[Row]:
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ManifestError(str(path), [f"line {line} is not JSON: {error}"]) from None
        if not isinstance(row, dict):
            raise ManifestError(str(path), [f"line {line} must be an object with path and label"])
        _check_columns(path, list(row), line)
        yield line, {key: "" if value is None else str(value) for key, value in row.items()}


def _check_columns(path: Path, names: list[str], line: int = 1) -> None:
    missing = [name for name in NEEDED if name not in names]
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


def _read(row: Mapping[str, str], labels: Mapping[str, int], home: Path) -> tuple[str, Record]:
    if not row["path"]:
        raise ValueError("the path is empty")
    if not row["label"]:
        raise ValueError("the label is empty")
    split = row.get("split", "").lower() or "train"
    if split not in SPLIT_NAMES:
        raise ValueError(f"split {row['split']!r} must be train, val or test")
    start, end = _seconds(row, "start"), _seconds(row, "end")
    stretch = "" if start is None and end is None else f"@{start or 0:g}-{row.get('end', '')}"
    name = row.get("id") or row["path"] + stretch
    record = Record(
        name,
        join(home, row["path"]),
        labels[row["label"]],
        start or 0.0,
        end,
        row.get("group") or None,
    )
    return SPLIT_NAMES[split], record


def _seconds(row: Mapping[str, str], column: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} must be a number of seconds") from None
