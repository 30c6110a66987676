"""The motion benchmark: single frames without a hint, tests that differ in what they claim."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kinema.data import motion_benchmark
from kinema.data.datasets import load_data, read_parts
from kinema.data.motion_benchmark import (
    BENCHMARKS,
    SIZES,
    Definition,
    Size,
    benchmark,
    describe,
    make_benchmark,
    read_benchmark,
)
from kinema.data.motion_paths import Clip, states
from kinema.data.motion_render import render
from kinema.data.sampling import SegmentSampler
from kinema.engine.config import recipes
from kinema.plain import to_plain

VERSIONS = Path(__file__).parent.parent / "golden" / "motion_benchmark.json"
EVERY = pytest.mark.parametrize("definition", BENCHMARKS.values(), ids=list(BENCHMARKS))
PLACES = [(d, split) for d in BENCHMARKS.values() for split in d.parts if split != "val"]


def steps(way: np.ndarray) -> np.ndarray:
    """Shortest displacements (frames - 1, D) of a wrapping way."""
    return (np.diff(way, axis=0) + 0.5) % 1 - 0.5


def clips(definition: Definition, split: str, label: str, count: int) -> list[Clip]:
    return [definition.clip(split, label, index, pixels=32) for index in range(count)]


def fingerprint(definition: Definition) -> str:
    """Of everything a number depends on: the words, and where things are in some clips."""
    digest = sha256(json.dumps(to_plain(definition)).encode())
    for split in definition.parts:
        for label in definition.classes:
            way = states(definition.clip(split, label, 1, pixels=48))
            digest.update((np.rint(way * 1e6) % 1e6).astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


@EVERY
def test_what_changes_gets_another_version(definition: Definition) -> None:
    """A fingerprint stays with its version; a new version adds a line to the file."""
    known = json.loads(VERSIONS.read_text())
    assert known[f"{definition.name} {definition.version}"] == fingerprint(definition)


@EVERY
def test_the_two_of_a_pair_hold_the_same_frames(definition: Definition) -> None:
    assert len(definition.classes) == (4 if definition.name == "long_range" else 8)
    for split in definition.parts:
        for one, other in definition.pairs:
            first = definition.clip(split, one, 3, pixels=32)
            both = [first, replace(first, label=other)]
            ways = [states(clip).round(6) for clip in both]
            rows = [way[np.lexsort(way.T)] for way in ways]
            np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
            assert not np.allclose(ways[0], ways[1], atol=1e-3)


@pytest.mark.parametrize(("definition", "split"), PLACES, ids=lambda x: getattr(x, "name", x))
def test_single_frames_have_the_uniform_law(definition: Definition, split: str) -> None:
    """Kolmogorov-Smirnov distance of 250 states from the uniform law, per class and coordinate."""
    ranks = np.arange(1, 251)[:, None, None] / 250
    for label in definition.classes:
        ways = [states(clip) for clip in clips(definition, split, label, 250)]
        rows = np.sort(np.stack(ways)[:, [0, definition.frames // 2, -1]], axis=0)
        assert np.abs(rows - ranks).max() < 0.15  # by chance once in 40,000 distances


def one_frame_each(
    definition: Definition, split: str, count: int, *, frames: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`frames` frames of `count` clips per class: (n, 3, 32, 32) in [-1, 1], targets (n,)."""
    pictures, targets = [], []
    for target, label in enumerate(definition.classes):
        for clip in clips(definition, split, label, count):
            pictures.append(render(replace(clip, frames=8))[3 : 3 + frames])
            targets += [target] * frames
    stacked = torch.from_numpy(np.concatenate(pictures)).float() / 127.5 - 1
    return stacked.movedim(-1, 1), torch.tensor(targets)


def accuracy(model: nn.Module, frames: torch.Tensor, targets: torch.Tensor) -> float:
    with torch.inference_mode():
        return float((model(frames).argmax(1) == targets).float().mean())


