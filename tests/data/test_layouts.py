"""The official layouts: small files in exactly their format, and the real label maps and lists."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kinema.data import ManifestError
from kinema.data.datasets import MissingSplitError, datasets
from kinema.data.flips import flip_map_from_names

from .folders import frames, labels_of, put, rows, videos


def label_map(shared: Path, name: str) -> list[str]:
    path = shared / "data" / "labels" / "mmaction2" / f"{name}.txt"
    return path.read_text().splitlines()


def hmdb(root: Path, classes: dict[str, str]) -> Path:
    """Per class a text of lines as in the official archive, which ends them with a space."""
    for label, text in classes.items():
        put(root / "testTrainMulti_7030_splits" / f"{label}_test_split1.txt", text)
        videos(root / "hmdb51_org" / label, *(line.split(" ")[0] for line in text.splitlines()))
    return root


def test_hmdb51(tmp_path: Path) -> None:
    film = "A_B_{}_{}_f_cm_np1_fr_med_0.avi"
    root = hmdb(
        tmp_path,
        {
            "run": f"{film.format(1, 'run')} 1 \n{film.format(2, 'run')} 2 \nx_run_9.avi 0 \n",
            "catch": f"{film.format(1, 'catch')} 1 \n{film.format(3, 'catch')} 2 \n",
        },
    )
    train, test = (datasets["hmdb51"](root, split) for split in ("train", "test"))
    assert rows(train) == [
        ("catch/A_B_1_catch_f_cm_np1_fr_med_0.avi", "catch"),
        ("run/A_B_1_run_f_cm_np1_fr_med_0.avi", "run"),
    ]
    assert [r.group for r in (*train.records, *test.records)] == [
        "A_B_1",
        "A_B_1",
        "A_B_3",
        "A_B_2",
    ]
    with pytest.raises(MissingSplitError, match="hmdb51 has no split 'val'"):
        datasets["hmdb51"](root, "val")
    with pytest.raises(ManifestError, match="has no <class>_test_split3.txt, nor has"):
        datasets["hmdb51_split3"](root, "train")
    put(root / "testTrainMulti_7030_splits" / "run_test_split1.txt", "x_run_9.avi 3 \n")
    with pytest.raises(ManifestError, match="run_test_split1.txt line 1 must be '<clip>.avi 0', 1"):
        datasets["hmdb51"](root, "train")


def test_hmdb51_labels_are_those_of_the_published_map(shared: Path, tmp_path: Path) -> None:
    folder, labels = shared / "data" / "labels" / "hmdb51", label_map(shared, "hmdb51_label_map")
    late = {"kick": "kick_c", "sword": "sword_f"}  # that list has kick_ball, sword_exercise first
    order = sorted(labels, key=lambda label: late.get(label, label))
    texts: dict[str, str] = dict.fromkeys(labels, "")
    for name, use in {"trainlist01.txt": 1, "testlist01.txt": 2}.items():
        for line in (folder / name).read_text().splitlines():
            clip, number = line.split()
            label = order[int(number) - 1]
            if texts[label].count(f" {use} ") < 2:
                texts[label] += f"{clip}.avi {use} \n"
    root = hmdb(tmp_path, texts)
    train, test = (datasets["hmdb51"](root, split) for split in ("train", "test"))
    assert list(train.labels) == labels
    assert train.counts == test.counts == (2,) * 51
    assert all(f"_{train.labels[r.label or 0]}_" in r.path.name for r in train.records)


KINETICS = """label,youtube_id,time_start,time_end,split,is_cc
"pull ups, high",-aB_c,7,17,{0},0
air drumming,xyz,0,10,{0},1
zumba,gone,125,135,{0},0
"""


@pytest.mark.parametrize("name", ["val.csv", "annotations/kinetics-400_val.csv", "validate.csv"])
@pytest.mark.parametrize("place", ["val/{}", "videos_val/{}", "{}"])
@pytest.mark.parametrize("folder", ["", "{}/", "_"])
def test_kinetics(tmp_path: Path, name: str, place: str, folder: str) -> None:
    put(tmp_path / name, KINETICS.format("val"))
    for label, clip in (
        ("pull ups, high", "-aB_c_000007_000017"),
        ("air drumming", "xyz_000000_000010"),
    ):
        home = f"{label.replace(' ', '_')}/" if folder == "_" else folder.format(label)
        videos(tmp_path, place.format(f"{home}{clip}.mp4"))
    manifest = datasets["kinetics400"](tmp_path, "val")
    assert manifest.labels == ("air drumming", "pull ups, high", "zumba")
    assert rows(manifest) == [
        ("-aB_c_000007_000017", "pull ups, high"),
        ("xyz_000000_000010", "air drumming"),
    ]
    assert [r.group for r in manifest.records] == ["-aB_c", "xyz"]
    assert [(r.start, r.end) for r in manifest.records] == [(0.0, None)] * 2  # clips are cut
    assert manifest.name == "kinetics400/val (2 of 3 clips)"
    with pytest.raises(MissingSplitError, match="kinetics400 has no split 'train'; it has val"):
        datasets["kinetics400"](tmp_path, "train")


def test_kinetics_splits_and_faults(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no train.csv or kinetics-600_train.csv, nor has"):
        datasets["kinetics600"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train"))
    put(tmp_path / "kinetics_700_2020_train.csv", KINETICS.format("train").replace("zumba", "yoga"))
    put(tmp_path / "test.csv", "youtube_id,time_start,time_end,split\nabc,1,11,test\n")
    with pytest.raises(
        ManifestError, match=r"3 of 3 clips are missing; the first are line 2: -aB_c"
    ):
        datasets["kinetics700"](tmp_path, "train")
    frames(tmp_path / "rawframes_train", "yoga/gone_000125_000135")
    manifest = datasets["kinetics700"](tmp_path, "train")
    assert rows(manifest) == [("gone_000125_000135", "yoga")]
    with pytest.raises(MissingSplitError, match="kinetics700 has no split 'test'; it has train"):
        datasets["kinetics700"](tmp_path, "test")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train").replace("125", "2:05"))
    with pytest.raises(ManifestError, match="line 4: time_start and time_end must be seconds, not"):
        datasets["kinetics400"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train").replace("125", "inf"))
    with pytest.raises(ManifestError, match="line 4: time_start and time_end must be seconds, not"):
        datasets["kinetics400"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train").replace("gone,125,135,", ""))
    with pytest.raises(ManifestError, match="line 4: needs 6 columns, it has 3"):
        datasets["kinetics400"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train").replace("zumba", ""))
    with pytest.raises(ManifestError, match="line 4: label is empty"):
        datasets["kinetics400"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", KINETICS.format("train").replace('high"', "high"))
    with pytest.raises(ManifestError, match="kinetics-400_train.csv: line 4: unexpected end of"):
        datasets["kinetics400"](tmp_path, "train")
    (tmp_path / "kinetics-400_train.csv").write_bytes(b"label,\xff\xfe\n")
    with pytest.raises(ManifestError, match="kinetics-400_train.csv: is not UTF-8 text"):
        datasets["kinetics400"](tmp_path, "train")
    put(tmp_path / "kinetics-400_train.csv", "label,id\n")
    with pytest.raises(ManifestError, match="line 1 lacks youtube_id, time_start, time_end"):
        datasets["kinetics400"](tmp_path, "train")


def test_the_kinetics_validation_list(shared: Path, tmp_path: Path) -> None:
    """Every clip of the official list, in the order of labels of the published map."""
    source = shared / "data" / "labels" / "kinetics" / "kinetics-400_val.csv"
    put(tmp_path / source.name, source.read_text())
    lines = [line.rsplit(",", 5) for line in source.read_text().splitlines()[1:]]
    (tmp_path / "val").mkdir()
    for _, video, start, end, _, _ in lines[::100]:
        (tmp_path / "val" / f"{video}_{int(start):06d}_{int(end):06d}.mp4").touch()
    manifest = datasets["kinetics400"](tmp_path, "val")
    assert list(manifest.labels) == label_map(shared, "kinetics_label_map_k400")
    assert manifest.name == "kinetics400/val (200 of 19906 clips)"
    assert [name for _, name in rows(manifest)] == [line[0].strip('"') for line in lines[::100]]


@pytest.mark.parametrize("classes", [400, 600, 700])
def test_kinetics_labels_are_those_of_the_published_maps(
    shared: Path, tmp_path: Path, classes: int
) -> None:
    labels = label_map(shared, f"kinetics_label_map_k{classes}")
    lines = [f'"{label}",v{i},0,10,train' for i, label in enumerate(labels)]
    put(
        tmp_path / "train.csv",
        "\n".join(["label,youtube_id,time_start,time_end,split", *lines[::-1]]),
    )
    videos(tmp_path / "train", "v3_000000_000010.mp4")
    manifest = datasets[f"kinetics{classes}"](tmp_path, "train")
    assert list(manifest.labels) == labels
    assert rows(manifest) == [("v3_000000_000010", labels[3])]


@pytest.mark.parametrize("place", ["20bn-{}", "videos", "rawframes", ""])
@pytest.mark.parametrize(
    ("name", "prefix"), [("somethingv1", "something-something-v1"), ("jester", "jester-v1")]
)
def test_lists_of_id_and_class(tmp_path: Path, name: str, prefix: str, place: str) -> None:
    put(tmp_path / f"{prefix}-labels.csv", "Turning left\nTurning right\nStop\n")
    put(tmp_path / f"{prefix}-train.csv", "34870;Turning right\n12;Stop\n")
    put(tmp_path / f"{prefix}-test.csv", "99\n")
    frames(tmp_path / place.format(prefix), "34870", "12", "7")
    manifest = datasets[name](tmp_path, "train")
    assert rows(manifest) == [("34870", "Turning right"), ("12", "Stop")]
    assert manifest.labels == ("Turning left", "Turning right", "Stop")
    assert manifest.flip_map == {0: 1, 1: 0}
    with pytest.raises(MissingSplitError, match=f"{name} has no split 'val'; it has train"):
        datasets[name](tmp_path, "val")
    put(tmp_path / f"{prefix}-validation.csv", "7;Stop\n")
    assert rows(datasets[name](tmp_path, "val")) == [("7", "Stop")]
    with pytest.raises(MissingSplitError, match=f"{name} has no split 'test'; it has train, val"):
        datasets[name](tmp_path, "test")
    put(tmp_path / f"{prefix}-train.csv", "12,Stop\n7;Go\n")
    with pytest.raises(ManifestError, match="line 1 must be '<id>;<class>', .* line 2: class 'Go'"):
        datasets[name](tmp_path, "train")


def something_v2(root: Path, labels: Sequence[str], templates: Sequence[str], prefix: str) -> Path:
    numbers = {label: str(i) for i, label in enumerate(labels)}
    entries = [
        {"id": str(i), "label": text, "template": text, "placeholders": ["a thing"]}
        for i, text in enumerate(templates)
    ]
    put(root / "labels" / f"{prefix}labels.json", json.dumps(numbers))
    put(root / "labels" / f"{prefix}train.json", json.dumps(entries))
    videos(root / "20bn-something-something-v2", *(f"{i}.webm" for i in range(len(templates))))
    return root


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_somethingv2(tmp_path: Path, prefix: str) -> None:
    labels = ["Pushing something from left to right", "Pushing something from right to left"]
    templates = ["Pushing [something] from right to left", "Pushing [something] from left to right"]
    root = something_v2(tmp_path, labels, templates, prefix)
    manifest = datasets["somethingv2"](root, "train")
    assert manifest.labels == tuple(labels)
    assert rows(manifest) == [("0", labels[1]), ("1", labels[0])]
    assert manifest.records[0].path.name == "0.webm"
    assert manifest.flip_map == {0: 1, 1: 0}
    put(root / "labels" / f"{prefix}train.json", '[{"id": 1, "template": "Eating"}, {"id": 2}]')
    with pytest.raises(
        ManifestError, match="entry 2 lacks template; entry 1: class 'Eating' is not"
    ):
        datasets["somethingv2"](root, "train")
    for text, message in (
        ("[", "is not JSON: Expecting value"),
        ('{"id": 1}', "must be a list of objects with id and template"),
        ('["a"]', "entry 1 must be an object with id"),
        ('[{"id": [1], "template": "x"}]', r"entry 1: id=\[1\] must be text or a whole number"),
        ('[{"id": 1, "template": null}]', "entry 1: template=None must be text"),
    ):
        put(root / "labels" / f"{prefix}train.json", text)
        with pytest.raises(ManifestError, match=f"{prefix}train.json: {message}"):
            datasets["somethingv2"](root, "train")
    put(root / "labels" / f"{prefix}labels.json", '["a", "b"]')
    with pytest.raises(
        ManifestError, match=f'{prefix}labels.json: must be an object {{"<class>": "'
    ):
        datasets["somethingv2"](root, "train")
    put(root / "labels" / f"{prefix}labels.json", '{"a": "1", "b": "2"}')
    with pytest.raises(ManifestError, match="must number its 2 classes from 0 to 1, each once"):
        datasets["somethingv2"](root, "train")


@pytest.mark.parametrize(
    ("name", "order", "pairs"),
    [
        ("sthv1", "file", {(2, 4), (30, 41), (52, 66)}),
        ("sthv1", "sorted", {(86, 87), (93, 94), (166, 167)}),
        ("sthv2", "file", {(86, 87), (93, 94), (166, 167)}),
        ("jester", "file", {(0, 1), (6, 7), (14, 15)}),
        ("jester", "sorted", {(11, 12), (16, 17), (21, 22)}),
    ],
)
def test_mirrored_classes_of_every_order_of_labels(
    shared: Path, tmp_path: Path, name: str, order: str, pairs: set[tuple[int, int]]
) -> None:
    """The pairs are found by name, so they are right for each of the orders in use."""
    labels = label_map(shared, f"{name}_label_map")
    labels = sorted(labels) if order == "sorted" else labels
    if name == "sthv2":
        root = something_v2(tmp_path, labels, [labels[5]], "something-something-v2-")
        manifest = datasets["somethingv2"](root, "train")
    else:
        data, prefix = {
            "sthv1": ("somethingv1", "something-something-v1"),
            "jester": ("jester", "jester-v1"),
        }[name]
        put(tmp_path / f"{prefix}-labels.csv", "\n".join(labels))
        put(tmp_path / f"{prefix}-train.csv", f"1;{labels[5]}\n")
        frames(tmp_path, "1")
        manifest = datasets[data](tmp_path, "train")
    assert list(manifest.labels) == labels
    assert manifest.records[0].label == 5
    assert manifest.flip_map == {a: b for pair in pairs for a, b in (pair, pair[::-1])}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jester-v1-labels.csv", {0: 1, 1: 0, 6: 7, 7: 6, 14: 15, 15: 14}),
        ("efficient3dcnn_classInd.txt", {11: 12, 12: 11, 16: 17, 17: 16, 21: 22, 22: 21}),
    ],
)
def test_mirrored_classes_of_the_other_jester_lists(
    shared: Path, name: str, expected: dict[int, int]
) -> None:
    text = (shared / "data" / "labels" / "jester" / name).read_text()
    labels = [line.lstrip("0123456789 ") for line in text.splitlines()]
    assert len(labels) == 27
    assert flip_map_from_names(labels) == expected


@pytest.mark.parametrize("place", ["", "videos"])
def test_moments(tmp_path: Path, place: str) -> None:
    put(tmp_path / "moments_categories.txt", "running,1\nadult+female+singing,0\n")
    put(
        tmp_path / "trainingSet.csv",
        "running/yt-a_1.mp4,running,3,0\nadult+female+singing/b.mp4,x,3,1\n",
    )
    put(tmp_path / "validationSet.csv", "running/c.mp4,running,3,0\n")
    videos(tmp_path / place / "training", "running/yt-a_1.mp4", "adult+female+singing/b.mp4")
    videos(tmp_path / place / "validation", "running/c.mp4")
    train, val = (datasets["moments"](tmp_path, split) for split in ("train", "val"))
    assert train.labels == ("adult+female+singing", "running")
    assert [r.label for r in train.records] == [1, 0]
    assert rows(val) == [("running/c.mp4", "running")]
    with pytest.raises(MissingSplitError, match="moments has no split 'test'; it has train, val"):
        datasets["moments"](tmp_path, "test")
    put(tmp_path / "moments_categories.txt", "running,1\nsinging,1\n")
    with pytest.raises(ManifestError, match="must number its 2 classes from 0 to 1, each once"):
        datasets["moments"](tmp_path, "train")


def test_moments_labels_are_those_of_the_published_map(shared: Path, tmp_path: Path) -> None:
    labels = label_map(shared, "mit_label_map")
    lines = sorted(f"{label},{i}" for i, label in enumerate(labels))
    put(tmp_path / "moments_categories.txt", "\n".join(lines))
    put(tmp_path / "trainingSet.csv", f"{labels[7]}/a.mp4,{labels[7]},3,0\n")
    videos(tmp_path / "training", f"{labels[7]}/a.mp4")
    manifest = datasets["moments"](tmp_path, "train")
    assert list(manifest.labels) == labels
    assert manifest.records[0].label == 7


def test_activitynet(shared: Path, tmp_path: Path) -> None:
    labels = label_map(shared, "activitynet_label_map")
    names = {"a": labels[10], "-b": labels[2], "gone": labels[3]}
    database = {
        video: {
            "duration": 30.0,
            "subset": "validation" if video == "-b" else "training",
            "resolution": "320x240",
            "url": f"https://www.youtube.com/watch?v={video}",
            "annotations": [
                {"segment": [0.01, 12.5], "label": label},
                {"segment": [20, 30.0], "label": label},
            ],
        }
        for video, label in names.items()
    }
    database["t"] = {"duration": 9.0, "subset": "testing", "annotations": []}
    text = json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database})
    put(tmp_path / "activity_net.v1-3.min.json", text)
    videos(tmp_path / "videos", "v_a.mp4", "-b.mkv")
    train, val = (datasets["activitynet"](tmp_path, split) for split in ("train", "val"))
    assert train.labels == val.labels == tuple(sorted(names.values()))
    assert rows(train) == [("v_a@1", labels[10]), ("v_a@2", labels[10])]
    assert [(r.start, r.end, r.group) for r in train.records] == [(0.01, 12.5, "a"), (20, 30, "a")]
    assert train.name == "activitynet/train (2 of 4 clips)"
    assert rows(val) == [("v_-b@1", labels[2]), ("v_-b@2", labels[2])]
    put(tmp_path / "label_map.txt", "\n".join(labels))
    train = datasets["activitynet"](tmp_path, "train")
    assert list(train.labels) == labels
    assert {r.label for r in train.records} == {10}
    for name in ("activitynet", "activitynet_untrimmed"):
        with pytest.raises(MissingSplitError, match=f"{name} has no split 'test'; it has train"):
            datasets[name](tmp_path, "test")


def test_untrimmed_activitynet_has_the_labels_of_all_stretches(tmp_path: Path) -> None:
    stretches = [([0, 2.5], "Surfing"), ([3, 4], "Fencing"), ([5, 6.5], "Surfing")]
    entry = {
        "duration": 9.0,
        "subset": "training",
        "resolution": "320x240",
        "url": "https://www.youtube.com/watch?v=a",
        "annotations": [{"segment": segment, "label": label} for segment, label in stretches],
    }
    one = {**entry, "annotations": entry["annotations"][1:2]}
    gone = {**entry, "subset": "validation"}
    database = {"a": entry, "b": one, "c": one, "v": gone}
    put(tmp_path / "activity_net.v1-3.min.json", json.dumps({"database": database}))
    videos(tmp_path / "videos", "v_a.mp4", "v_b.mp4", "v.mp4")
    train, val = (datasets["activitynet_untrimmed"](tmp_path, split) for split in ("train", "val"))
    assert train.labels == val.labels == ("Fencing", "Surfing")
    assert train.name == "activitynet_untrimmed/train (2 of 3 clips)"
    assert [(r.id, r.labels, r.start, r.end) for r in train.records] == [
        ("v_a", (1, 0), 0, None),
        ("v_b", (0,), 0, None),
    ]
    assert [r.labels for r in val.records] == [(1, 0)]


@pytest.mark.parametrize("name", ["activitynet", "activitynet_untrimmed"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("{}", 'must be an object with the key "database"'),
        ('{"database": []}', 'must be an object with the key "database"'),
        ('{"database": {"a": 3}}', "a must be an object with subset"),
        ('{"database": {"a": {"subset": "dev"}}}', "a: subset='dev' must be one of training, val"),
        ('{"database": {"a": {"subset": "training"}}}', "a lacks annotations"),
        ('{"database": {"a": {"subset": "training", "annotations": 3}}}', "annotations=3 must"),
        ('{"database": {"a": {"subset": "training", "annotations": [{"label": 3}]}}}',
         "a annotation 1: label=3 must be text"),
        ('{"database": {"a": {"subset": "training", "annotations": [{"label": "x"}]}}}',
         "a annotation 1 lacks segment"),
        ('{"database": {"a": {"subset": "training", "annotations": [{"label": "x", '
         '"segment": [0]}]}}}', r"a annotation 1: segment=\[0\] must be a list of 2 values"),
        ('{"database": {"a": {"subset": "training", "annotations": [{"label": "x", '
         '"segment": ["x", 2]}]}}}', r"a annotation 1: segment\[0\]='x' must be a number"),
    ],
)  # fmt: skip
def test_activitynet_errors_name_file_entry_and_rule(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = put(tmp_path / "activity_net.v1-3.min.json", text)
    with pytest.raises(ManifestError, match=message) as caught:
        datasets[name](tmp_path, "train")
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("lists", ["", "original"])
@pytest.mark.parametrize("place", ["videos/{}", "{}", "videos", ""])
def test_sports1m(tmp_path: Path, lists: str, place: str) -> None:
    address = "https://www.youtube.com/watch?v="
    put(
        tmp_path / "labels.txt", "boomerang\nboxing\nya\u011fl\u0131 g\u00fcre\u015f\nuneven bars\n"
    )
    put(
        tmp_path / lists / "train_partition.txt",
        f"{address}UDqivjS-lpI 1,2\n{address}-bCdefGh_jk 0\nhttp://youtu.be/gone1234567 3\n",
    )
    put(tmp_path / lists / "test_partition.txt", f"{address}zzzzzzzzzzz 3\n")
    videos(tmp_path / place.format("train"), "UDqivjS-lpI.mp4", "-bCdefGh_jk.mkv")
    videos(tmp_path / place.format("test"), "zzzzzzzzzzz.mp4")
    train, test = (datasets["sports1m"](tmp_path, split) for split in ("train", "test"))
    assert (
        train.labels
        == test.labels
        == ("boomerang", "boxing", "ya\u011fl\u0131 g\u00fcre\u015f", "uneven bars")
    )
    assert labels_of(train) == [("boxing", "ya\u011fl\u0131 g\u00fcre\u015f"), ("boomerang",)]
    assert [r.path.name for r in train.records] == ["UDqivjS-lpI.mp4", "-bCdefGh_jk.mkv"]
    assert [r.group for r in train.records] == ["UDqivjS-lpI", "-bCdefGh_jk"]
    assert train.name == "sports1m/train (2 of 3 clips)"
    assert labels_of(test) == [("uneven bars",)]
    with pytest.raises(MissingSplitError, match="sports1m has no split 'val'; it has train, test"):
        datasets["sports1m"](tmp_path, "val")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("https://www.youtube.com/watch?v=UDqivjS-lpI 1, 2", r"line 1 must be '<address of a YouT"),
        (
            "https://example.org/a.mp4 1",
            r"line 1 must be '<address of a YouTube video> <label>,<la",
        ),
        ("https://www.youtube.com/watch?v=UDqivjS-lpI 1,4", r"line 1: label 4 is not in 0..1"),
    ],
)
def test_sports1m_errors_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    put(tmp_path / "labels.txt", "boomerang\nboxing\n")
    path = put(tmp_path / "train_partition.txt", line)
    with pytest.raises(ManifestError, match=message) as caught:
        datasets["sports1m"](tmp_path, "train")
    assert str(caught.value).startswith(str(path))
