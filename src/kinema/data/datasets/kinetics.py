"""Kinetics-400, -600 and -700 (arXiv:1705.06950, 1808.01340, 1907.06987) as they are downloaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from ..manifest import Manifest, ManifestError
from ._clips import Clips
from ._registry import MissingSplitError, register_variants
from ._rows import Row, csv_rows, to_manifest
from .folder import SPLIT_FOLDERS

LIST_FOLDERS = ("", "annotations")
NEEDED = ("label", "youtube_id", "time_start", "time_end")
NAMES = {**SPLIT_FOLDERS, "val": (*SPLIT_FOLDERS["val"], "validate")}
# train.csv, kinetics_train.csv, kinetics-400_val.csv, kinetics_700_2020_train.csv
LIST = re.compile(
    r"(?:kinetics)?[-_]?(?P<classes>\d{3})?(?:[-_]2020)?[-_]?(?P<split>[a-z]+)\.csv", re.IGNORECASE
)


def read_kinetics(root: Path, split: str, classes: int) -> Manifest:
    """An official list, with the columns label, youtube_id, time_start, time_end, split.

    The lists are `train.csv`, `val.csv` (`validate.csv`), `test.csv`, also with `kinetics-400_` and
    the like before it, in `root` or `root/annotations`. A clip is
    `<youtube_id>_<start>_<end>.mp4`, the seconds with six digits, in a folder of its class (spaces
    or `_`) or not, in `root/<split>`, `root/videos_<split>`, `root/videos` or `root`. Classes are
    in alphabetical order, as in the published label maps. Clips that are not there are left out,
    since many links are dead; the name of the manifest then says how many there are.

    Args:
        root: folder of the data set.
        split: `train`, `val` or `test`.
        classes: 400, 600 or 700; files named for another version are passed over.

    Raises:
        ManifestError: for a list that is not there or has other columns, or when no clip is found.
        MissingSplitError: for a split without a list, or whose list has no labels.
    """
    lists = _lists(root, classes)
    tables = {name: list(_rows(path)) for name, path in lists.items()}
    labelled = {name: rows for name, rows in tables.items() if rows and "label" in rows[0][1]}
    if "train" not in lists and "val" not in lists:
        fault = f"has no train.csv or kinetics-{classes}_train.csv, nor has {root / 'annotations'}"
        raise ManifestError(str(root), [fault])
    if split not in labelled:
        raise MissingSplitError(f"kinetics{classes}", split, tuple(labelled))
    labels = sorted({row["label"] for rows in labelled.values() for _, row in rows})
    folders = [f"{before}{name}" for name in NAMES[split] for before in ("", "videos_")]
    clips = Clips(root, (*folders, "videos", f"rawframes_{split}", "rawframes", ""))
    rows, faults = [], []
    for line, row in labelled[split]:
        try:
            rows.append(_row(line, row))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    return to_manifest(
        f"kinetics{classes}/{split}",
        lists[split],
        rows,
        labels,
        clips,
        faults=faults,
        incomplete=True,
    )


register_variants(read_kinetics, {f"kinetics{classes}": classes for classes in (400, 600, 700)})


def _lists(root: Path, classes: int) -> dict[str, Path]:
    """The lists that are there, by split."""
    splits = {name: split for split, names in NAMES.items() for name in names}
    found: dict[str, Path] = {}
    for folder in LIST_FOLDERS:
        for path in sorted((root / folder).glob("*.csv")):
            match = LIST.fullmatch(path.name)
            if match and match["classes"] in (None, str(classes)):
                split = splits.get(match["split"].lower())
                if split is not None:
                    found.setdefault(split, path)
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    lines = csv_rows(path)
    _, names = next(lines, (1, []))
    missing = [name for name in NEEDED[1:] if name not in names]
    if missing:
        raise ManifestError(str(path), [f"line 1 lacks {', '.join(missing)}"])
    for line, cells in lines:
        if len(cells) != len(names):
            fault = f"line {line}: needs {len(names)} columns, it has {len(cells)}"
            raise ManifestError(str(path), [fault])
        yield line, dict(zip(names, cells, strict=True))


def _row(line: int, row: dict[str, str]) -> Row:
    empty = [name for name in ("label", "youtube_id") if not row[name]]
    if empty:
        raise ValueError(f"{empty[0]} is empty")
    start, end = _seconds(row["time_start"], row["time_end"])
    clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    folders = (row["label"], row["label"].replace(" ", "_"))
    return Row(
        where=f"line {line}",
        names=(clip, *(f"{folder}/{clip}" for folder in folders)),
        labels=(row["label"],),
        group=row["youtube_id"],
    )


def _seconds(start: str, end: str) -> tuple[int, int]:
    try:
        times = float(start), float(end)
    except ValueError:
        times = math.nan, math.nan
    if not all(map(math.isfinite, times)):
        raise ValueError(f"time_start and time_end must be seconds, not {start!r} and {end!r}")
    return int(times[0]), int(times[1])
