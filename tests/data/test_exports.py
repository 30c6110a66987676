"""Exports of Label Studio and CVAT: small files in exactly the form those programs write."""

import json
from pathlib import Path

import pytest

from kinema.data import Manifest, ManifestError, load_data
from kinema.data.datasets import read_parts

from .folders import labels_of, put, videos


def answers(manifest: Manifest) -> list[tuple[str, tuple[str, ...]]]:
    """(file, classes) of each record."""
    files = (record.path.name for record in manifest.records)
    return list(zip(files, labels_of(manifest), strict=True))


# Label Studio


def choice(*labels: str, tag: str = "action") -> dict:
    return {
        "value": {"choices": list(labels)},
        "id": "Dx_aB91ISN",
        "from_name": tag,
        "to_name": "video",
        "type": "choices",
        "origin": "manual",
    }


def stretch(label: str, start: int, end: int) -> dict:
    return {
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]},
        "id": "t5sp3TyXPo",
        "from_name": "parts",
        "to_name": "video",
        "type": "timelinelabels",
        "origin": "manual",
    }


def annotation(*results: dict, **options: object) -> dict:
    return {
        "id": 11,
        "completed_by": 1,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2024-03-09T22:16:08.728353Z",
        "updated_at": "2024-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        "task": 1,
        **options,
    }


def task(number: int, video: str, *annotations: dict, **data: object) -> dict:
    return {
        "id": number,
        "annotations": list(annotations),
        "file_upload": video.rsplit("/", 1)[-1],
        "drafts": [],
        "predictions": [{"result": [choice("wrong")], "score": 0.5}],
        "data": {"video": video, **data},
        "meta": {},
        "created_at": "2024-03-09T21:52:49.513742Z",
        "inner_id": number,
        "project": 83,
    }


def minimal(number: int, video: str, **results: object) -> dict:
    return {
        "video": video,
        "note": "a column of the task's data",
        "id": number,
        **results,
        "annotator": 1,
        "annotation_id": 10 * number,
        "created_at": "2024-03-09T22:16:08.728353Z",
        "updated_at": "2024-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
    }


def export(root: Path, *tasks: object) -> Path:
    return put(root / "project-83-at-2024-03-09-22-16-1a2b3c4d.json", json.dumps(list(tasks)))


@pytest.mark.parametrize("form", ["json", "json-min"])
def test_choices_of_videos(tmp_path: Path, form: str) -> None:
    places = {
        "/data/upload/83/1a2b3c4d-jump.mp4": "jump.mp4",
        "/data/upload/83/9f8e7d6c-run.mp4": "upload/9f8e7d6c-run.mp4",
        "/data/local-files/?d=walks/a%20b.mp4": "walks/a b.mp4",
        "s3://bucket/clips/c.mp4": "videos/clips/c.mp4",
        "https://example.org/clips/d.mp4?token=1": "videos/d.mp4",
        "e f.mp4": "e f.mp4",
    }
    videos(tmp_path, *places.values())
    labels = [("jump",), ("run",), ("walk",), ("run", "jump"), ("walk",), ("jump",)]
    if form == "json":
        tasks = [
            task(i, video, annotation(choice(*those)))
            for i, (video, those) in enumerate(zip(places, labels, strict=True), start=1)
        ]
    else:
        tasks = [
            minimal(i, video, action=those[0] if len(those) == 1 else {"choices": list(those)})
            for i, (video, those) in enumerate(zip(places, labels, strict=True), start=1)
        ]
    manifest = read_parts(export(tmp_path, *tasks))["train"]
    assert manifest.labels == ("jump", "run", "walk")
    assert answers(manifest) == [
        (Path(place).name, those) for place, those in zip(places.values(), labels, strict=True)
    ]
    data = load_data(export(tmp_path, *tasks), val_share=0.34)
    assert len(data.train) + len(data.val) == 6


@pytest.mark.parametrize("form", ["json", "json-min"])
def test_stretches_are_frames_of_the_rate_of_the_video_tag(tmp_path: Path, form: str) -> None:
    videos(tmp_path, "a.mp4")
    parts = [stretch("dive", 1, 48), stretch("swim", 49, 60)]
    whole = (
        task(1, "a.mp4", annotation(*parts))
        if form == "json"
        else minimal(1, "a.mp4", parts=[part["value"] for part in parts])
    )
    path = export(tmp_path, whole)
    with pytest.raises(ManifestError, match=r"task 1: its stretches are counted in frames, and no"):
        read_parts(path)
    for config, rate in (
        ('<View><Video name="video" value="$video"/></View>', 24),
        ('<View><Video name="v" value="$video" frameRate="12.0"/><Choices/></View>', 12),
    ):
        put(tmp_path / "config.xml", config)
        manifest = read_parts(path)["train"]
        spans = [(r.start, r.end, r.group) for r in manifest.records]
        assert spans == [(0, 48 / rate, "a.mp4"), (48 / rate, 60 / rate, "a.mp4")]
        assert labels_of(manifest) == [("dive",), ("swim",)]
        manifest.check()
    put(tmp_path / "config.xml", '<View><Video frameRate="$fps"/></View>')
    with pytest.raises(ManifestError, match=r"frameRate in .* is '\$fps' and must be a number"):
        read_parts(path)
    if form == "json":
        told = export(tmp_path, task(1, "a.mp4", annotation(*parts), fps=6))
        assert [r.end for r in read_parts(told)["train"].records] == [8, 10]


