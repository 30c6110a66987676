"""Training on what a data check wrote says what the check left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema.data import Manifest, ManifestError, load_data
from kinema.types import Record


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """Manifests of 4 training and 2 validation clips, and a report of 6 and 2 before."""
    for split, count in (("train", 4), ("val", 2)):
        records = []
        for i in range(count):
            path = tmp_path / f"{split}{i}.mp4"
            path.write_bytes(b"x")
            records.append(Record(f"{split}{i}", path, i % 2))
        Manifest(split, ("a", "b"), tuple(records)).save(tmp_path / f"{split}.jsonl")
    rows = {"train": {"before": 6, "after": 4}, "val": {"before": 2, "after": 2}}
    (tmp_path / "check.json").write_text(json.dumps({"splits": rows}))
    return tmp_path


def test_the_note_counts_what_is_missing(checked: Path) -> None:
    note = load_data(checked).note
    assert note.startswith("left out by the data check: 2 of 6 train videos; reasons in ")
    assert note.endswith("dropped.csv")


def test_nothing_is_said_without_a_check_or_of_other_manifests(checked: Path) -> None:
    report = checked / "check.json"
    report.write_text(json.dumps({"splits": {"train": {"before": 9, "after": 8}}}))
    assert load_data(checked).note == ""
    report.unlink()
    assert load_data(checked).note == ""


def test_a_damaged_report_is_named(checked: Path) -> None:
    (checked / "check.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"check\.json: is not what kinema data check writes"):
        load_data(checked)
