"""A list of labelled videos: what every data set becomes before a single frame is read."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ..files import atomic
from ..plain import from_plain
from ..remote import join, to_path
from ..types import JSON, Record
from .flips import flip_map_from_names
from .readers import PACKETS_FILE

__all__ = [
    "DataSplits",
    "Manifest",
    "ManifestError",
    "flip_map_from_names",
    "is_manifest_file",
]

FORMAT = 1
HEADER = "kinema_manifest"
SHOWN_FAULTS = 5


class ManifestError(ValueError):
    """Data that cannot be trained or tested on; the message lists the first faults.

    Args:
        name: of the manifest, table or folder.
        faults: one text per fault, naming the row.
        remedy: what to do about them.
    """

    def __init__(self, name: str, faults: Sequence[str], remedy: str = "") -> None:
        self.name, self.faults = name, tuple(faults)
        more = len(faults) - SHOWN_FAULTS
        listed = "; ".join(faults[:SHOWN_FAULTS]) + (f"; and {more} more" if more > 0 else "")
        count = f"{len(faults)} faults: " if len(faults) > 1 else ""
        super().__init__(f"{name}: {count}{listed}{'; ' if remedy else ''}{remedy}")


@dataclass(frozen=True)
class Manifest:
    """Labelled videos.

    Attributes:
        name: of the data set and the split, for reports.
        labels: class names; their number is the model's number of classes.
        records: the videos.
        flip_map: label -> label after mirroring; a value of None: never mirror that class. Labels
            that are not listed stay. None: mirroring changes no label.
        packets: where packet indexes of the videos may be, see `readers.write_indexes`; None:
            nowhere. It only saves time.
    """

    name: str
    labels: tuple[str, ...]
    records: tuple[Record, ...]
    flip_map: Mapping[int, int | None] | None = None
    packets: Path | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"Manifest({self.name!r}, {self.num_classes} classes, {len(self)} records)"

    @property
    def num_classes(self) -> int:
        """How many labels there are, with or without videos."""
        return len(self.labels)

    @property
    def counts(self) -> tuple[int, ...]:
        """Records per label; a record with several labels counts for each."""
        found = Counter(label for record in self.records for label in record.labels)
        return tuple(found[label] for label in range(self.num_classes))

    @property
    def several(self) -> bool:
        """Whether a record has more than one label."""
        return any(len(record.labels) > 1 for record in self.records)

    def check(self, purpose: Literal["train", "test"] = "train") -> None:
        """Finds everything that would stop or spoil a run, before it begins.

        Files that are missing or empty, labels out of range, ids that occur twice, and for
        training fewer than two classes and records without a label.

        Raises:
            ManifestError: one error with the first faults and their rows (1 is the first record).
        """
        faults = list(self._faults(purpose))
        if faults:
            raise ManifestError(self.name, faults)

    def _faults(self, purpose: str) -> Iterator[str]:
        if not self.records:
            yield "has no records"
        if purpose == "train" and self.records:
            present = [self.labels[i] for i, count in enumerate(self.counts) if count]
            if len(present) < 2:
                found = f"all records are {present[0]!r}" if present else "no record has a label"
                yield f"training needs at least two classes, but {found}"
        rows: dict[str, int] = {}
        for row, record in enumerate(self.records, start=1):
            where = f"record {row} ({record.id})"
            if record.id in rows:
                yield f"{where}: the id is taken by record {rows[record.id]}"
            rows.setdefault(record.id, row)
            if purpose == "train" and not record.labels:
                yield f"{where}: has no label"
            for label in record.labels:
                if not 0 <= label < self.num_classes:
                    yield f"{where}: label {label} is not in 0..{self.num_classes - 1}"
            size = _size(record.path)
            if size is None:
                yield f"{where}: no such file: {record.path}"
            elif size == 0:
                yield f"{where}: the file is empty: {record.path}"

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the data and not with where they lie.

        Labels, and of each record its id, labels, stretch and the size of its file in bytes, so
        that a copy with other encoding is told apart.
        """
        digest = hashlib.sha256(json.dumps(self.labels).encode())
        for record in self.records:
            row = [record.id, _written(record), record.start, record.end, _size(record.path)]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()[:16]

    def save(self, path: Path | str) -> None:
        """Writes JSON lines: a header, then one record per line.

        `label` is a number, a list of numbers for several labels, or null.
        Paths below the manifest's folder are stored relative to it, so the folder can move.
        """
        path = Path(path)
        home = path.resolve().parent
        flips = None if self.flip_map is None else {str(k): v for k, v in self.flip_map.items()}
        header = {HEADER: FORMAT, "name": self.name, "labels": self.labels, "flip_map": flips}
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(header) + "\n")
            for record in self.records:
                file.write(json.dumps(_to_line(record, home)) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Manifest:
        """Reads what `save` wrote.

        Raises:
            ManifestError: naming the line for anything that is not as `save` writes it.
        """
        path = to_path(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        header = _json(lines[0], path, 1) if lines else None
        if not isinstance(header, dict) or HEADER not in header:
            fault = f'line 1 is not the header of a manifest ({{"{HEADER}": {FORMAT}, ...}})'
            raise ManifestError(str(path), [fault])
        if header[HEADER] != FORMAT:
            fault = f"format {header[HEADER]} is not known, this version reads {FORMAT}"
            raise ManifestError(str(path), [fault])
        home = path.resolve().parent
        rows = enumerate(lines[1:], start=2)
        records = tuple(_from_line(line, path, row, home) for row, line in rows if line.strip())
        try:
            name = from_plain(str, header.get("name"), "name")
            labels = from_plain(tuple[str, ...], header.get("labels"), "labels")
            flips = header.get("flip_map")
            if flips is not None:
                flips = from_plain(cast(Any, Mapping[int, int | None]), flips, "flip_map")
        except ValueError as error:
            raise ManifestError(str(path), [f"line 1: {error}"]) from None
        return cls(name, labels, records, flips, home / PACKETS_FILE)


@dataclass(frozen=True)
class DataSplits:
    """The three uses of a data set; all share labels and flip map. test None: there is none.

    A run shows the note, where there is one.
    """

    train: Manifest
    val: Manifest
    test: Manifest | None = None
    note: str = ""


def is_manifest_file(path: Path) -> bool:
    """Whether the file begins with the header `Manifest.save` writes."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        return f'"{HEADER}"' in file.readline()


def _size(path: Path) -> int | None:
    """Bytes of a file, entries of a folder; None: there is neither."""
    try:
        return sum(1 for _ in path.iterdir()) if path.is_dir() else path.stat().st_size
    except OSError:
        return None


def _to_line(record: Record, home: Path) -> dict[str, JSON]:
    resolved = record.path.resolve()  # a URL stays one
    path = resolved.relative_to(home) if resolved.is_relative_to(home) else resolved
    line: dict[str, JSON] = {"id": record.id, "path": path.as_posix(), "label": _written(record)}
    if record.start:
        line["start"] = record.start
    if record.end is not None:
        line["end"] = record.end
    if record.group is not None:
        line["group"] = record.group
    return line


def _written(record: Record) -> JSON:
    """The labels as a file has them: one is a number, several are a list."""
    return record.label if len(record.labels) < 2 else list(record.labels)


@dataclass(frozen=True)
class _Line:
    """A record as a file has it."""

    id: str
    path: Path
    label: int | tuple[int, ...] | None
    start: float = 0.0
    end: float | None = None
    group: str | None = None


_NEEDED = {"id", "path", "label"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "id": (str,), "path": (str,), "label": (int, type(None)), "start": (float, int),
    "end": (float, int, type(None)), "group": (str, type(None)),
}  # fmt: skip


def _from_line(line: str, file: Path, row: int, home: Path) -> Record:
    value = _json(line, file, row)
    try:
        named = type(value) is dict and _NEEDED <= value.keys() <= _TYPES.keys()
        if named and all(type(value[key]) in _TYPES[key] for key in value):  # almost every line
            path = join(home, value.pop("path"))
            return Record(value.pop("id"), path, value.pop("label"), **value)
        read = from_plain(_Line, value)
        return Record(read.id, join(home, read.path), read.label, read.start, read.end, read.group)
    except ValueError as error:
        raise ManifestError(str(file), [f"line {row}: {error}"]) from None


def _json(line: str, file: Path, row: int) -> Any:  # the type is checked by the caller
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(str(file), [f"line {row} is not JSON: {error}"]) from None