def test_stretches_of_the_sound_track_are_seconds(tmp_path: Path) -> None:
    videos(tmp_path, "a.mp4")
    result = {
        "original_length": 9.5, "from_name": "tricks", "to_name": "audio", "type": "labels",
        "value": {"start": 0.5, "end": 2, "channel": 0, "labels": ["kickflip"]},
    }  # fmt: skip
    path = export(tmp_path, task(1, "a.mp4", annotation(result)))
    (record,) = read_parts(path)["train"].records
    assert (record.start, record.end, record.id) == (0.5, 2.0, "a.mp4@0.5-2")


def test_splits_skipped_tasks_and_several_annotators(tmp_path: Path) -> None:
    videos(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    tasks = [
        task(1, "a.mp4", annotation(choice("x")), annotation(choice("x")), split="train"),
        task(2, "b.mp4", annotation(choice("x")), annotation(choice("y"), ground_truth=True)),
        task(3, "c.mp4", annotation(choice("y"), was_cancelled=True)),
        task(4, "d.mp4", annotation(choice("y")), split="Validation"),
    ]
    parts = read_parts(export(tmp_path, *tasks))
    assert answers(parts["train"]) == [("a.mp4", ("x",)), ("b.mp4", ("y",))]
    assert answers(parts["val"]) == [("d.mp4", ("y",))]
    assert parts["train"].name.endswith("/train (2 of 3 tasks)")
    assert parts["val"].name.endswith("/val")
    again = [minimal(1, "a.mp4", action="x"), minimal(1, "a.mp4", action="x")]
    assert len(read_parts(export(tmp_path, *again))["train"]) == 1


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ('{"id": 1}', "must be a list of tasks"),
        ("[3]", "task 1 must be an object"),
        ('[{"id": 1}]', r"task 1 has neither annotations \(JSON\) nor id and annotator"),
        ([task(1, "a.mp4")], "has no task with a label"),
        ([task(1, "a.mp4", annotation(choice("x")), annotation(choice("y")))],
         "task 1: its 2 annotations differ; keep one of them, or mark it as ground truth"),
        ([minimal(1, "a.mp4", t="x"), minimal(1, "a.mp4", t="y")], "task 1: its 2 annotations dif"),
        ([minimal(1, "a.mp4", action="x", comment="dark")],
         r"task 1: has results of several tags \(action, comment\); keep those of one"),
        ([task(1, "a.txt", annotation(choice("x")))], "one value that is a video, it has none"),
        ([task(1, "a.mp4", annotation(choice("x")), other="b.mp4")], "it has 2: a.mp4, b.mp4"),
        ([task(1, "a.mp4", annotation(choice("x")), split="dev")], "split 'dev' must be train"),
        ([task(1, "a.mp4", annotation({"type": "choices", "from_name": "t"}))],
         "task 1 lacks value"),
        ([task(1, "a.mp4", annotation({**choice("x"), "value": {"choices": 3}}))],
         "task 1: action: choices=3 must be a list"),
        ([{**task(1, "a.mp4"), "annotations": 3}], "task 1: annotations=3 must be a list"),
        ([task(1, "a.mp4", annotation(stretch("x", 0, 4)), fps=10)],
         "task 1: frames 0 to 4 must rise and count from 1"),
        ([task(1, "gone.mp4", annotation(choice("x")))], "clips are missing; the first are task 1"),
    ],
)  # fmt: skip
def test_label_studio_errors_name_file_task_and_rule(
    tmp_path: Path, tasks: object, message: str
) -> None:
    videos(tmp_path, "a.mp4", "b.mp4")
    text = tasks if isinstance(tasks, str) else json.dumps(tasks)
    with pytest.raises(ManifestError, match=message) as caught:
        read_parts(put(tmp_path / "export.json", text))
    assert str(caught.value).startswith(str(tmp_path / "export.json"))


# CVAT

LABELS = """<labels>
        <label><name>run</name><color>#fa3253</color><type>tag</type><attributes></attributes></label>
        <label><name>jump</name><color>#33ddff</color><type>any</type><attributes></attributes></label>
        <label><name>ball</name><color>#aaf0d1</color><type>rectangle</type><attributes></attributes>
        </label>
      </labels>"""