@EVERY
def test_a_network_trained_on_single_frames_is_at_chance(definition: Definition) -> None:
    """Within the binomial interval that a guess leaves once in a thousand times."""
    frames, targets = one_frame_each(definition, "train", 16, frames=2)
    layers = [
        part
        for inner, outer in ((3, 16), (16, 32), (32, 32))
        for part in (nn.Conv2d(inner, outer, 3, 2, 1), nn.BatchNorm2d(outer), nn.ReLU())
    ]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        batch = torch.arange(step * 32, step * 32 + 32) * 7 % len(targets)
        loss = nn.functional.cross_entropy(model(frames[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    assert accuracy(model, frames, targets) > 0.4  # it did learn what it was shown
    tested = one_frame_each(definition, "test", 16, frames=1)
    chance, count = 1 / len(definition.classes), len(tested[1])
    assert abs(accuracy(model, *tested) - chance) < 3.3 * (chance * (1 - chance) / count) ** 0.5
    if definition.name == "background":
        correlated = one_frame_each(definition, "correlated", 16, frames=1)
        assert accuracy(model, *correlated) > 0.3


def test_tempo_tests_at_other_speeds() -> None:
    tempo = benchmark("tempo")
    means = {
        split: [
            abs(steps(states(clip))[:, 1].mean()) * tempo.frames
            for clip in clips(tempo, split, "up", 20)
        ]
        for split in tempo.parts
    }
    slowest, fastest = min(means["train"]), max(means["train"])
    assert slowest <= min(means["test"]) * 1.2
    assert max(means["test"]) <= fastest * 1.2
    assert max(means["slower"]) < 0.7 * slowest
    assert min(means["faster"]) > 1.4 * fastest


def test_background_follows_the_class_where_it_says_so() -> None:
    """Share of clips whose colour is nearest to the mean colour of their own class in training."""
    definition = benchmark("background")

    def colours(split: str) -> np.ndarray:
        return np.stack(
            [
                [
                    np.median(render(replace(clip, frames=8))[0], axis=(0, 1))
                    for clip in clips(definition, split, label, 10)
                ]
                for label in definition.classes
            ]
        )

    centres = np.median(colours("train"), axis=1)
    centres -= centres.mean(-1, keepdims=True)  # hue, not brightness

    def own(split: str) -> float:
        found = colours(split)
        found = found - found.mean(-1, keepdims=True)
        nearest = np.linalg.norm(found[:, :, None] - centres, axis=-1).argmin(-1)
        return float((nearest == np.arange(8)[:, None]).mean())

    assert own("correlated") > 0.4
    assert own("test") < 0.25
    limits = definition.conditions["correlated"]
    assert limits.single_frame == pytest.approx(0.5 + 0.5 / 8)
    assert limits.ceiling == pytest.approx(0.75)  # the pair is seen, and half of it guessed


def test_more_frames_tell_more_of_a_fast_motion() -> None:
    """Share of clips whose apparent motion, from frame to frame given, is the true one."""
    definition = benchmark("frames")
    for condition in definition.conditions.values():
        sampler, right = SegmentSampler(condition.frames), 0
        for clip in clips(definition, condition.split, "right", 200):
            way = states(clip)[sampler(clip.frames, np.random.default_rng(0))[0]]
            right += int((steps(way)[:, 0] > 0).all())
        certain = 2 * condition.limit - 1  # the others are no better than a guess
        assert right / 200 >= certain - 0.1
        assert condition.limit == 1 or right / 200 <= (1 + condition.limit) / 2 + 0.1
        assert right == 200 or condition.frames < 16


def test_decoupling_has_eight_directions_of_one_speed_each() -> None:
    definition = benchmark("decoupling")
    towards = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
    for label in definition.classes:
        wanted = sum(np.array(towards[part]) for part in label.split("_and_"))
        for clip in clips(definition, "test", label, 3):
            way = steps(states(clip))
            speed = np.abs(way).max()
            np.testing.assert_allclose(way[:, :2], np.tile(wanted * speed, (31, 1)), atol=1e-12)
            assert not way[:, 2:].any()


@pytest.mark.parametrize(
    ("split", "first", "rest"),
    [
        ("early", 0, 0),
        ("late", 8, 0),
        ("half_gap", None, 4),
        ("full_gap", 0, 8),
        ("test", None, None),
    ],
)
def test_long_range_places_its_events(split: str, first: int | None, rest: int | None) -> None:
    definition, coordinate = benchmark("long_range"), {"shake": 0, "nod": 1, "twist": 2, "swell": 3}
    found = set()
    for label in definition.classes:
        one, other = (coordinate[name] for name in label.split("_then_"))
        for clip in clips(definition, split, label, 6):
            away = states(clip)
            away = np.abs((away - np.median(away, axis=0) + 0.5) % 1 - 0.5) > 1e-6
            starts = {k: int(away[:, k].argmax()) - 1 for k in (one, other)}
            assert away.sum(axis=0).tolist() == [10 if k in starts else 0 for k in range(4)]
            gap = starts[other] - starts[one] - 12
            assert gap >= 0
            assert first in (None, starts[one])
            assert rest in (None, gap)
            found.add((starts[one], gap))
    assert (len(found) == 1) == (split in ("early", "late", "full_gap"))


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size of few clips."""
    size = Size(pixels=32, train=2, val=1, test=1, recipe="motion_tiny")
    monkeypatch.setattr(motion_benchmark, "SIZES", {**SIZES, "tiny": size})


@pytest.mark.usefixtures("mini")
def test_a_folder_holds_splits_for_every_condition(tmp_path: Path) -> None:
    folder = make_benchmark("tempo", "tiny", tmp_path / "tempo", workers=0, shown=False)
    info = read_benchmark(folder)
    assert info == describe("tempo", "tiny")
    assert (info.version, info.chance, info.ceiling) == (1, 0.125, 0.5)
    assert info.clips == {"train": 16, "val": 8, "test": 8, "slower": 8, "faster": 8}
    parts = read_parts(folder)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 16, "val": 8, "test": 8, "faster": 8, "slower": 8,
    }  # fmt: skip
    assert list(parts)[:3] == ["train", "val", "test"]
    assert {condition.split for condition in info.conditions.values()} <= set(parts)
    assert load_data(folder).test == parts["test"]
    assert len({r.path.read_bytes() for part in parts.values() for r in part.records}) == 48


@pytest.mark.usefixtures("mini")
def test_a_stopped_set_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    folder = make_benchmark("order", "tiny", tmp_path / "order", workers=0, shown=False)
    kept, lost = (r.path for r in load_data(folder).train.records[:2])
    content, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    make_benchmark("order", "tiny", folder, workers=0, shown=False)
    assert (lost.read_bytes(), kept.stat().st_mtime_ns) == (content, stamp)
    with pytest.raises(ValueError, match="name: there order, asked frames"):
        make_benchmark("frames", "tiny", folder, workers=0, shown=False)
    with pytest.raises(ValueError, match="size: there tiny, asked small"):
        make_benchmark("order", "small", folder, workers=0, shown=False)
    file = folder / "benchmark.json"
    file.write_text(file.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(ValueError, match=r"\(version: there 7, asked 1\); choose another folder"):
        make_benchmark("order", "tiny", folder, workers=0, shown=False)


def test_wrong_names_and_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'tempi' is not known \(did you mean tempo"):
        benchmark("tempi")
    with pytest.raises(ValueError, match=r"'tinyy' must be one of tiny, small, full \(did you"):
        make_benchmark("order", "tinyy", tmp_path)
    with pytest.raises(ValueError, match=r"holds no benchmark\.json; kinema data make"):
        read_benchmark(tmp_path)
    (tmp_path / "benchmark.json").write_text('{"format": 9}')
    with pytest.raises(ValueError, match="not a motion benchmark of this version: format must be"):
        read_benchmark(tmp_path)


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_sizes_fit_their_recipes(size: Size) -> None:
    recipe = recipes[size.recipe]()
    assert (recipe.name, recipe.input.crop, recipe.input.resize) == (
        size.recipe, size.pixels, size.pixels,
    )  # fmt: skip
    assert sum(phase.steps * phase.batch for phase in recipe.phases) >= 2 * 8 * size.train
