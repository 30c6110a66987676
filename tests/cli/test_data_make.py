"""`kinema data make --benchmark`, and `kinema eval` on the splits and clip lengths it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema import checkpoint
from kinema.cli import data_make, main
from kinema.data import motion_benchmark
from kinema.data.datasets import read_parts
from kinema.data.motion_benchmark import BENCHMARKS, SIZES, Size
from kinema.models import create_model
from kinema.types import InputSpec


@pytest.fixture(autouse=True)
def _mini(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size of few clips."""
    size = Size(pixels=32, train=2, val=1, test=1, recipe="motion_tiny")
    monkeypatch.setattr(motion_benchmark, "SIZES", {**SIZES, "tiny": size})


def test_the_help_names_every_definition(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(BENCHMARKS) == data_make.DEFINITIONS
    assert main(["data", "make", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert ", ".join(BENCHMARKS) in said


def test_a_benchmark_is_made_and_tested_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tempo"
    assert main(["data", "make", str(folder), "--benchmark", "tempo", "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "tempo, version 1, size tiny: One action" in said
    assert "16 train, 8 val, 8 test, 8 slower, 8 faster clips of 8 classes" in said
    assert "chance 12.5%; a method blind to the order of frames can expect 50.0% at most" in said
    assert "  faster        faster: more than twice the speeds of training" in said

    labels = read_parts(folder)["train"].labels
    spec = InputSpec(frames=4, resize=32, crop=32)
    model = create_model("tsm_resnet18", num_classes=8, width=8, input=spec, labels=labels)
    file = tmp_path / "model.safetensors"
    checkpoint.save(model, file)
    words = ["eval", str(file), str(folder), "--workers", "0", "--device", "cpu"]
    assert main([*words, "--split", "faster", "--frames", "8", "--out", str(tmp_path / "e")]) == 0
    assert "on 8 videos of faster, protocol 1x1, 8 frames" in capsys.readouterr().out
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    assert (card["data"]["split"], card["frames"]) == ("faster", 8)
    assert main([*words, "--split", "faster2"]) == 2
    told = capsys.readouterr().err
    assert "has no split 'faster2' (did you mean faster" in told
    assert "it has train, val, test, faster, slower" in told
    assert main([*words, "--frames", "0"]) == 2
    assert "frames=0" in capsys.readouterr().err
