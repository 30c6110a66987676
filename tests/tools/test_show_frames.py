"""Accuracy against frames: what is tested, what it costs, what a model refuses."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import kinema
from kinema import cli
from kinema.data.datasets import load_data
from kinema.tools.show.page import titles
from kinema.tools.show.testing import Testing
from kinema.types import InputSpec


def test_every_length_is_tested_and_a_refusal_stops_nobody(
    files: dict[str, Path],
    videos: Path,
    tmp_path: Path,
    fed: list[tuple[str, InputSpec]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["show", "frames", str(files["tsn"]), str(files["tpn"]), "--data", str(videos)]
    words += ["--frames", "8,4", "--out", str(tmp_path), "--workers", "0", "--device", "cpu"]
    assert cli.main(words) == 0
    assert [(name, spec.frames, spec.sampling) for name, spec in fed] == [
        ("tsn_resnet18", 4, "segments"),
        ("tsn_resnet18", 8, "segments"),
        ("tpn_tsn_resnet50", 8, "segments"),
    ]
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["frames"]) for row in rows] == [
        ("tsn", "4"), ("tsn", "8"), ("tpn", "4"), ("tpn", "8"),
    ]  # fmt: skip
    assert [row["own"] for row in rows] == ["True", "False", "False", "True"]
    assert float(rows[1]["gmacs"]) == pytest.approx(2 * float(rows[0]["gmacs"]), rel=0.01)
    assert "too short for rates=[1, 6]" in rows[2]["why"]
    alone = kinema.evaluate(files["tpn"], str(videos), workers=0, device="cpu").metrics
    assert float(rows[3]["top1"]) == alone.top1
    assert (float(rows[3]["low"]), float(rows[3]["high"])) == alone.interval
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2
    assert "at least 6 frames" in page
    assert "#010101" not in page
    for name in ("frames.svg", "frames.png", "gmacs.svg", "gmacs.png"):
        assert (tmp_path / name).stat().st_size > 2000
    assert "not tested: a clip of 4 frames" in capsys.readouterr().out


def test_model_files_have_short_names() -> None:
    runs = [
        Path("runs/a/model.safetensors"),
        Path("runs/b/last.safetensors"),
        Path("c.safetensors"),
    ]
    assert titles(runs) == ["a", "b", "c"]
    same = [Path("x/a/model.safetensors"), Path("y/a/model.safetensors")]
    assert titles(same) == ["x/a", "y/a"]
    with pytest.raises(ValueError, match="given twice"):
        titles([same[0], same[0]])


@pytest.mark.parametrize("text", ["4,", "0", "four", "4;8"])
def test_frames_are_whole_numbers(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "frames", "m", "--data", "d", "--frames", text]) == 2
    assert f"--frames {text} must be whole numbers" in capsys.readouterr().err


def test_a_test_feeds_what_it_is_told_and_leaves_the_model_as_it_was(
    files: dict[str, Path], videos: Path
) -> None:
    model = kinema.load(files["tsn"])
    stated, test = model.spec, load_data(str(videos)).test
    dense = replace(stated.input, sampling="dense", stride=3)
    logits = Testing(workers=0).score(model, test, dense).logits
    assert model.spec is stated
    assert not torch.equal(logits, Testing(workers=0).score(model, test, stated.input).logits)
    model.spec = replace(stated, input=dense)
    assert torch.equal(logits, kinema.evaluate(model, test, workers=0).logits)
