"""The demo on sets small enough for a test: what it does, not how well the models do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema.cli import main
from kinema.data.motion import MotionSpec, make_motion
from kinema.engine.config import Phase, Recipe
from kinema.tools import demo as demo_module

SPEC = MotionSpec(
    classes=("left", "right", "grow"), train=4, val=2, test=2, size=32, frames=8, seed=5
)


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> None:
    """The models here are too small for more than one."""
    torch.set_num_threads(1)


def shorter(recipe: Recipe) -> Recipe:
    """Two steps of it."""
    phase = Phase(frames=4, steps=2, batch=6)
    return replace(recipe, phases=(phase,), model_args={"width": 8}, workers=0, eval_every=1)


def test_demo_on_generated_motion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = demo_module.motion_recipe(SPEC)
    monkeypatch.setattr(demo_module, "MotionSpec", lambda: SPEC)
    monkeypatch.setattr(demo_module, "motion_recipe", lambda spec: shorter(recipe))
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    table = [line.split() for line in out.splitlines() if line.startswith(("model", "ts"))]
    assert table[0][:2] == ["model", "top-1"]
    assert [row[0] for row in table[1:]] == ["tsn_resnet18", "tsm_resnet18"]
    assert all("33.3%" in row and "66.7%" in row for row in table[1:])
    assert table[1][7] == table[2][7]  # a shift has no parameters
    assert "no such method can expect more than 67%" in " ".join(out.split())
    assert "On 6 test videos:" in out
    for model in demo_module.MODELS:
        assert (tmp_path / "demo" / model / "report.html").exists()


def test_demo_on_own_clips_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_motion(replace(SPEC, train=6), tmp_path / "made", workers=0, shown=False)
    clips = tmp_path / "clips"  # <class>/*.mp4, as people have them
    for folder in (tmp_path / "made" / "train").iterdir():
        shutil.copytree(folder, clips / folder.name)
    made = demo_module.clips_recipe
    monkeypatch.setattr(demo_module, "clips_recipe", lambda splits: shorter(made(splits)))
    words = ["demo", str(clips), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "order-blind" not in first
    assert "averages frames" in first
    files = sorted((tmp_path / "out").rglob("*.safetensors"))
    assert len(files) == 4
    times = [file.stat().st_mtime_ns for file in files]

    assert main(words) == 0  # finished work is not done again
    second, told = capsys.readouterr()
    assert second == first
    assert told.count("done before") == 2
    assert [file.stat().st_mtime_ns for file in files] == times

    next((clips / "left").iterdir()).unlink()
    assert main(words) == 2
    assert "on other data; choose another folder with --out" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "batch"), [(3, 2), (40, 10), (500, 32), (100_000, 32)])
def test_recipe_for_own_clips_fits_the_folder(count: int, batch: int) -> None:
    class Part:
        name = "clips"
        records = (None,) * count

    class Splits:
        train = Part()

    recipe = demo_module.clips_recipe(Splits())  # type: ignore[arg-type]
    phase = recipe.phases[0]
    assert phase.batch == batch
    assert phase.batch <= count
    assert phase.epochs == {3: 80, 40: 80, 500: 12, 100_000: 6}[count]
