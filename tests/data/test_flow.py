"""Flow is right where the motion is known, and stored or computed in reading it is the same."""

from __future__ import annotations

import csv
import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.data import (
    ArrayReader,
    Augment,
    Manifest,
    VideoError,
    eval_dataset,
    flow,
    load_data,
    open_reader,
    train_dataset,
)
from kinema.data.flow import FlowSettings, flow_colours, store_flow
from kinema.data.readers import FLOW_METHODS, FlowEstimator, FlowReader, quantise
from kinema.types import EvalProtocol, InputSpec, Record

from .conftest import numbered_frames, write_pictures, write_video
from .known_motion import MOTIONS, Motion, end_point_error, pictures

pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")

SIZE = 96
BOUNDS = {"dis": 0.1, "dis_fast": 0.25, "farneback": 0.12, "tvl1": 0.1}  # pixels
SMALL = FlowSettings(short_side=48, quality=100)


def moving(motion: Motion, count: int = 6, size: int = 64) -> np.ndarray:
    """Frames (count, size, size, 3) of the texture in motion."""
    return np.repeat(pictures(motion, size, count)[..., None], 3, axis=-1)


RIGHT, DOWN = Motion(right=2), Motion(down=2)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two classes of two sources each, an empty file and a video with one frame."""
    root = tmp_path / "videos"
    for label, motion in (("right", RIGHT), ("down", DOWN)):
        for name in ("a_1.mp4", "a_2.mkv", "b_1.mp4"):
            write_video(root / label / name, moving(motion), fps=10, options={"crf": "5"})
    (root / "right" / "c_1.mp4").write_bytes(b"")
    write_video(root / "down" / "c_1.mp4", moving(DOWN, count=1))
    return root


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# ---------------------------------------------------------------- what is computed


def test_every_method_has_a_bound() -> None:
    assert set(BOUNDS) == set(FLOW_METHODS)


QUICK = [method for method in FLOW_METHODS if method != "tvl1"]
CASES = [(name, method) for name in MOTIONS for method in QUICK]


@pytest.mark.parametrize(("name", "method"), [*CASES, ("shift by -2.5, 1.25", "tvl1")])
def test_a_known_motion_is_found(name: str, method: str) -> None:
    first, second = pictures(MOTIONS[name], SIZE)
    estimator = FlowEstimator(method)  # type: ignore[arg-type]
    assert end_point_error(estimator(first, second), MOTIONS[name]) < BOUNDS[method]
    assert end_point_error(estimator(second, first), MOTIONS[name]) > 4 * BOUNDS[method]


def test_bytes_of_flow() -> None:
    pixels = np.array([0, -20, 20, 31, -99, 1, -0.5], dtype=np.float32)
    flow = np.stack([pixels, np.zeros_like(pixels)], axis=-1)[None]  # (1, 7, 2)
    assert quantise(flow)[0].tolist() == [[128, 0, 255, 255, 0, 134, 124]]
    assert quantise(flow)[1].tolist() == [[128] * 7]
    assert quantise(flow, 1.0)[0].tolist() == [[128, 0, 255, 255, 0, 255, 64]]


def test_what_cannot_be_computed_is_told() -> None:
    with pytest.raises(ValueError, match="method 'lk' must be one of dis, dis_fast, farneback"):
        FlowEstimator("lk")  # type: ignore[arg-type]
    tiny = FlowReader(ArrayReader(np.zeros((3, 8, 8, 3), np.uint8), fps=25), "tiny")
    with pytest.raises(VideoError, match="tiny, frame 1: no flow .* of 8x8 pixels: .*>= 12"):
        tiny.read([1])


# ---------------------------------------------------------------- in reading


def test_a_video_has_one_pair_less_than_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", moving(RIGHT, count=9), fps=10, options={"crf": "5"})
    with closing(open_reader(Record("v", path, None), "flow")) as reader:
        assert (len(reader), reader.fps) == (8, 10)
        assert reader.times([0, 7]).tolist() == pytest.approx([0, 0.7])
        found = reader.read([7, 0, 7])
        assert found.shape == (3, 2, 64, 64)
        assert torch.equal(found[0], found[2])
        middle = found[..., 12:-12, 12:-12].float().mean(dim=(0, 2, 3)).tolist()
        assert middle == pytest.approx([127.5 + 2 * 6.375, 127.5], abs=1)
        with pytest.raises(VideoError, match="frame 8: the video has 8 frames"):
            reader.read([8])
    with closing(open_reader(Record("v", path, None, 0.2, 0.6), "flow")) as part:
        assert part.times(range(len(part))).tolist() == pytest.approx([0.2, 0.3, 0.4])
    with pytest.raises(VideoError, match="v.mp4: has one frame; flow is what moves between two"):
        open_reader(Record("v", path, None, 0.2, 0.3), "flow")


def test_a_folder_of_frames_has_flow_too(tmp_path: Path) -> None:
    write_pictures(tmp_path / "clip", moving(DOWN))
    with closing(open_reader(Record("c", tmp_path / "clip", None), "flow")) as reader:
        assert len(reader) == 5
        x, y = reader.read([2])[0, :, 12:-12, 12:-12].float().mean(dim=(1, 2)).tolist()
        assert (x, y) == pytest.approx((127.5, 127.5 + 2 * 6.375), abs=1.5)


def test_one_frame_and_no_opencv_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", moving(RIGHT, count=1))
    with pytest.raises(VideoError, match="v.mp4: has one frame"):
        open_reader(Record("v", path, None), "flow")
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ImportError, match=r"needs: pip install 'kinema\[flow\]'"):
        open_reader(Record("v", path, None), "flow")
    with pytest.raises(ImportError, match=r"needs: pip install 'kinema\[flow\]'"):
        store_flow(tmp_path, tmp_path / "out", shown=False)
    manifest = Manifest("m", ("a", "b"), (Record("v", path, 0),))
    with pytest.raises(ImportError, match=r"needs: pip install 'kinema\[flow\]'"):
        eval_dataset(manifest, flow_spec(), EvalProtocol())


def test_frames_of_several_sizes_are_told(tmp_path: Path) -> None:
    square = write_video(tmp_path / "a.h264", moving(RIGHT))
    wide = write_video(tmp_path / "b.h264", numbered_frames(6, width=128, height=64))
    both = tmp_path / "both.h264"
    both.write_bytes(square.read_bytes() + wide.read_bytes())
    for modality in ("rgb", "flow"):
        reader = open_reader(Record("v", both, None), modality)  # type: ignore[arg-type]
        with (
            closing(reader),
            pytest.raises(VideoError, match="both.h264, frame [56]: .* unlike the others"),
        ):
            reader.read(range(len(reader)))


# ---------------------------------------------------------------- stored


def test_stored_flow_is_what_reading_computes(videos: Path, tmp_path: Path) -> None:
    store_flow(videos, tmp_path / "flow", SMALL, workers=0, shown=False)
    original = Record("v", videos / "right" / "a_1.mp4", None)
    stored = replace_record(original, tmp_path / "flow" / "right" / "a_1")
    assert names(stored.path)[:2] == ["flow_x_00001.jpg", "flow_x_00002.jpg"]
    assert len(names(stored.path)) == 2 * 5 + 1
    for start, end in ((0.0, None), (0.1, 0.45)):
        a, b = (
            open_reader(Record("v", record.path, None, start, end), "flow", short_side=48)
            for record in (original, stored)
        )
        with closing(a), closing(b):
            every = range(len(a))
            assert len(b) == len(a) == (5 if end is None else 3)
            assert b.fps == a.fps
            assert b.times(every).tolist() == pytest.approx(a.times(every).tolist(), abs=1e-6)
            off = a.read(every).int() - b.read(every).int()
            assert off.abs().max() <= 3  # JPEG
    with pytest.raises(VideoError, match="has one frame"):
        open_reader(Record("v", stored.path, None, 0.1, 0.2), "flow")


def replace_record(record: Record, path: Path) -> Record:
    return Record(record.id, path, record.labels)


def test_scaled_flow_is_in_the_pixels_it_is_read_with(videos: Path, tmp_path: Path) -> None:
    store_flow(videos, tmp_path / "flow", replace(SMALL, short_side=64), workers=0, shown=False)
    record = Record("v", tmp_path / "flow" / "right" / "a_1", None)
    for side in (64, 32, 96):
        with closing(open_reader(record, "flow", short_side=side)) as reader:
            edge = side // 5
            x, y = reader.read([1])[0, :, edge:-edge, edge:-edge].float().mean(dim=(1, 2))
            assert x == pytest.approx(128 + 2 * side / 64 * 6.375, abs=1.2)
            assert y == pytest.approx(128, abs=1.2)
    (record.path / "times.json").unlink()  # flow from elsewhere is left as it is
    with closing(open_reader(record, "flow", short_side=32)) as reader:
        assert reader.read([1])[0, 0, 8:-8, 8:-8].float().mean() == pytest.approx(140.75, abs=1.2)


def test_manifests_keep_what_records_are(videos: Path, tmp_path: Path) -> None:
    done = store_flow(videos, tmp_path / "flow", SMALL, workers=2, shown=False)
    assert {Path(one.source).parent.name for one in done.failed} == {"right", "down"}
    said = "".join(one.error for one in done.failed)
    assert "the file is empty" in said
    assert "has one frame" in said
    assert done.records == {"train": 8}
    with (tmp_path / "flow" / "dropped.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["down/c_1.mp4", "right/c_1.mp4"]
    (videos / "right" / "c_1.mp4").unlink()
    (videos / "down" / "c_1.mp4").unlink()
    before, after = load_data(videos), load_data(tmp_path / "flow")
    assert after.note.startswith("left out by kinema data flow: 2 of 8 train videos; reasons in ")
    assert after.train.labels == before.train.labels
    for split in ("train", "val"):  # as many, the same, on the same side
        rows = [
            [(record.id, record.labels) for record in getattr(data, split).records]
            for data in (before, after)
        ]
        assert rows[0] == rows[1] != []


def test_records_of_one_video_share_its_flow(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in" / "v.mp4", moving(RIGHT, count=12), fps=10)
    records = (Record("p", path, 0, 0.0, 0.5, "g"), Record("q", path, (0, 1), 0.5, 1.2))
    Manifest("m", ("a", "b"), records).save(tmp_path / "m.jsonl")
    done = store_flow(tmp_path / "m.jsonl", tmp_path / "flow", SMALL, workers=0, shown=False)
    assert (len(done.written), done.written[0].frames) == (1, 12)
    found = Manifest.load(tmp_path / "flow" / "train.jsonl").records
    assert [(r.id, r.labels, r.start, r.end, r.group) for r in found] == [
        ("p", (0,), 0.0, 0.5, "g"), ("q", (0, 1), 0.5, 1.2, None),
    ]  # fmt: skip
    assert found[0].path == found[1].path
    lengths = []
    for record in (*found, *records):
        with closing(open_reader(record, "flow")) as reader:
            lengths.append(len(reader))
    assert lengths == [4, 6, 4, 6]


def test_a_second_run_does_only_what_is_missing(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow"
    store_flow(videos, out, SMALL, workers=0, shown=False)
    kept = out / "right" / "a_1" / "flow_x_00001.jpg"
    stamp = kept.stat().st_mtime_ns
    shutil.rmtree(out / "down" / "b_1")
    done = store_flow(videos, out, SMALL, workers=0, shown=False)
    assert kept.stat().st_mtime_ns == stamp
    assert done.skipped == 5
    assert [one.source.name for one in done.written] == ["b_1.mp4", "c_1.mp4", "c_1.mp4"]
    for other in ({"short_side": 32}, {"bound": 10.0}, {"method": "farneback"}, {"quality": 90}):
        with pytest.raises(ValueError, match="holds flow of other settings .*another folder"):
            store_flow(videos, out, replace(SMALL, **other), shown=False)  # type: ignore[arg-type]
    write_video(videos / "right" / "a_1.mp4", moving(DOWN, count=9))
    with pytest.raises(ValueError, match="a_1 holds the flow of another video .*another folder"):
        store_flow(videos, out, SMALL, shown=False)


def test_a_killed_run_leaves_nothing_that_looks_finished(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "flow"
    child = os.fork()
    if not child:  # dies in the middle of the second video
        calls = iter([True] * 7)
        monkeypatch.setattr(
            flow, "quantise", lambda *words: quantise(*words) if next(calls, 0) else os._exit(9)
        )
        store_flow(videos, out, SMALL, workers=0, shown=False)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert names(out / "down") == [f".a_2.{child}.part", "a_1"]
    assert not (out / "train.jsonl").exists()
    done = store_flow(videos, out, SMALL, workers=0, shown=False)
    assert done.skipped == 1
    assert names(out / "down") == ["a_1", "a_2", "b_1"]
    assert len(names(out / "down" / "a_2")) == 11


def test_frames_of_several_sizes_are_not_stored(tmp_path: Path) -> None:
    """Also where both sizes are in parts of a video that are read one after the other."""
    clip = write_pictures(tmp_path / "in" / "a" / "clip", moving(RIGHT))
    write_pictures(clip, numbered_frames(2, width=96, height=64), first=7)
    write_pictures(tmp_path / "in" / "b" / "clip", moving(DOWN))
    for chunk in (256, 6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kinema.data.copies.CHUNK", chunk)
            out = tmp_path / f"flow{chunk}"
            done = store_flow(tmp_path / "in", out, SMALL, workers=0, shown=False)
        (failed,) = done.failed
        assert "clip, frame 6: has " in failed.error
        assert len(names(out / "b" / "clip")) == 11
        assert not (out / "a" / "clip").exists()


def test_folders_that_do_not_fit(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not lie inside"):
        store_flow(videos, videos / "flow", shown=False)
    shutil.copyfile(videos / "down" / "a_1.mp4", videos / "down" / "a_1.avi")
    with pytest.raises(ValueError, match=r"a_1.avi and .*a_1.mp4 would both go to .*; rename one"):
        store_flow(videos, tmp_path / "flow", shown=False)
    (tmp_path / "flow" / "down" / "a_1").mkdir(parents=True)
    (videos / "down" / "a_1.avi").unlink()
    for content in (None, "{}"):
        if content:
            (tmp_path / "flow" / "down" / "a_1" / "times.json").write_text(content)
        with pytest.raises(ValueError, match=r"times.json is not what kinema data flow writes"):
            store_flow(videos, tmp_path / "flow", shown=False)


@pytest.mark.parametrize(
    "wrong", [{"bound": 0.0}, {"bound": float("nan")}, {"short_side": 8}, {"quality": 0}]
)
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        FlowSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "is not what kinema data flow writes"),
        (json.dumps({"fps": 10, "seconds": [0, 1]}), "times of 6 frames, there are 5 pairs"),
        (json.dumps({"fps": 10, "seconds": [0, 2, 1, 3, 4, 5]}), "rising times of 6 frames"),
        (json.dumps({"fps": 0, "seconds": [0, 1, 2, 3, 4, 5]}), "must give a rate"),
    ],
)
def test_damaged_times_are_told(content: str, part: str, tmp_path: Path) -> None:
    for plane in "xy":
        write_pictures(tmp_path, numbered_frames(5), f"flow_{plane}_{{:05d}}.jpg")
    (tmp_path / "times.json").write_text(content)
    with pytest.raises(VideoError, match=f"times.json: .*{part}"):
        open_reader(Record("v", tmp_path, None), "flow")


# ---------------------------------------------------------------- clips


def flow_spec(**fields: int) -> InputSpec:
    return InputSpec(modality="flow", stack=3, frames=2, resize=64, crop=48, **fields)


def test_clips_stack_pairs_and_a_mirror_turns_them_round(videos: Path, tmp_path: Path) -> None:
    """A mirror image of motion to the right is motion to the left, on the fly and stored."""
    settings = replace(SMALL, short_side=64)
    store_flow(videos, tmp_path / "flow", settings, workers=0, shown=False)
    for folder in (tmp_path / "flow", videos):
        labels = load_data(tmp_path / "flow").train.labels
        ending = "" if folder.name == "flow" else ".mp4"
        record = Record("v", folder / "right" / f"a_1{ending}", labels.index("right"))
        manifest = Manifest("m", labels, (record,))
        sample = eval_dataset(manifest, flow_spec(), EvalProtocol(crop="ten"))[0]
        assert sample.clips.shape == (10, 6, 2, 48, 48)
        assert sample.spans[0].tolist() == pytest.approx([0.0, 0.5])
        means = sample.clips[:, :, :, 8:-8, 8:-8].float().mean(dim=(2, 3, 4))  # (10, 6)
        x, y = means[:, 0::2].mean(1), means[:, 1::2].mean(1)
        moved = 2 * 6.375
        assert x[0::2].tolist() == pytest.approx([127.5 + moved] * 5, abs=2)
        assert x[1::2].tolist() == pytest.approx([127.5 - moved] * 5, abs=2)
        assert y.tolist() == pytest.approx([127.5] * 10, abs=2)
        augment = Augment(flip=True, brightness=0.9)
        sides = []
        for seed in range(8):
            clips = train_dataset(manifest, flow_spec(), augment, seed=seed)[0].clips
            sides.append(clips[:, 0].float().mean().item() - 127.5)
        assert min(sides) < -8
        assert max(sides) > 8


def test_colours_of_directions() -> None:
    flow = torch.full((3, 2, 1, 1), 128, dtype=torch.uint8)
    flow[1, 0], flow[2, 0] = 255, 0
    rest, right, left = flow_colours(flow)[..., 0, 0].tolist()
    assert rest == [255, 255, 255]
    assert right == [255, 64, 64]
    assert left[0] < 10 < 150 < left[1] == left[2]
