"""Folders, tables and official layouts become the splits a user means."""

import json
from pathlib import Path

import pytest

from kinema.data import DataSplits, ManifestError
from kinema.data.datasets import list_datasets, load_data, read_parts, register_dataset
from kinema.data.datasets.folder import read_folder
from kinema.data.manifest import Manifest
from kinema.data.splitting import source_of


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"video")
    return root


def ids(manifest: Manifest | None) -> list[str]:
    assert manifest is not None
    return [record.id for record in manifest.records]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_folders(tmp_path: Path, val: str) -> None:
    names = [f"{split}/{c}/1.mp4" for split in ("train", val, "test") for c in ("cat", "dog")]
    touch(tmp_path, *names, "train/dog/two words, one comma.MKV", "train/readme.txt", ".git/x.mp4")
    touch(tmp_path, "train/cat/notes.txt", "train/cat/.hidden.mp4")
    data = load_data(tmp_path)
    assert data.train.labels == ("cat", "dog")
    assert ids(data.train) == ["cat/1.mp4", "dog/1.mp4", "dog/two words, one comma.MKV"]
    assert ids(data.val) == ids(data.test) == ["cat/1.mp4", "dog/1.mp4"]
    assert data.train.flip_map is None
    assert data.val.name == f"{tmp_path.name}/val"


def test_validation_is_taken_from_training_where_there_is_none(tmp_path: Path) -> None:
    names = [f"{c}/tape{t}_{k}.mp4" for c in ("cat", "dog") for t in range(5) for k in range(2)]
    touch(tmp_path, *(f"train/{name}" for name in names), "test/cat/x.mp4", "test/dog/x.mp4")
    data = load_data(tmp_path)
    assert len(ids(data.test)) == 2
    _assert_grouped(data, total=20, val=4)
    flat = touch(tmp_path / "flat", *names)
    data = load_data(flat, val_share=0.4)
    assert data.test is None
    _assert_grouped(data, total=20, val=8)


def _assert_grouped(data: DataSplits, *, total: int, val: int) -> None:
    assert (len(data.train) + len(data.val), len(data.val)) == (total, val)
    sides = [{source_of(name) for name in ids(part)} for part in (data.train, data.val)]
    assert not sides[0] & sides[1]


def test_folders_of_frames_are_clips(tmp_path: Path) -> None:
    for clip in ("cat/a", "cat/b", "dog/c", "dog/d"):
        touch(tmp_path, f"{clip}/img_00001.jpg", f"{clip}/img_00002.jpg")
    data = load_data(tmp_path, val_share=0.5)
    assert sorted(ids(data.train) + ids(data.val)) == ["cat/a", "cat/b", "dog/c", "dog/d"]
    assert data.train.records[0].path.is_dir()