def cvat_task(number: int, name: str, source: str, labels: str = "", subset: str = "") -> str:
    return f"""
    <task>
      <id>{number}</id>
      <name>{name}</name>
      <size>2</size>
      <mode>interpolation</mode>
      <overlap>5</overlap>
      <bugtracker></bugtracker>
      <created>2024-05-31 13:52:26.066103+00:00</created>
      <updated>2024-05-31 13:59:03.122349+00:00</updated>
      <subset>{subset}</subset>
      <start_frame>0</start_frame>
      <stop_frame>1</stop_frame>
      <frame_filter></frame_filter>
      {labels}
      <original_size><width>320</width><height>240</height></original_size>
      {source and f"<source>{source}</source>"}
    </task>"""


def cvat(root: Path, meta: str, images: str) -> Path:
    return put(
        root / "annotations.xml",
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>{meta}
    <dumped>2024-05-31 13:59:27.532139+00:00</dumped>
  </meta>{images}
</annotations>
""",
    )


def image(number: int, *labels: str, project: str = "") -> str:
    tags = "".join(f'<tag label="{label}" source="manual">\n    </tag>' for label in labels)
    name = f'id="{number}" name="frame_{number:06d}"{project} width="320" height="240"'
    return f"\n  <image {name}>{tags}</image>"


def test_cvat_task(tmp_path: Path) -> None:
    videos(tmp_path / "videos", "a b.mp4")
    box = '<image id="2" name="f"><box label="ball" xtl="1" ytl="1" xbr="2" ybr="2"></box></image>'
    images = image(0, "jump") + image(1, "jump", "run") + box
    for meta in (
        cvat_task(4, "first", "a b.mp4", LABELS),
        cvat_task(4, "first", "", LABELS) + "<source>a b.mp4</source>",  # before version 2
    ):
        manifest = read_parts(cvat(tmp_path, meta, images))["train"]
        assert manifest.labels == ("run", "jump")
        assert answers(manifest) == [("a b.mp4", ("jump", "run"))]


def test_cvat_project(tmp_path: Path) -> None:
    videos(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    meta = f"""
    <project><id>9</id><name>sports</name>{LABELS}
    <subsets>Train
Validation</subsets><tasks>
    {cvat_task(1, "one", "a.mp4", subset="Train")}{cvat_task(2, "two", "b.mp4")}
    {cvat_task(3, "three", "c.mp4", subset="Validation")}
    {cvat_task(5, "four", "d.mp4", subset="default")}
    </tasks></project>"""
    images = "".join(
        image(0, *labels, project=f' subset="x" task_id="{number}"')
        for number, labels in {1: ("run",), 2: ("jump",), 3: ("run", "jump"), 5: ()}.items()
    )
    path = cvat(tmp_path, meta, images)
    parts = read_parts(path)
    assert answers(parts["train"]) == [("a.mp4", ("run",)), ("b.mp4", ("jump",))]
    assert answers(parts["val"]) == [("c.mp4", ("run", "jump"))]
    assert parts["train"].name == "annotations/train (2 of 3 videos)"
    assert load_data(path).train.labels == ("run", "jump")


@pytest.mark.parametrize(
    ("meta", "images", "message"),
    [
        ("<task>", "", "is not XML: mismatched tag"),
        ("", "", "names no task, and so no video; export the task or the project as 'CVAT for im"),
        ("<job><id>3</id></job>", image(0, "run"), "names no task, and so no video"),
        (cvat_task(1, "one", "a.mp4", LABELS), '<track id="0" label="run"></track>',
         "has tracks, so it is of 'CVAT for video'; export the task or"),
        (cvat_task(1, "one", "", LABELS), image(0, "run"),
         r"task 1 \(one\) names no video as its source; it is one of pictures"),
        (cvat_task(1, "one", "a.mp4", LABELS), image(0), "has no tag on any frame"),
        (cvat_task(1, "one", "a.mp4", LABELS, "Dev"), image(0, "run"), "split 'Dev' must be train"),
        (cvat_task(1, "one", "a.mp4", LABELS), image(0, "hop"),
         r"task 1 \(one\): class 'hop' is not among the 2 labels"),
        (cvat_task(1, "one", "a.mp4", LABELS), image(0, ""), "image frame_000000: a tag lacks its"),
        (cvat_task(1, "one", "a.mp4", LABELS), image(0, "run", project=' task_id="7"'),
         "image frame_000000: task_id '7' is not among the tasks 1"),
        (cvat_task(1, "one", "gone.mp4", LABELS), image(0, "run"), "the first are task 1"),
    ],
)  # fmt: skip
def test_cvat_errors_name_file_task_and_rule(
    tmp_path: Path, meta: str, images: str, message: str
) -> None:
    videos(tmp_path, "a.mp4")
    with pytest.raises(ManifestError, match=message) as caught:
        read_parts(cvat(tmp_path, meta, images))
    assert str(caught.value).startswith(str(tmp_path / "annotations.xml"))
    with pytest.raises(ManifestError, match="must begin with <annotations>, not <View>"):
        read_parts(put(tmp_path / "config.xml", "<View></View>"))
