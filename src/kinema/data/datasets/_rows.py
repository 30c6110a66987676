"""What the lines of annotation files have in common: numbers, names, and the way to a manifest."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ...plain import from_plain
from ...types import Record
from ..flips import flip_map_from_names
from ..manifest import Manifest, ManifestError
from ._clips import Clips


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of an annotation file.

    Attributes:
        where: the line or entry, for messages.
        names: what the clip may be called on disk, relative to the places of the data set.
        labels: names of the classes, usually one.
        id: of the record; None: the first of the names.
        start: seconds.
        end: seconds; None: the end of the video.
        group: the source it was cut from.
    """

    where: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    id: str | None = None
    start: float = 0.0
    end: float | None = None
    group: str | None = None


def to_manifest(
    name: str,
    path: Path,
    rows: Iterable[Row],
    labels: Sequence[str],
    clips: Clips,
    *,
    faults: Iterable[str] = (),
    incomplete: bool = False,
) -> Manifest:
    """The records of an annotation file.

    Args:
        name: of the manifest.
        path: the annotation file, for messages.
        rows: its lines.
        labels: class names.
        clips: finds the files.
        faults: what the caller found in other lines; reported with those found here.
        incomplete: clips may be missing, because the set is one of links of which many are dead;
            then the name of the manifest says how many there are.

    Raises:
        ManifestError: for a class that is not among the labels, and for missing clips.
    """
    index = {label: i for i, label in enumerate(labels)}
    records: list[Record] = []
    found = list(faults)
    missing: list[str] = []
    for row in rows:
        clip_id = row.names[0] if row.id is None else row.id
        unknown = [label for label in row.labels if label not in index]
        if unknown:
            found.append(f"{row.where}: class {unknown[0]!r} is not among the {len(index)} labels")
        elif (clip := clips.find(*row.names)) is None:
            missing.append(f"{row.where}: {row.names[0]}")
        else:
            numbers = [index[label] for label in row.labels]
            try:
                records.append(Record(clip_id, clip, numbers, row.start, row.end, row.group))
            except ValueError as error:
                found.append(f"{row.where}: {error}")
    if found:
        raise ManifestError(str(path), found)
    total = len(missing) + len(records)
    if missing and (not incomplete or not records):
        fault = f"{len(missing)} of {total} clips are missing; the first are "
        raise ManifestError(str(path), [fault + ", ".join(missing[:3])], f"looked in {clips}")
    if missing:
        name = f"{name} ({len(records)} of {total} clips)"
    return Manifest(name, tuple(labels), tuple(records), flip_map_from_names(labels))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text without spaces around it) of the lines that are not blank."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(number of the line, cells) of a table, without blank lines.

    Raises:
        ManifestError: naming the line that is no CSV.
    """
    reader = csv.reader(
        StringIO(read_text(path), newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ManifestError(str(path), [f"line {reader.line_num}: {error}"]) from None


def read_names(path: Path) -> tuple[str, ...]:
    """Class names, one per line, in the order of the file.

    Raises:
        ManifestError: for an empty file, and for a name that occurs twice.
    """
    names = tuple(text for _, text in numbered_lines(path))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        fault = f"names {twice[0]!r} twice" if twice else "has no class names"
        raise ManifestError(str(path), [fault])
    return names


def read_numbered_names(path: Path, first: int = 1) -> tuple[str, ...]:
    """Class names of lines like `1 ApplyEyeMakeup`, which must count from `first`."""
    rows = [(number, text.partition(" ")) for number, text in numbered_lines(path)]
    for expected, (line, (number, _, name)) in enumerate(rows, start=first):
        if number != str(expected) or not name.strip():
            fault = f"line {line} must be '{expected} <class>', it is {f'{number} {name}'!r}"
            raise ManifestError(str(path), [fault])
    return tuple(name.strip() for _, (_, _, name) in rows)


def by_index(path: Path, pairs: Iterable[tuple[str, object]]) -> tuple[str, ...]:
    """Class names in the order of their numbers, which must be 0, 1, 2, ..."""
    numbers: dict[int, str] = {}
    count = 0
    for name, number in pairs:
        count += 1
        if isinstance(number, (str, int)) and str(number).strip().isdecimal():
            numbers[int(number)] = name
    if not count or sorted(numbers) != list(range(count)):
        fault = f"must number its {count} classes from 0 to {count - 1}, each once"
        raise ManifestError(str(path), [fault])
    return tuple(numbers[i] for i in range(count))


def read_text(path: Path) -> str:
    """A text file in UTF-8, or a `ManifestError` that names the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), [f"is not UTF-8 text: {error}"]) from None


def read_json(path: Path) -> object:
    """A JSON file, whose shape `take` checks, or a `ManifestError` that names the file."""
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestError(str(path), [f"is not JSON: {error}"]) from None


def take(kind: Any, entry: object, key: str, where: str) -> Any:  # of the kind it is given
    """The value of a key of a JSON object.

    Args:
        kind: what it must be, as `from_plain` has it.
        entry: the object.
        key: of the value.
        where: what the object is, for messages.

    Raises:
        ValueError: naming the entry, the key and the rule.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be an object with {key}")
    if key not in entry:
        raise ValueError(f"{where} lacks {key}")
    return from_plain(kind, entry[key], f"{where}: {key}")
