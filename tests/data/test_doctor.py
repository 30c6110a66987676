"""The doctor finds what is wrong, leaves out what is asked, and keeps the rest as it is."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.data import Manifest, examine
from kinema.data.doctor import CACHE, Checkup, check_data, frames_spanned
from kinema.data.likeness import alike, code_of, look_indices
from kinema.types import InputSpec

from .conftest import write_video

SPEC = InputSpec(frames=4, resize=36, crop=32)


def pictures(seed: int, count: int = 8, width: int = 64, height: int = 48) -> np.ndarray:
    """(count, height, width, 3) smooth pictures that drift, another drawing for each seed."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    waves = [(*rng.uniform(-4, 4, 2), rng.uniform(0, 6), rng.uniform(-3, 3)) for _ in range(6)]
    frames = [
        sum(np.cos(2 * np.pi * (fx * x + fy * y) + p + v * t / count) for fx, fy, p, v in waves)
        for t in range(count)
    ]
    grey = np.clip(128 + 30 * np.stack(frames), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    """Ten good clips and seven with one trouble each."""
    root = tmp_path / "sick"
    for k in range(4):
        for label, base in (("cat", 0), ("dog", 100)):
            name = f"{'abcd'[k]}.mp4"
            write_video(root / "train" / label / name, pictures(base + k))
    for label, seed in (("cat", 50), ("dog", 150)):
        write_video(root / "test" / label / f"{label}y.mp4", pictures(seed))
    cats = root / "train" / "cat"
    (cats / "empty.mp4").write_bytes(b"")
    whole = (root / "train" / "dog" / "a.mp4").read_bytes()
    (cats / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (cats / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    write_video(cats / "one frame.mp4", pictures(7, count=1))
    copy = pictures(150, width=96, height=72)
    write_video(cats / "copy of a dog.mp4", copy, options={"crf": "32"})
    write_video(root / "train" / "dog" / "tape_g1_c1.mp4", pictures(200))
    write_video(root / "test" / "dog" / "tape_g1_c2.mp4", pictures(201))
    return root


def check(root: Path, out: Path, **options: object) -> Checkup:
    return check_data(root, out, SPEC, workers=0, shown=False, **options)  # type: ignore[arg-type]


def named(checkup: Checkup, kind: str) -> list[str]:
    return sorted(f.entry.record.id for f in checkup.findings if f.kind == kind)


def test_every_trouble_is_found_and_the_rest_kept(sick: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    checkup = check(sick, out)
    assert named(checkup, "unreadable") == ["cat/cut.mp4", "cat/empty.mp4", "cat/noise.mp4"]
    assert named(checkup, "duplicate") == ["cat/copy of a dog.mp4"]
    assert named(checkup, "short") == ["cat/one frame.mp4"]
    assert named(checkup, "leak") == ["dog/tape_g1_c1.mp4"]
    assert named(checkup, "twin") == []
    (copy,) = checkup.of("duplicate")
    assert "looks like dog/dogy.mp4 of test" in copy.reason
    assert "labelled 'dog' and this 'cat'" in copy.reason
    assert "1 of the 4 frames" in checkup.of("short")[0].reason
    assert "source 'tape_g1' (told from the name) also has 1 in test" in (
        checkup.of("leak")[0].reason
    )
    with (out / "dropped.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["kind"] for row in rows} == {
        "cat/copy of a dog.mp4": "duplicate",
        "cat/cut.mp4": "unreadable",
        "cat/empty.mp4": "unreadable",
        "cat/noise.mp4": "unreadable",
    }
    clean = Manifest.load(out / "train.jsonl")
    assert [r.id for r in clean.records] == [
        "cat/a.mp4", "cat/b.mp4", "cat/c.mp4", "cat/d.mp4", "cat/one frame.mp4",
        "dog/a.mp4", "dog/b.mp4", "dog/c.mp4", "dog/d.mp4", "dog/tape_g1_c1.mp4",
    ]  # fmt: skip
    assert clean.fingerprint() == checkup.clean["train"].fingerprint()
    assert len(Manifest.load(out / "test.jsonl")) == 3
    clean.check("train")


def test_what_is_dropped_can_be_chosen(sick: Path, tmp_path: Path) -> None:
    drop = ("unreadable", "duplicate", "short", "leak")
    assert len(check(sick, tmp_path / "out", drop=drop).clean["train"]) == 8
    assert len(check(sick, tmp_path / "out", drop=()).clean["train"]) == 14
    with pytest.raises(ValueError, match="drop 'leaks' must be one of unreadable"):
        check(sick, tmp_path / "out", drop=("leaks",))


def test_a_second_pass_decodes_what_changed_only(
    sick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check(sick, tmp_path / "out")
    seen: list[str] = []
    true = examine.examine

    def counting(record: object, indexes: object) -> object:
        seen.append(record.id)  # type: ignore[attr-defined]
        return true(record, indexes)  # type: ignore[arg-type]

    monkeypatch.setattr(examine, "examine", counting)
    with (tmp_path / "out" / CACHE).open("a") as file:
        file.write('{"key": "unfini')  # as a stopped pass leaves it
    write_video(sick / "train" / "cat" / "empty.mp4", pictures(9))
    second = check(sick, tmp_path / "out")
    assert seen == ["cat/empty.mp4"]
    assert named(second, "unreadable") == ["cat/cut.mp4", "cat/noise.mp4"]
    kept = [e.facts for e in first.entries if e.record.id != "cat/empty.mp4"]
    assert kept == [e.facts for e in second.entries if e.record.id != "cat/empty.mp4"]


def test_facts_of_a_good_clip(sick: Path, tmp_path: Path) -> None:
    facts = next(e.facts for e in check(sick, tmp_path).entries if e.record.id == "dog/b.mp4")
    assert (facts.frames, facts.fps, facts.width, facts.height) == (8, 25, 64, 48)
    assert facts.seconds == pytest.approx(8 / 25)
    assert facts.bytes == (sick / "train" / "dog" / "b.mp4").stat().st_size


def test_twins_are_of_two_sources_or_two_classes(sick: Path, tmp_path: Path) -> None:
    dogs = sick / "train" / "dog"
    shutil.copyfile(dogs / "b.mp4", dogs / "other name.mp4")
    shutil.copyfile(dogs / "c.mp4", sick / "train" / "cat" / "c again.mp4")
    shutil.copyfile(dogs / "tape_g1_c1.mp4", dogs / "tape_g1_c3.mp4")  # one source: as expected
    checkup = check(sick, tmp_path / "out")
    assert named(checkup, "twin") == ["cat/c again.mp4", "dog/b.mp4"]
    assert not any(f.dropped for f in checkup.of("twin"))


def test_numbers_as_names_tell_no_source(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            for k in range(2):
                seed = 4 * (split == "test") + 2 * (label == "cat") + k
                name = f"{k:05d}.mp4" if label == "cat" else f"clip_{k}.mp4"
                write_video(tmp_path / "d" / split / label / name, pictures(seed, count=4))
    assert named(check(tmp_path / "d", tmp_path / "out"), "leak") == []


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        (InputSpec(frames=8), 8),
        (InputSpec(frames=8, sampling="dense", stride=8), 57),
        (InputSpec(frames=8, modality="rgb_diff", stack=5), 13),
    ],
)
def test_frames_a_clip_spans(spec: InputSpec, frames: int) -> None:
    assert frames_spanned(spec) == frames


def test_likeness_finds_copies_among_many() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, (600, 4), dtype=np.uint64)
    codes[400] = codes[20] ^ np.asarray([0b111, 0, 1 << 40, 0], dtype=np.uint64)  # 4 bits
    codes[500] = codes[30] ^ np.asarray([0, 2**11 - 1, 0, 0], dtype=np.uint64)  # 11 in one frame
    codes[501] = codes[31]
    codes[40] = codes[41] = 0  # nothing to see
    seconds = np.full(600, 10.0)
    seconds[501] = 12.0
    assert list(alike(codes, seconds)) == [(20, 400, 4)]


def test_the_hash_is_about_content_not_size() -> None:
    assert look_indices(8) == [1, 3, 5, 7]
    assert look_indices(1) == [0, 0, 0, 0]
    big, small, other = (
        code_of(torch.from_numpy(pictures(s, 4, w, h)).permute(0, 3, 1, 2))
        for s, w, h in ((1, 96, 72), (1, 48, 36), (2, 96, 72))
    )
    assert np.bitwise_count(big ^ small).sum() <= 12
    assert np.bitwise_count(big ^ other).sum() > 60
