"""Commands that look after videos: data check, data transcode and data flow."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from kinema.cli import main
from kinema.data import Manifest
from kinema.data.motion import MotionSpec
from kinema.data.motion_render import write_clip
from kinema.engine.held_out import held_out
from kinema.tools.forecast import Forecast

SPEC = MotionSpec(classes=("left", "right"), size=32, frames=8)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two classes in two splits; one file is empty, and one class has a bad name for HTML."""
    root = tmp_path / "clips"
    for split, count in (("train", 3), ("test", 1)):
        for label, name in (("left", "left"), ("right", "a <right> & b")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                clip = SPEC.clip("train" if split == "train" else "test", label, k)
                write_clip(clip, folder / f"{label}{split}{'abc'[k]}.mp4")
    (root / "train" / "left" / "empty.mp4").write_bytes(b"")
    return root


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """As small as can be."""
    path = tmp_path / "tiny.yaml"
    content = {
        "model": "tsm_resnet18",
        "model_args": {"width": 8},
        "input": {"frames": 4, "resize": 32, "crop": 32},
        "phases": [{"frames": 4, "epochs": 1, "batch": 2}],
        "workers": 1,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_clips_for_testing_alone_are_checked_and_can_be_tested(
    clips: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(clips / "train")
    out = tmp_path / "out"
    words = ["data", "check", str(clips), "--out", str(out), "--recipe", str(recipe)]
    assert main([*words, "--workers", "0", "--device", "cpu"]) == 0
    assert "test:   2 of 2 clips" in capsys.readouterr().out
    assert (out / "check.html").exists()
    for data in (clips, out):
        split, manifest = held_out(data)
        assert (split, manifest.labels, len(manifest)) == ("test", ("a <right> & b", "left"), 2)
    assert main(["train", str(clips), "--model", "tsm_resnet18", "--out", str(tmp_path / "r")]) == 2
    assert "has no split train (it has test), and training needs one" in capsys.readouterr().err


def test_check_writes_lists_and_a_page(
    clips: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["data", "check", str(clips), "--out", str(out), "--recipe", str(recipe)]
    assert main([*words, "--workers", "0", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "8 of 9 clips decode to their last frame" in said
    assert "the file is empty" in said
    assert f"6 of 7 clips in {out / 'train.jsonl'}" in said
    assert re.search(r"decoding: [\d.]+ ms per clip \(4 frames, segments, short side 32;", said)
    assert re.search(r"training: \d+ ms per step of 2 clips \(tsm_resnet18, cpu, \w+\)", said)
    content = json.loads((out / "check.json").read_text())
    assert content["counts"]["unreadable"] == content["dropped"] == 1
    train = content["splits"]["train"]
    assert (train["before"], train["after"]) == (7, 6)
    assert train["fingerprint"] == Manifest.load(out / "train.jsonl").fingerprint()
    assert content["forecast"]["decode_ms"] > 0
    with (out / "dropped.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["left/empty.mp4"]
    page = (out / "check.html").read_text()
    assert "a &lt;right&gt; &amp; b" in page
    assert "<right>" not in page
    assert page.count('src="data:image/jpeg;base64,') >= 2
    assert not re.search(r'(src|href)="(?!data:)', page)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--drop", "leaks"], "drop 'leaks' must be one of"),
        (["--model", "tsm_resnet19"], "'tsm_resnet19'"),
        (["--frames", "0"], "frames=0 must be at least 1"),
    ],
)
def test_wrong_options_are_told_before_the_pass(
    options: list[str],
    part: str,
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "check", str(clips), "--out", str(tmp_path / "out"), *options]) == 2
    assert part in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_transcode_counts_what_it_did(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    words = ["data", "transcode", str(clips), str(out), "--short-side", "16", "--workers", "0"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "8 videos written, 0 were there, 1 could not be read" in said
    assert "empty.mp4: the file is empty" in said
    assert len(list(out.rglob("*.mp4"))) == 8
    assert main(words) == 0
    assert "0 videos written, 8 were there" in capsys.readouterr().out


def test_flow_counts_what_it_did_and_goes_on_past_a_bad_video(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    out = tmp_path / "flow"
    words = ["data", "flow", str(clips), str(out), "--method", "farneback", "--workers", "0"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "flow of 8 videos written, 0 were there, 1 could not be read" in said
    assert "56 pairs of pictures" in said
    assert "empty.mp4: the file is empty" in said
    assert f"train:  6 of 7 clips in {out / 'train.jsonl'}" in said
    assert "note: flow computed while reading videos is always dis with bound 20" in said
    assert main(words) == 0
    assert "flow of 0 videos written, 8 were there, 1 could" in capsys.readouterr().out
    assert main([*words[:4], "--method", "lk"]) == 2
    assert "method='lk' must be one of dis, dis_fast, farneback, tvl1" in capsys.readouterr().err
    check = ["data", "check", str(out), "--out", str(tmp_path / "c"), "--no-forecast"]
    assert main([*check, "--workers", "0", "--device", "cpu"]) == 0
    assert "8 of 8 clips decode to their last frame" in capsys.readouterr().out


def outlook(**changed: object) -> Forecast:
    given = {
        "model": "m", "device": "cuda:0", "precision": "bf16", "clip": "8 frames", "clips": 600,
        "decode_ms": 40.0, "decoded": 24, "step_ms": 80.0, "batch": 16, "workers": 4, "cores": 8,
        "shared": False,
    }  # fmt: skip
    return Forecast(**{**given, **changed})  # type: ignore[arg-type]


def test_the_forecast_on_a_gpu_is_the_slower_side() -> None:
    slow = outlook()  # 4 processes of 25 clips/s against 200 clips/s
    assert (slow.decode_rate, slow.model_rate, slow.rate) == (100, 200, 100)
    assert slow.bound
    assert slow.share == pytest.approx(0.5)
    assert "2.0 times as fast" in slow.verdict()
    assert "8 cores would do" in slow.verdict()
    quick = outlook(decode_ms=10.0)
    assert (quick.rate, quick.share, quick.bound) == (200, 0, False)
    assert "2.0 times as fast as the model learns" in quick.verdict()
    assert "0.1 minutes per epoch of 600 clips" in quick.lines()[-1]


def test_the_forecast_on_a_cpu_adds_both_sides() -> None:
    shared = outlook(device="cpu", shared=True, cores=2, workers=2)  # 5 ms and 20 ms per clip
    assert shared.rate == pytest.approx(40)
    assert shared.share == pytest.approx(0.8)
    assert shared.bound
    assert "decoding takes 80% of the time" in shared.verdict()