def test_names_give_the_flip_map(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{c}/{k}.mp4" for c in ("go_left", "go_right", "jump") for k in "ab"))
    data = load_data(tmp_path, val_share=0.5)
    assert data.train.flip_map == data.val.flip_map == {0: 1, 1: 0}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.mp4"], "has no class folders; expected are <class>/<clip>.mp4, or train/"),
        (["cat/a.mp4", "dog/readme.txt"], "class folder .*dog holds no videos"),
        (["train/cat/a.mp4", "train/dog/a.mp4", "val/cow/a.mp4"], "cow is not among the classes"),
        (
            ["val/cat/a.mp4", "test/cat/a.mp4"],
            r"has no split train \(it has val, test\), and traini",
        ),
        (["train/a/a.mp4", "val/a/a.mp4", "valid/a/a.mp4"], "has val and valid; keep one of them"),
        (["train/cat/a.mp4", "train/cat/b.mp4"], "at least two classes, but all records are 'cat'"),
    ],
)
def test_folder_errors(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        load_data(touch(tmp_path, *names))


def test_csv_tables(tmp_path: Path) -> None:
    touch(tmp_path, "my clips/a, b.mp4", "c.mp4", "d.mp4")
    table = tmp_path / "table.csv"
    table.write_text(
        "path,label,split,start,end,group\n"
        '"my clips/a, b.mp4",swipe left,train,,,t1\n'
        "c.mp4,swipe right,train,0.5,2,t2\n"
        "c.mp4, swipe right ,train,2,,t2\n"
        "d.mp4,swipe left,validation,,,\n"
        "d.mp4,swipe left,test,,,\n",
        encoding="utf-8-sig",
    )
    with pytest.raises(ManifestError, match="line 6: id 'd.mp4' is taken by line 5"):
        load_data(table)
    table.write_text(
        table.read_text(encoding="utf-8-sig").replace("d.mp4,swipe left,test,,,\n", "")
    )
    data = load_data(table)
    assert data.train.labels == ("swipe left", "swipe right")
    assert ids(data.train) == ["my clips/a, b.mp4", "c.mp4@0.5-2", "c.mp4@2-"]
    assert data.train.records[0].path == tmp_path / "my clips" / "a, b.mp4"
    assert [(r.start, r.end) for r in data.train.records] == [(0.0, None), (0.5, 2.0), (2.0, None)]
    assert [r.group for r in data.train.records] == ["t1", "t2", "t2"]
    assert ids(data.val) == ["d.mp4"]
    assert data.test is None
    assert data.train.flip_map == {0: 1, 1: 0}


@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 10)])
def test_numbers_as_labels_may_begin_anywhere(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    names = [f"{n}{k}.mp4" for n in numbers for k in "ab"]
    rows = "".join(f"{name},{name[:-5]}\n" for name in names)
    (tmp_path / "t.csv").write_text("path,label\n" + rows)
    touch(tmp_path / "videos", *names)
    data = load_data(tmp_path / "t.csv", root=tmp_path / "videos", val_share=0.5)
    assert data.train.labels == tuple(map(str, numbers))
    assert data.train.counts == (1, 1, 1)


def test_json_lines(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = [
        {"path": "a.mp4", "label": "x"},
        {"path": "b.mp4", "label": "y", "id": "second", "end": 1.5},
        {"path": "c.mp4", "label": "y", "split": "val"},
    ]
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    data = load_data(table)
    assert ids(data.train) == ["a.mp4", "second"]
    assert data.train.records[1].end == 1.5
    assert ids(data.val) == ["c.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\nb.mp4 1\n", r"line 1 lacks path, label \(it names a.mp4 0\); columns are path,"),
        ("path,label,colour\n", "line 1 has unknown colour"),
        ("path,label\na.mp4\n", "line 2: needs 2 columns; put text with commas in"),
        ("path,label\na.mp4,x,y\n", "line 2: needs 2 columns"),
        ("path,label\na.mp4,x\nb.mp4,\nz.mp4,y\n", r"2 faults: line 3: the label is empty; line 4"),
        ("path,label,split\na.mp4,x,dev\n", "line 2: split 'dev' must be train, val or test"),
        ("path,label,start\na.mp4,x,1:30\n", "line 2: start '1:30' must be a number of seconds"),
        ("path,label,start,end\na.mp4,x,3,1\n", "line 2: record 'a.mp4@3-1': start=3.0 end=1.0"),
        (
            "path,label,split\na.mp4,x,test\n",
            r"has no split train \(it has test\), and training ne",
        ),
        ("path,label,labels\na.mp4,x,\nb.mp4,,|\n", "t.csv: line 3: the label is empty"),
        ('path,label\na.mp4,"x\n', "line 2: unexpected end of data"),
        ("path,label\na.mp4,x\nb.mp4,x\n", "at least two classes"),
    ],
)
def test_table_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        load_data(tmp_path / "t.csv")


