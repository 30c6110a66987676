"""List files: their forms, their labels and what is wrong with them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kinema.data import ManifestError
from kinema.data.datasets import MissingSplitError, datasets, load_data

from .folders import frames, labels_of, put, rows, videos


def test_path_and_label(tmp_path: Path) -> None:
    videos(tmp_path / "videos", "a b/c 1.mp4", "d.mp4", "e.mp4", "f.mp4")
    put(tmp_path / "my_train_list.txt", "a b/c 1.mp4 10\nd.mp4 2\n\n")
    put(tmp_path / "my_val_list.txt", "e.mp4 0\nf.mp4 2\n")
    for source in (
        f"lists:{tmp_path}",
        tmp_path / "my_train_list.txt",
        tmp_path / "my_val_list.txt",
    ):
        data = load_data(source)
        assert data.train.labels == data.val.labels == ("0", "2", "10")
        assert rows(data.train) == [("a b/c 1.mp4", "10"), ("d.mp4", "2")]
        assert data.train.records[0].path == tmp_path / "videos" / "a b" / "c 1.mp4"
        assert rows(data.val) == [("e.mp4", "0"), ("f.mp4", "2")]
        assert data.test is None


@pytest.mark.parametrize(
    ("name", "content", "numbers"),
    [
        ("label_map.txt", "dive\nrun\nswing left\n", (0, 2)),
        ("classInd.txt", "1 dive\n2 run\n3 swing left\n", (1, 3)),
    ],
)
def test_numbers_stand_for_the_lines_of_a_label_map(
    tmp_path: Path, name: str, content: str, numbers: Sequence[int]
) -> None:
    videos(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    put(tmp_path / "annotations" / name, content)
    put(tmp_path / "annotations" / "train.csv", f"a.mp4 {numbers[0]}\nb.mp4 {numbers[1]}\n")
    put(tmp_path / "annotations" / "test.csv", f"c.mp4 {numbers[0]}\n")
    data = {split: datasets["lists"](tmp_path, split) for split in ("train", "test")}
    assert data["train"].labels == ("dive", "run", "swing left")
    assert rows(data["train"]) == [("a.mp4", "dive"), ("b.mp4", "swing left")]
    assert data["train"].flip_map == {2: None}
    assert rows(data["test"]) == [("c.mp4", "dive")]
    with pytest.raises(MissingSplitError, match="lists has no split 'val'; it has train, test"):
        datasets["lists"](tmp_path, "val")
    put(tmp_path / "annotations" / "train.csv", "a.mp4 0\nb.mp4 7\n")
    with pytest.raises(ManifestError, match="line 2: class '7' is not among the 3 labels"):
        datasets["lists"](tmp_path, "train")


def test_frames_and_stretches(tmp_path: Path) -> None:
    frames(tmp_path / "rawframes", "jump/take 2", "run/1")
    put(tmp_path / "train.txt", "jump/take 2 163 0\nrun/1 90 1\n")
    manifest = datasets["lists"](tmp_path, "train")
    assert [r.path.name for r in manifest.records] == ["take 2", "1"]
    assert [(r.start, r.end) for r in manifest.records] == [(0.0, 163 / 30), (0.0, 3.0)]
    put(tmp_path / "train.txt", "jump/take 2 1 17 0\njump/take 2 16 30 1\nrun/1 31 60 1\n")
    manifest = datasets["lists"](tmp_path, "train")
    assert [r.id for r in manifest.records] == [
        "jump/take 2@1-17",
        "jump/take 2@16-30",
        "run/1@31-60",
    ]
    assert [(r.start, r.end) for r in manifest.records] == [(0, 17 / 30), (0.5, 1.0), (1.0, 2.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 run,jump\nb.mp4 2 jump\n", "line 2: several labels in words need commas between"),
        ("a.mp4 0\nx.mp4 1 2\n", r"1 of 2 clips are missing; the first are line 2: x.mp4; looked"),
        ("a.mp4 0\nb.mp4 1,,2\n", "line 2 must be 'path label' like the first, it is 'b.mp4 1,,2'"),
        ("a.mp4 0\nx.mp4 1\n", r"1 of 2 clips are missing; the first are line 2: x.mp4; looked in"),
        ("d 5 0\nd x 1\n", "line 2 must be 'dir frames label' like the first, it is 'd x 1'"),
        ("d 0 5 0\nd 1 5 1\n", "line 1: frames count from 1, the stretch begins at 0"),
        ("a.mp4\n", "line 1 must be 'path label' like the first, it is 'a.mp4'"),
    ],
)
def test_list_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    videos(tmp_path, "a.mp4", "b.mp4")
    frames(tmp_path, "d")
    with pytest.raises(ManifestError, match=message):
        load_data(put(tmp_path / "clips.txt", text))


def test_which_list_is_meant(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no a train.txt, or another .txt or .csv"):
        datasets["lists"](tmp_path, "train")
    videos(tmp_path, "a.mp4")
    put(tmp_path / "train_1.txt", "a.mp4 0\n")
    put(tmp_path / "train_2.txt", "a.mp4 0\n")
    with pytest.raises(ManifestError, match="has train_1.txt and train_2.txt; give the one that"):
        datasets["lists"](tmp_path, "train")
    with pytest.raises(ManifestError, match="there is no list of training clips beside it"):
        load_data(put(tmp_path / "val_3.txt", "a.mp4 0\n"))


def test_several_labels_of_videos(tmp_path: Path) -> None:
    videos(tmp_path, "a b 3.mp4", "c.mp4")
    put(tmp_path / "train.txt", "a b 3.mp4 0 10\nc.mp4 2,0\nc.mp4 2\n")
    manifest = datasets["lists"](tmp_path, "train")
    assert manifest.labels == ("0", "2", "10")
    assert labels_of(manifest) == [("0", "10"), ("2", "0"), ("2",)]
    assert manifest.several
    put(tmp_path / "train.txt", "a b 3.mp4 run,high_jump\nc.mp4 run\n")
    assert labels_of(datasets["lists"](tmp_path, "train")) == [("run", "high_jump"), ("run",)]
    put(tmp_path / "label_map.txt", "run, fast\nrun,slow\nhop\n")
    put(tmp_path / "train.txt", "a b 3.mp4 run,slow\nc.mp4 0,2\n")
    manifest = datasets["lists"](tmp_path, "train")
    assert labels_of(manifest) == [("run,slow",), ("run, fast", "hop")], "a name is taken whole"


def test_several_labels_of_folders_of_frames(tmp_path: Path) -> None:
    frames(tmp_path, "a 1", "b")
    for text, spans, labels in (
        ("a 1 5 1\nb 6 3 5\n", [(0, 5 / 30), (0, 6 / 30)], [("1",), ("3", "5")]),
        ("a 1 5 1\nb 6 3,5\n", [(0, 5 / 30), (0, 6 / 30)], [("1",), ("3", "5")]),
        ("b 6 3 5\na 1 5 1\n", [(0, 6 / 30), (0, 5 / 30)], [("3", "5"), ("1",)]),
        ("a 1 1 5 1,2\nb 1 6 5 8\n", [(0, 5 / 30), (0, 6 / 30)], [("1", "2"), ("5", "8")]),
    ):
        put(tmp_path / "train.txt", text)
        manifest = datasets["lists"](tmp_path, "train")
        assert [(r.start, r.end) for r in manifest.records] == spans
        assert labels_of(manifest) == labels


def test_lists_of_several_labels_as_others_write_them(shared: Path, tmp_path: Path) -> None:
    lists = shared / "data" / "annotations" / "mmaction2" / "annotations"
    videos(tmp_path, "test.mp4")
    frames(tmp_path, "imgs")
    put(tmp_path / "train.txt", (lists / "video_test_list_multi_label.txt").read_text())
    manifest = datasets["lists"](tmp_path, "train")
    assert labels_of(manifest) == [("0", "3"), ("0", "2", "4")]
    assert manifest.labels == ("0", "2", "3", "4")
    put(tmp_path / "train.txt", (lists / "rawframe_test_list_multi_label.txt").read_text())
    manifest = datasets["lists"](tmp_path, "train")
    assert labels_of(manifest) == [("1",), ("3", "5")]
    assert {(r.start, r.end) for r in manifest.records} == {(0, 5 / 30)}


def test_lists_as_others_write_them(shared: Path) -> None:
    annotations = shared / "data" / "annotations"
    manifest = load_data(annotations / "rawframes" / "annotations.txt", val_share=0.5).train
    assert manifest.labels == ("0", "1")
    assert {(r.start, r.end) for r in manifest.records} <= {(0.0, n / 30) for n in (15, 17, 18)}
