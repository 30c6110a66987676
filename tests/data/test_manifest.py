"""Manifests: what they find wrong, what they write, what they remember."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kinema.data import Manifest, ManifestError, flip_map_from_names
from kinema.data.flips import mirrored_labels
from kinema.types import Record


def manifest(root: Path, *rows: tuple[str, int | tuple[int, ...] | None]) -> Manifest:
    records = []
    for name, label in rows:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not empty")
        records.append(Record(name, root / name, label))
    return Manifest("toy", ("cat", "dog"), tuple(records))


def test_a_sound_manifest_passes(tmp_path: Path) -> None:
    data = manifest(tmp_path, ("a.mp4", 0), ("b c.mp4", 1), ("d.mp4", 1))
    data.check()
    assert (len(data), data.num_classes, data.counts) == (3, 2, (1, 2))
    assert repr(data) == "Manifest('toy', 2 classes, 3 records)"


def test_all_faults_come_in_one_error_with_their_rows(tmp_path: Path) -> None:
    data = manifest(tmp_path, ("a.mp4", 0), ("b.mp4", 1), ("c.mp4", 2), ("d.mp4", 0))
    (tmp_path / "b.mp4").unlink()
    (tmp_path / "d.mp4").write_bytes(b"")
    data = replace(data, records=(*data.records, data.records[0]))
    with pytest.raises(ManifestError) as caught:
        data.check()
    assert caught.value.faults == (
        f"record 2 (b.mp4): no such file: {tmp_path / 'b.mp4'}",
        "record 3 (c.mp4): label 2 is not in 0..1",
        f"record 4 (d.mp4): the file is empty: {tmp_path / 'd.mp4'}",
        "record 5 (a.mp4): the id is taken by record 1",
    )
    assert str(caught.value).startswith("toy: 4 faults: record 2 (b.mp4): no such file")


def test_long_lists_of_faults_are_cut(tmp_path: Path) -> None:
    records = tuple(Record(f"{i}", tmp_path / f"{i}.mp4", i % 2) for i in range(300))
    with pytest.raises(ManifestError, match=r"300 faults: record 1 \(0\).*; and 295 more$"):
        Manifest("toy", ("cat", "dog"), records).check()


def test_training_needs_two_classes_and_labels(tmp_path: Path) -> None:
    one = manifest(tmp_path, ("a.mp4", 1), ("b.mp4", 1))
    with pytest.raises(ManifestError, match="at least two classes, but all records are 'dog'"):
        one.check()
    one.check("test")
    unknown = manifest(tmp_path, ("a.mp4", 0), ("b.mp4", 1), ("c.mp4", None))
    with pytest.raises(ManifestError, match=r"record 3 \(c.mp4\): has no label"):
        unknown.check()
    unknown.check("test")
    with pytest.raises(ManifestError, match="toy: has no records"):
        Manifest("toy", ("cat", "dog"), ()).check("test")


def test_saved_manifests_move_with_their_folder(tmp_path: Path) -> None:
    data = manifest(tmp_path / "here", ("x/a, b.mp4", 0), ("c.mp4", 1))
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"not empty")
    extra = Record("part", outside, 1, 1.5, 2.5, "tape 3")
    data = replace(data, records=(*data.records, extra), flip_map={0: 1, 1: None})
    data.save(tmp_path / "here" / "list.jsonl")
    assert Manifest.load(tmp_path / "here" / "list.jsonl") == data
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Manifest.load(tmp_path / "there" / "list.jsonl")
    assert moved.records[0].path == tmp_path / "there" / "x" / "a, b.mp4"
    assert moved.records[2] == extra
    moved.check()


def test_fingerprint_follows_the_data_not_the_place(tmp_path: Path) -> None:
    rows = [("a.mp4", 0), ("b.mp4", 1)]
    here, there = manifest(tmp_path / "x", *rows), manifest(tmp_path / "y", *rows)
    assert here.fingerprint() == there.fingerprint()
    assert len(here.fingerprint()) == 16
    changed = {
        replace(here, labels=("cat", "cow")).fingerprint(),
        replace(here, records=here.records[:1]).fingerprint(),
        replace(
            here, records=(here.records[0], replace(here.records[1], labels=(0,)))
        ).fingerprint(),
        replace(here, records=(here.records[0], replace(here.records[1], end=1.0))).fingerprint(),
        here.fingerprint(),
    }
    (tmp_path / "x" / "a.mp4").write_bytes(b"encoded again")
    assert len(changed | {here.fingerprint()}) == 6


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (0, "path,label", "line 1 is not JSON"),
        (0, '{"path": "a.mp4"}', "line 1 is not the header of a manifest"),
        (0, '{"kinema_manifest": 9}', "format 9 is not known, this version reads 1"),
        (0, '{"kinema_manifest": 1, "name": "x", "labels": "cat"}', "line 1: labels='cat' must be"),
        (2, '{"id": "b", "path": "b.mp4"}', "line 3: label is missing"),
        (2, '{"id": "b", "path": "b", "label": 0, "lable": 1}', "line 3: lable is not known"),
        (2, '{"id": "b", "path": "b", "label": "x"}', "line 3: label='x' must be a whole number"),
        (2, '{"id": "b", "path": "b", "label": [1, 1]}', "must name each label once"),
        (2, '{"id": "b", "path": "b", "label": 0, "start": 2, "end": 1}', "line 3: record 'b'"),
    ],
)
def test_files_with_errors_name_the_line(
    tmp_path: Path, line: int, text: str, message: str
) -> None:
    path = tmp_path / "list.jsonl"
    manifest(tmp_path, ("a.mp4", 0), ("b.mp4", 1)).save(path)
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines))
    with pytest.raises(ManifestError, match=message):
        Manifest.load(path)


def test_header_is_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    manifest(tmp_path, ("a.mp4", 0)).save(path)
    header, row = (json.loads(line) for line in path.read_text().splitlines())
    assert header == {
        "kinema_manifest": 1,
        "name": "toy",
        "labels": ["cat", "dog"],
        "flip_map": None,
    }
    assert row == {"id": "a.mp4", "path": "a.mp4", "label": 0}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Swiping Left", "Swiping Right", "Stop"], {0: 1, 1: 0}),
        (["swipe_left", "SwipeRight"], {0: 1, 1: 0}),
        (["from left to right", "from right to left"], {0: 1, 1: 0}),
        (["turn_clockwise", "turn counter-clockwise"], {0: 1, 1: 0}),
        (["Clockwise", "AntiClockwise"], {0: 1, 1: 0}),
        (["LEFT", "RIGHT"], {0: 1, 1: 0}),
        (["turn left", "stop"], {0: None}),
        (["put upright", "pull it right out", "brighten", "leftovers"], None),
        (["right side up", "turn right side"], {1: None}),
        (["walk", "run"], None),
    ],
)
def test_flip_maps_from_names(labels: list[str], expected: dict | None) -> None:
    assert flip_map_from_names(labels) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sthv1", {2: 4, 4: 2, 30: 41, 41: 30, 52: 66, 66: 52}),
        ("sthv2", {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}),
        ("jester", {0: 1, 1: 0, 6: 7, 7: 6, 14: 15, 15: 14}),
        ("ucf101", None),
        ("kinetics_label_map_k400", None),
    ],
)
def test_flip_maps_of_the_published_label_lists(shared: Path, name: str, expected: dict) -> None:
    folder = shared / "data" / "labels" / "mmaction2"
    (path,) = [p for p in folder.iterdir() if p.stem in (name, f"{name}_label_map")]
    assert flip_map_from_names(path.read_text().splitlines()) == expected


def test_mirrored_labels() -> None:
    assert mirrored_labels((3,), None) == (3,)
    assert mirrored_labels((3,), {0: 1}) == (3,)
    assert mirrored_labels((0, 3), {0: 1, 1: 0}) == (1, 3)
    assert mirrored_labels((0, 1), {0: 1, 1: 0}) == (1, 0)
    assert mirrored_labels((3, 0), {0: None}) is None


def test_several_labels_are_kept_counted_and_checked(tmp_path: Path) -> None:
    data = manifest(tmp_path, ("a.mp4", 0), ("b.mp4", (1, 0)), ("c.mp4", None))
    assert [(r.labels, r.label) for r in data.records] == [((0,), 0), ((1, 0), None), ((), None)]
    assert data.counts == (2, 1)
    assert data.several
    assert not replace(data, records=data.records[:1]).several
    data.save(tmp_path / "list.jsonl")
    assert Manifest.load(tmp_path / "list.jsonl") == data
    lines = [json.loads(line) for line in (tmp_path / "list.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines[1:]] == [0, [1, 0], None]
    other = replace(data, records=(data.records[0], replace(data.records[1], labels=(1,))))
    assert other.fingerprint() != replace(data, records=data.records[:2]).fingerprint()
    with pytest.raises(ManifestError, match=r"record 1 \(a.mp4\): label 5 is not in 0..1"):
        replace(data, records=(replace(data.records[0], labels=(1, 5)),)).check("test")
    with pytest.raises(ValueError, match=r"record 'x': labels \(1, 1\) must name each label once"):
        Record("x", tmp_path, (1, 1))


def test_a_manifest_as_earlier_versions_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text(
        '{"kinema_manifest": 1, "name": "toy", "labels": ["cat", "dog"], "flip_map": null}\n'
        '{"id": "a", "path": "a.mp4", "label": 1, "start": 1.0, "end": 2.0, "group": "t"}\n'
        '{"id": "b", "path": "b.mp4", "label": null}\n'
    )
    one, two = Manifest.load(tmp_path / "old.jsonl").records
    assert one == Record("a", tmp_path / "a.mp4", 1, 1.0, 2.0, "t")
    assert two == Record("b", tmp_path / "b.mp4", None)
