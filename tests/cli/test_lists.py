"""Commands that only look: models, recipes, doctor."""

from __future__ import annotations

import json
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from kinema import create_model, list_models
from kinema.cli import main
from kinema.engine.config import list_recipes, load_recipe, recipes
from kinema.tools import doctor


def test_models_lists_every_name_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "parameters"]
    assert [line.split()[0] for line in lines] == list_models()


def test_models_counts_for_the_classes_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "tsm_resnet50", "--macs"]) == 0
    words = capsys.readouterr().out.splitlines()[1].split()
    assert words[:2] == ["tsm_resnet50", "24,327,632"]
    assert main(["models", "tsn_resnet18", "--classes", "7"]) == 0
    count = sum(p.numel() for p in create_model("tsn_resnet18", num_classes=7).parameters())
    assert f"{count:,}" in capsys.readouterr().out


def test_recipes_lists_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list_recipes()


def test_one_recipe_is_printed_as_the_file_train_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["recipes", "clips"]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["model"] == "tsm_resnet18"
    (tmp_path / "mine.yaml").write_text(text)
    assert load_recipe(tmp_path / "mine.yaml") == recipes["clips"]()


def test_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    findings = {f["name"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["PyAV, H.264 mp4"]["value"].startswith("works")
    assert findings["frame folder"]["value"].startswith("works")
    assert findings["python"]["ok"]
    assert status == (0 if all(f["ok"] for f in findings.values()) else 1)


def test_doctor_gives_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path, decoder: str = "pyav") -> str:
        raise OSError("libavcodec is missing")

    monkeypatch.setattr(doctor, "_read_back", broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "NO  PyAV, H.264 mp4  OSError: libavcodec is missing" in out
    assert re.search(r"[23] of \d+ need attention", out)


def test_doctor_notices_wrong_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = doctor._levels()
    monkeypatch.setattr(doctor, "_levels", lambda: levels[::-1] if _asked() else levels)
    asked: list[int] = []

    def _asked() -> bool:
        asked.append(1)
        return len(asked) % 2 == 0  # written in one order, looked for in the other

    found = {f.name: f for f in doctor.examine() if f.group == "decoders"}
    assert not found["PyAV, H.264 mp4"].ok
    assert "read 12 of" in found["PyAV, H.264 mp4"].value


def test_doctor_says_why_torchcodec_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        """Stands for a build made for another torch."""

        def find_spec(self, name: str, *_: object) -> None:
            if name == "torchcodec.decoders":
                raise OSError("libavutil.so.60: cannot open shared object file")

    package = ModuleType("torchcodec")
    package.__path__ = []
    package.__spec__ = ModuleSpec("torchcodec", None, is_package=True)
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.delitem(sys.modules, "torchcodec.decoders", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    (found,) = [f for f in doctor.examine() if f.name == "torchcodec"]
    assert not found.ok
    assert "OSError: libavutil.so.60: cannot open shared object file" in found.value
    assert "kinema[fast]" in found.value