def test_manifest_files_are_data(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{k}.mp4" for c in ("cat", "dog") for k in "abcd"))
    first = load_data(tmp_path, val_share=0.5)
    first.train.save(tmp_path / "train.jsonl")
    again = load_data(tmp_path / "train.jsonl", val_share=0.5)
    assert sorted(ids(again.train) + ids(again.val)) == sorted(ids(first.train))


def test_unknown_sources_say_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no data set of that name; .* \(did you mean ucf101"):
        load_data("ucf11:/data")
    with pytest.raises(ValueError, match="data set 'ucf101' needs its folder: give ucf101:FOLDER"):
        load_data("ucf101")
    with pytest.raises(ValueError, match="there is no folder"):
        load_data(f"ucf101:{tmp_path / 'nowhere'}")
    (tmp_path / "x.doc").touch()
    with pytest.raises(ValueError, match=r"x.doc is no table \(.csv, .tsv, .jsonl\)"):
        load_data(tmp_path / "x.doc")


def ucf_toy(root: Path, lists: str = "", videos: str = "UCF-101", ending: str = ".avi") -> Path:
    """Two classes, three groups, two clips each; group 1 is the test list."""
    home = root / lists
    home.mkdir(parents=True, exist_ok=True)
    (home / "classInd.txt").write_text("1 Dive\n2 Run\n")
    clips = [
        (f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi", g, label)
        for label, c in enumerate(("Dive", "Run"), start=1)
        for g in (1, 2, 3)
        for k in (1, 2)
    ]
    train = "".join(f"{name} {label}\n" for name, g, label in clips if g > 1)
    (home / "trainlist01.txt").write_text(train)
    (home / "testlist01.txt").write_text("".join(f"{name}\n" for name, g, _ in clips if g == 1))
    touch(root / videos, *(name.replace(".avi", ending) for name, _, _ in clips))
    return root


@pytest.mark.parametrize("lists", ["", "ucfTrainTestlist"])
@pytest.mark.parametrize("videos", ["UCF-101", "videos", ""])
@pytest.mark.parametrize("ending", [".avi", ".mp4"])
def test_official_ucf_layout(tmp_path: Path, lists: str, videos: str, ending: str) -> None:
    data = load_data(f"ucf101:{ucf_toy(tmp_path, lists, videos, ending)}", val_share=0.5)
    assert data.train.labels == ("Dive", "Run")
    assert data.train.counts == data.val.counts == (2, 2)
    assert ids(data.test)[0] == "Dive/v_Dive_g01_c01.avi"
    assert data.test is not None
    assert data.test.records[-1].label == 1
    assert data.test.records[-1].path.suffix == ending
    assert not {r.group for r in data.train.records} & {r.group for r in data.val.records}


def test_ucf_faults(tmp_path: Path) -> None:
    root = ucf_toy(tmp_path / "a")
    (root / "UCF-101" / "Run" / "v_Run_g02_c01.avi").unlink()
    with pytest.raises(ManifestError, match=r"1 of 8 clips are missing; the first are line 5: Run"):
        load_data(f"ucf101:{root}")
    root = ucf_toy(tmp_path / "b")
    lines = (root / "trainlist01.txt").read_text().splitlines()
    lines[1] = lines[1].replace(" 1", " 2")
    lines[2] = "Jump/v_Jump_g01_c01.avi 3"
    (root / "trainlist01.txt").write_text("\n".join(lines))
    with pytest.raises(ManifestError, match=r"2 faults: line 2: label 2 of .* must be 1; line 3"):
        load_data(f"ucf101:{root}")
    with pytest.raises(ManifestError, match=r"has no trainlist02.txt"):
        load_data("ucf101_split2", root=root)
    (root / "classInd.txt").write_text("0 Dive\n1 Run\n")
    with pytest.raises(ManifestError, match="line 1 must be '1 <class>', it is '0 Dive'"):
        load_data(f"ucf101:{root}")


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_official_ucf_lists(shared: Path, tmp_path: Path, fold: int) -> None:
    folder = shared / "data" / "labels" / "ucf101"
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for split in ("train", "test"):
        lines = (folder / f"{split}list{fold:02d}.txt").read_text().split()
        touch(tmp_path, *(word for word in lines if word.endswith(".avi")))
    data = load_data("ucf101" if fold == 1 else f"ucf101_split{fold}", root=tmp_path)
    assert data.test is not None
    expected = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}[fold]
    assert (len(data.train) + len(data.val), len(data.test)) == expected
    assert data.train.num_classes == 101
    assert data.train.labels[0] == "ApplyEyeMakeup"
    assert min(data.val.counts) > 0


def test_real_ucf_subset_has_no_leak(shared: Path) -> None:
    data = load_data(f"ucf101:{shared / 'data' / 'ucf10'}")
    assert data.test is not None
    assert (len(data.train) + len(data.val), len(data.test)) == (946, 372)
    groups = [{r.group for r in part.records} for part in (data.train, data.val, data.test)]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]


def test_registering_a_data_set(tmp_path: Path) -> None:
    assert list_datasets("ucf*") == ["ucf101", "ucf101_split2", "ucf101_split3"]
    with pytest.raises(ValueError, match="data set 'ucf101' is already registered"):
        register_dataset("ucf101")(lambda root, split: Manifest("x", (), ()))


def test_a_stray_picture_does_not_turn_a_class_into_a_clip(tmp_path: Path) -> None:
    for label in "abc":
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.mp4").write_bytes(b"x")
    (tmp_path / "c" / "0001.jpg").write_bytes(b"x")
    assert read_folder(tmp_path)["train"].labels == ("a", "b", "c")


def test_folders_of_flow_pictures_are_clips(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label / "clip").mkdir(parents=True)
        for axis in "xy":
            (tmp_path / label / "clip" / f"flow_{axis}_00001.jpg").write_bytes(b"x")
    assert len(read_folder(tmp_path)["train"]) == 2


def test_parts_are_read_as_the_source_names_them(tmp_path: Path) -> None:
    touch(tmp_path / "clips", "cat/a.mp4", "cat/b.mp4")
    assert {name: len(part) for name, part in read_parts(tmp_path / "clips").items()} == {
        "train": 2
    }
    (tmp_path / "t.csv").write_text("path,label,split\nclips/cat/a.mp4,cat,test\n")
    assert {name: len(part) for name, part in read_parts(tmp_path / "t.csv").items()} == {"test": 1}
    with pytest.raises(ManifestError, match="t.csv: has no split train"):
        load_data(tmp_path / "t.csv")


def test_a_folder_for_testing_alone(tmp_path: Path) -> None:
    touch(tmp_path, "test/cat/a.mp4", "test/dog/b.mp4", "val/cow/c.mp4")
    parts = read_parts(tmp_path)
    assert list(parts) == ["val", "test"]
    assert parts["test"].labels == parts["val"].labels == ("cat", "cow", "dog")
    assert [r.labels for r in parts["test"].records] == [(0,), (2,)]
    with pytest.raises(
        ManifestError, match=r"has no split train \(it has val, test\), and training"
    ):
        load_data(tmp_path)


def test_links_into_several_class_folders_are_several_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "data", "cat/a.mp4", "dog/a.mp4", "cow/x.mp4")
    for link, file in {
        "dog/b.mp4": "cat/a.mp4",
        "cow/c.mp4": "cat/a.mp4",
        "cow/y.mp4": "cow/x.mp4",
    }.items():
        (tmp_path / "data" / link).symlink_to(tmp_path / "data" / file)
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "data", Path("data")):
        manifest = read_folder(root)["train"]
        assert [(r.id, r.labels) for r in manifest.records] == [
            ("cat/a.mp4", (0, 1, 2)),
            ("cow/x.mp4", (1,)),
            ("cow/y.mp4", (1,)),
            ("dog/a.mp4", (2,)),
        ]


