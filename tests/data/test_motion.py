"""Motion videos: exact reversals, single frames without a hint, sets that can be made again."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.data import Manifest, open_reader
from kinema.data.datasets import load_data
from kinema.data.motion import (
    CLASSES,
    DIRECTIONS,
    PAIRS,
    MotionSpec,
    chance,
    make_motion,
    order_blind_ceiling,
)
from kinema.data.motion_paths import Clip, states
from kinema.data.motion_render import render
from kinema.plain import from_plain, to_plain

SMALL = MotionSpec(classes=("left", "right", "grow"), train=3, val=1, test=2, size=32, frames=8)


def clip(label: str, index: int = 0, **changes: object) -> Clip:
    spec = MotionSpec(classes=CLASSES)
    return replace(spec.clip("train", label, index), **changes)


@pytest.mark.parametrize("pair", PAIRS[:-1])
def test_pairs_are_exact_reversals_on_states(pair: tuple[str, str]) -> None:
    for index in range(5):
        first = clip(pair[0], index)
        second = replace(first, label=pair[1])
        assert np.array_equal(states(second), states(first)[::-1])


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_oscillations_visit_the_same_states(stride: int) -> None:
    slow = clip("oscillate_slow", 3)
    fast = replace(slow, label="oscillate_fast")
    ways = [states(each)[stride // 2 :: stride] for each in (slow, fast)]
    sets = [way[np.lexsort(way.round(6).T)] for way in ways]
    np.testing.assert_allclose(sets[0], sets[1], atol=1e-9)
    speeds = [np.abs(np.diff(way[:, 0])).mean() for way in ways]
    assert speeds[1] > 1.5 * speeds[0]


@pytest.mark.parametrize(
    ("label", "coordinate", "sign"),
    [
        ("right", 0, 1),
        ("left", 0, -1),
        ("down", 1, 1),
        ("up", 1, -1),
        ("clockwise", 2, 1),
        ("counterclockwise", 2, -1),
        ("grow", 3, 1),
        ("shrink", 3, -1),
    ],
)
def test_directions_move_one_coordinate_one_way(label: str, coordinate: int, sign: int) -> None:
    steps = (np.diff(states(clip(label)), axis=0) + 0.5) % 1 - 0.5
    assert (steps[:, coordinate] * sign > 0).all()
    assert np.delete(steps, coordinate, axis=1) == pytest.approx(0, abs=1e-12)
    turned = abs(steps[:, coordinate].sum()) * 32 / 31
    slowest, fastest = MotionSpec().train_speed
    assert slowest <= turned <= fastest


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("frame", [0, 13, 31])
def test_single_frames_have_the_uniform_law(label: str, frame: int) -> None:
    """Kolmogorov-Smirnov distance of 600 states from the uniform law, per coordinate."""
    rows = np.stack([states(clip(label, index))[frame] for index in range(600)])
    ranks = np.arange(1, 601)[:, None] / 600
    distance = np.abs(np.sort(rows, axis=0) - ranks).max(axis=0)
    assert (distance < 0.07).all()  # exceeded once in 180 by chance per coordinate; seeds are fixed


def test_orderings_are_events_one_after_the_other() -> None:
    way = states(clip("shake_then_nod"))
    moved = np.abs((way - way[0] + 0.5) % 1 - 0.5) > 1e-9
    assert moved[1:15, 0].all()
    assert not moved[16:, 0].any()
    assert moved[17:31, 1].all()
    assert not moved[:16, 1].any()


def test_clockwise_is_clockwise_to_the_eye() -> None:
    """Turning the pictures of a clip undoes it: quarter turns of a centred sprite."""
    still = clip("clockwise", speed=(1.0, 1.0), size=64)
    frames = render(still).astype(float)
    way = states(still)
    centre = np.round(way[0, :2] * 64).astype(int)
    frames = np.roll(frames, tuple(32 - centre[::-1]), axis=(1, 2)).mean(axis=3)
    start, quarter = frames[0], frames[8]
    ground = np.median(start)
    match = {
        turn: np.corrcoef((np.rot90(start, turn) - ground).ravel(), (quarter - ground).ravel())[
            0, 1
        ]
        for turn in (-1, 1)
    }
    assert match[-1] > match[1] + 0.1


def test_colour_of_the_ground_follows_the_class_in_training_only() -> None:
    spec = MotionSpec(background=1.0)

    def spread(split: str) -> tuple[float, float]:
        """Mean distance of mean colours within a class and between classes."""
        colours = np.stack(
            [
                [np.median(render(spec.clip(split, c, i))[0], axis=(0, 1)) for i in range(6)]
                for c in spec.classes
            ]
        )
        within = np.linalg.norm(colours - colours.mean(1, keepdims=True), axis=-1).mean()
        between = np.linalg.norm(colours.mean(1) - colours.mean((0, 1)), axis=-1).mean()
        return float(within), float(between)

    within, between = spread("train")
    assert between > 1.5 * within
    within, between = spread("test")
    assert between < 0.8 * within


def test_speeds_differ_by_split() -> None:
    spec = MotionSpec(train_speed=(0.4, 0.5), test_speed=(1.0, 1.1))
    for split, (slow, fast) in {"train": (0.4, 0.5), "val": (0.4, 0.5), "test": (1.0, 1.1)}.items():
        for index in range(10):
            way = states(spec.clip(split, "down", index))[:, 1]
            speed = ((np.diff(way) + 0.5) % 1 - 0.5).mean() * spec.frames
            assert slow <= speed <= fast


def test_ceilings() -> None:
    assert order_blind_ceiling(DIRECTIONS) == 0.5
    assert order_blind_ceiling(CLASSES) == 0.5
    assert order_blind_ceiling(("left", "up", "down")) == pytest.approx(2 / 3)
    assert order_blind_ceiling(("left", "up")) == 1.0
    assert chance(DIRECTIONS) == 0.125


def test_a_set_can_be_made_again_to_the_byte(tmp_path: Path) -> None:
    sets = [
        make_motion(SMALL, tmp_path / name, workers=workers, shown=False)
        for name, workers in (("a", 0), ("b", 2))
    ]
    files = [sorted((tmp_path / name).rglob("*.mp4")) for name in "ab"]
    assert len(files[0]) == 18
    assert [a.read_bytes() for a in files[0]] == [b.read_bytes() for b in files[1]]
    assert len({a.read_bytes() for a in files[0]}) == 18
    assert sets[0].train.fingerprint() == sets[1].train.fingerprint()
    other = make_motion(replace(SMALL, seed=1), tmp_path / "c", workers=0, shown=False)
    assert other.train.records[0].path.read_bytes() != files[0][0].read_bytes()


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    data = make_motion(SMALL, tmp_path, workers=0, shown=False)
    kept, lost = (data.train.records[i].path for i in (0, 1))
    content, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    make_motion(SMALL, tmp_path, workers=0, shown=False)
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == stamp
    assert not list(tmp_path.rglob("*.part"))


def test_another_specification_in_the_same_folder_is_an_error(tmp_path: Path) -> None:
    make_motion(SMALL, tmp_path / "a", workers=0, shown=False)
    with pytest.raises(ValueError, match=r"\(seed: there 0, asked 4\); choose another folder"):
        make_motion(replace(SMALL, seed=4), tmp_path / "a", workers=0, shown=False)
    (tmp_path / "b" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds videos, but no motion.json"):
        make_motion(SMALL, tmp_path / "b", workers=0, shown=False)


def test_the_folder_is_data_like_any_other(tmp_path: Path) -> None:
    made = make_motion(SMALL, tmp_path / "motion", workers=0, shown=False)
    found = load_data(tmp_path / "motion")
    assert found == made
    assert made.train.flip_map == {1: 2, 2: 1}
    assert Manifest.load(tmp_path / "motion" / "test.jsonl") == made.test
    assert made.train.counts == (3, 3, 3)


def test_files_are_h264_with_key_frames_only(tmp_path: Path) -> None:
    data = make_motion(SMALL, tmp_path, workers=0, shown=False)
    path = data.train.records[0].path
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert all(packet.is_keyframe for packet in container.demux(stream) if packet.size)
    reader = open_reader(data.train.records[0])
    assert (len(reader), reader.fps) == (8, 16.0)
    pictures = render(SMALL.clip("train", "grow", 0)).transpose(0, 3, 1, 2)
    decoded = reader.read(range(8)).numpy()
    assert np.abs(decoded.astype(int) - pictures).mean() < 8
    reader.close()


def test_specifications_survive_yaml_and_json() -> None:
    spec = MotionSpec(test_speed=(1.0, 1.5), background=0.9)
    assert from_plain(MotionSpec, to_plain(spec)) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("left", "rigth")}, r"'rigth' is not known \(did you mean right"),
        ({"classes": ("left",)}, "must be two or more different names"),
        ({"train": 0}, "motion train=0 val=40 test=50"),
        ({"size": 33}, "motion size=33 must be an even number from 32 on"),
        ({"frames": 4}, "motion frames=4 must be at least 8"),
        ({"train_speed": (0.5, 3.0)}, "motion train_speed=.* must be 0 < slowest <= fastest <= 2"),
        ({"background": 1.2}, "motion background=1.2 must be a share"),
        ({"seed": -1}, "motion seed=-1"),
    ],
)
def test_specifications_check_themselves(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionSpec(**changes)
