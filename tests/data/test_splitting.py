"""Validation data are taken from training data without tearing sources apart."""

from collections import Counter
from pathlib import Path

import pytest

from kinema.data import Manifest
from kinema.data.splitting import source_of, sources, split_by_source
from kinema.types import Record


def manifest(names: dict[str, list[str]], **groups: str) -> Manifest:
    labels = tuple(names)
    records = tuple(
        Record(f"{label}/{name}", Path(label) / name, i, group=groups.get(name))
        for i, label in enumerate(labels)
        for name in names[label]
    )
    return Manifest("toy", labels, records)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("v_BabyCrawling_g01_c02.avi", "v_BabyCrawling_g01"),
        ("match3_007.mp4", "match3"),
        ("match3-clip12.mp4", "match3"),
        ("hug part 2.mkv", "hug"),
        ("walk.mp4", "walk"),
        ("00017.mp4", "00017"),
        ("tape.v2_03.mp4", "tape.v2"),
        ("0001", "0001"),
    ],
)
def test_source_of(name: str, source: str) -> None:
    assert source_of(name) == source


def test_numbering_is_no_source() -> None:
    data = manifest({"a": ["take_1.mp4", "take_2.mp4"], "b": ["take_1.mp4", "x_1.mp4", "x_2.mp4"]})
    # take covers all of a, but only a part of b: there it tells something
    assert sources(data.records) == ["name take"] * 3 + ["name x"] * 2
    plain = manifest({"a": ["take_1.mp4", "take_2.mp4"], "b": ["take_1.mp4", "take_2.mp4"]})
    assert len(set(sources(plain.records))) == 4


def test_groups_win_over_names() -> None:
    data = manifest({"a": ["x_1.mp4", "y_1.mp4"]}, **{"x_1.mp4": "tape", "y_1.mp4": "tape"})
    assert sources(data.records) == ["group tape"] * 2


def test_no_source_on_both_sides_and_every_class_on_each() -> None:
    names = {
        label: [f"v_{label}_g{g:02d}_c{c:02d}.avi" for g in range(1, 11) for c in range(1, 1 + g)]
        for label in ("a", "b", "c")
    }
    train, val = split_by_source(manifest(names), 0.2)
    groups = [{source_of(r.path.name) for r in part.records} for part in (train, val)]
    assert not groups[0] & groups[1]
    assert min(train.counts) > 0
    assert all(6 <= count <= 16 for count in val.counts)
    assert (train.name, val.name) == ("toy/train", "toy/val")
    assert len(train) + len(val) == 165


def test_sources_shared_by_classes_stay_whole() -> None:
    names = {
        "goal": [f"match{m}_{k}.mp4" for m in "abcdef" for k in range(3)],
        "foul": [f"match{m}_{k}.mp4" for m in "abcdef" for k in range(3, 8)],
    }
    train, val = split_by_source(manifest(names), 0.3)
    matches = [{source_of(r.path.name) for r in part.records} for part in (train, val)]
    assert not matches[0] & matches[1]
    assert len(matches[1]) == 2


def test_split_depends_on_the_seed_only() -> None:
    data = manifest({label: [f"{i:03d}.mp4" for i in range(40)] for label in "ab"})
    backwards = Manifest(data.name, data.labels, data.records[::-1])
    chosen = [
        {record.id for record in split_by_source(m, 0.25, seed=s)[1].records}
        for m, s in ((data, 1), (backwards, 1), (data, 2))
    ]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert Counter(name[0] for name in chosen[0]) == {"a": 10, "b": 10}


def test_a_class_of_one_source_stays_in_training() -> None:
    names = {"a": ["x_1.mp4", "y_1.mp4", "z_1.mp4"], "b": ["only.mp4"]}
    train, val = split_by_source(manifest(names), 0.3)
    assert train.counts == (2, 1)
    assert val.counts == (1, 0)


def test_what_cannot_be_split_says_so() -> None:
    data = manifest({"a": ["one.mp4"], "b": ["two.mp4"]})
    with pytest.raises(ValueError, match="no validation set can be taken from it"):
        split_by_source(data, 0.2)
    with pytest.raises(ValueError, match="val_share=1.0 must be between 0 and 1"):
        split_by_source(data, 1.0)