def test_several_labels_in_tables(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "t.csv").write_text("path,labels\na.mp4,run | high jump\nb.mp4,run\nc.mp4,dive\n")
    rows = [
        {"path": "a.mp4", "labels": ["run", "high jump"]},
        {"path": "b.mp4", "label": "run"},
        {"path": "c.mp4", "labels": ["dive"]},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("t.csv", "t.jsonl"):
        manifest = read_parts(tmp_path / name)["train"]
        assert manifest.labels == ("dive", "high jump", "run")
        assert [r.labels for r in manifest.records] == [(2, 1), (2,), (0,)]
    (tmp_path / "t.jsonl").write_text('{"path": "a.mp4", "labels": "run"}')
    with pytest.raises(ManifestError, match="line 1: labels='run' must be a list"):
        read_parts(tmp_path / "t.jsonl")
    (tmp_path / "t.csv").write_text("path,label\na.mp4,a|b\n")
    assert read_parts(tmp_path / "t.csv")["train"].labels == ("a|b",), "`label` is one label"


def test_a_folder_of_manifests_is_read_by_its_splits(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for label in "ab":
        (videos / label).mkdir(parents=True)
        for number in range(4):
            (videos / label / f"{number}.mp4").write_bytes(b"x")
    data = load_data(videos)
    data.train.save(tmp_path / "clean" / "train.jsonl")
    data.val.save(tmp_path / "clean" / "val.jsonl")
    again = load_data(tmp_path / "clean")
    assert again.train.fingerprint() == data.train.fingerprint()
    assert again.val.fingerprint() == data.val.fingerprint()
    assert again.test is None
