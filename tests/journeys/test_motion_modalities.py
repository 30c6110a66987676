"""From videos to predictions by what moves: optical flow, stored and computed, and differences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from kinema import checkpoint
from kinema.cli import main
from kinema.engine.scores import read_scores

SMALL = (
    "model_args={width: 8, dropout: 0.0}", "input.stack=2", "input.resize=32", "input.crop=32",
    "phases=[{frames: 2, epochs: 1, batch: 4}]", "augment={crop: center}", "workers=0",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> None:
    """The models here are too small for more than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training, one validation and two test clips of two kinds of motion."""
    folder = tmp_path_factory.mktemp("journey") / "motion"
    words = (
        f"data make {folder} --classes left,grow --train 4 --val 1 --test 2 --size 32 --frames 8"
    )
    assert main([*words.split(), "--workers", "0"]) == 0
    return folder


def trained(data: Path, modality: str, out: Path) -> Path:
    words = ["train", str(data), "--model", "tsm_resnet18", "--out", str(out), "--device", "cpu"]
    assert main([*words, f"input.modality={modality}", *SMALL]) == 0
    return out / "model.safetensors"


def scored(model: Path, data: Path, out: Path) -> torch.Tensor:
    words = ["eval", str(model), str(data), "--out", str(out), "--workers", "0", "--device", "cpu"]
    assert main(words) == 0
    scores = read_scores(out / "scores.parquet")
    order = sorted(range(len(scores.ids)), key=lambda i: scores.ids[i])
    return torch.from_numpy(scores.probs[order])


def test_flow_stored_and_computed_in_reading_are_one(
    motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    stored = tmp_path / "flow"
    words = ["data", "flow", str(motion), str(stored), "--short-side", "32", "--quality", "100"]
    assert main([*words, "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "flow of 14 videos written, 0 were there, 0 could not be read" in said
    assert re.search(r"test: +4 of 4 clips in .*test\.jsonl", said)
    assert "note:" not in said
    model = trained(stored, "flow", tmp_path / "run")
    assert checkpoint.load(model).spec.input.channels == 4
    told = (tmp_path / "run" / "report.html").read_text()
    assert "no picture" not in told
    a, b = scored(model, stored, tmp_path / "a"), scored(model, motion, tmp_path / "b")
    torch.testing.assert_close(a, b, atol=0.02, rtol=0)
    capsys.readouterr()
    video = next((motion / "test" / "left").glob("*.mp4"))
    assert main(["predict", str(model), str(video), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["label"] for row in found["top"]} == {"left", "grow"}
    again = ["data", "flow", str(motion), str(stored), "--bound", "10", "--workers", "0"]
    assert main(again) == 2
    assert "holds flow of other settings" in capsys.readouterr().err


def test_training_on_flow_that_is_computed_in_reading(motion: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    model = trained(motion, "flow", tmp_path / "run")
    assert checkpoint.load(model).spec.input.modality == "flow"


def test_differences_of_frames(
    motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(motion, "rgb_diff", tmp_path / "run")
    spec = checkpoint.load(model).spec.input
    assert (spec.channels, spec.mean, spec.std) == (6, (0.5,), (0.226,))
    probs = scored(model, motion, tmp_path / "test")
    assert probs.shape == (4, 2)
    capsys.readouterr()
    video = next((motion / "test" / "left").glob("*.mp4"))
    assert main(["predict", str(model), str(video), "--json"]) == 0
    top = json.loads(capsys.readouterr().out)["top"]
    ids = sorted(path.name for path in (motion / "test" / "left").glob("*.mp4"))
    labels = checkpoint.load(model).spec.labels
    row = probs[2 + ids.index(video.name)]  # grow's clips stand before left's
    wanted = dict(zip(labels, row.tolist(), strict=True))
    assert {one["label"]: one["probability"] for one in top} == pytest.approx(wanted, abs=1e-4)
