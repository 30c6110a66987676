"""Code in the documentation runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema import cli, create_model, save
from kinema.data import motion_benchmark
from kinema.data.datasets import datasets as registry
from kinema.data.motion import MotionSpec
from kinema.data.motion_render import write_clip
from kinema.engine import recipes as registered  # noqa: F401
from kinema.engine.config import find_recipe, override
from kinema.models.base import models
from kinema.types import InputSpec


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_the_temporal_module_of_the_guide_is_a_complete_family(repository: Path) -> None:
    file, step = blocks(repository / "docs" / "add-a-temporal-module.md")
    names = {"__name__": "kinema.models.tempo", "__package__": "kinema.models"}
    try:
        exec(compile(file, "tempo.py", "exec"), names)  # our own page
        model = create_model("tempo_resnet18", num_classes=3, width=8).eval()
    finally:
        for name in models.names("tempo_*"):
            del models._entries[name]
    assert model(torch.randn(2, 3, 4, 64, 64)).shape == (2, 3)
    streaming = "from kinema.layers.streaming import State\n" + re.sub("(?m)^    ", "", step)
    exec(compile(streaming, "step.py", "exec"), names)
    blend, clip, state, frames = names["Blend"](4), torch.randn(1, 4, 5, 2, 2), None, []  # type: ignore[operator]
    for t in range(5):
        y, state = names["step"](blend, clip[:, :, t : t + 1], state)  # type: ignore[operator]
        frames.append(y)
    assert torch.allclose(torch.cat(frames, dim=2), blend(clip))


def test_the_readme_classifies_a_video(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    first, python, stream, _ = blocks(repository / "README.md")
    monkeypatch.chdir(tmp_path)
    spec = InputSpec(frames=4, resize=40, crop=32)
    small = create_model("tsm_resnet18", labels=["push", "pull"], input=spec, width=8)
    save(small, "runs/demo/tsm_resnet18/model.safetensors")
    clip = MotionSpec(train=1, val=1, test=1, frames=8).clip("train", "left", 0)
    write_clip(clip, Path("clip.mp4"))
    exec(first, {})  # our own page
    assert "%  push" in capsys.readouterr().out
    scope = {"clip": torch.randn(1, 3, 8, 64, 64)}
    exec(python, scope)
    exec(stream, scope | {"frames": np.zeros((5, 64, 64, 3), np.uint8)})
    assert "total" in capsys.readouterr().out
    assert Path("model.safetensors").exists()


def test_the_page_on_protocols_asks_a_model_for_time(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (python,) = blocks(repository / "docs" / "protocols.md")
    monkeypatch.chdir(tmp_path)
    motion = MotionSpec(train=1, val=1, test=1, frames=8)
    for label in ("left", "right"):
        folder = Path("clips", label)
        folder.mkdir(parents=True)
        for index in range(2):
            write_clip(motion.clip("train", label, index), folder / f"{index}.mp4")
    spec = InputSpec(frames=4, resize=40, crop=32)
    small = create_model("tsm_resnet18", labels=["left", "right"], input=spec, width=8)
    save(small, "model.safetensors")
    exec(python, {})  # our own page
    told = capsys.readouterr().out
    assert "reversed: " in told
    assert "recognised by too few videos" in told


def test_the_page_on_two_streams_fuses_pictures_and_differences(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    page = repository / "docs" / "two-stream.md"
    commands = re.findall(r"(?m)^kinema (.*)$", page.read_text())
    assert [cli.parse(command.split()).verb.name for command in commands].count("fuse") == 2
    (python,) = blocks(page)
    monkeypatch.chdir(tmp_path)
    motion = MotionSpec(train=1, val=1, test=1, frames=8)
    for split in ("val", "test"):
        for label in ("left", "right"):
            folder = Path("clips", split, label)
            folder.mkdir(parents=True)
            write_clip(motion.clip(split, label, 0), folder / "0.mp4")
    for modality, stack in (("rgb", 1), ("rgb_diff", 2)):
        spec = InputSpec(modality=modality, stack=stack, frames=2, resize=40, crop=32)
        small = create_model("tsn_resnet18", labels=["left", "right"], input=spec, width=8)
        save(small, f"{modality}.safetensors")
    exec(python, {})  # our own page
    told = capsys.readouterr().out
    assert "rgb_diff/test: " in told
    assert "(2 videos)" in told


def test_the_data_set_of_the_guide_is_complete(repository: Path, tmp_path: Path) -> None:
    (page,) = blocks(repository / "docs" / "add-a-dataset.md")
    (tmp_path / "classes.txt").write_text("twist\npike\n")
    (tmp_path / "train.txt").write_text("a b.mp4 pike\nc.mp4 twist\n")
    scope = {"__name__": "kinema.data.datasets.diving", "__package__": "kinema.data.datasets"}
    try:
        exec(page, scope)  # our own page
        manifest = registry["diving"](tmp_path, "train")
        with pytest.raises(LookupError, match="has no split 'val'"):
            registry["diving"](tmp_path, "val")
    finally:
        del registry._entries["diving"]
    assert [record.label for record in manifest.records] == [1, 0]
    assert manifest.records[0].path == tmp_path / "videos" / "a b.mp4"


def test_the_page_of_the_motion_benchmark_is_true(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    page = repository / "docs" / "motion-benchmark.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    told = {row[1].strip(): row for row in rows}
    for definition in motion_benchmark.BENCHMARKS.values():
        tests = told[f"`{definition.name}` {definition.version}"][5]
        assert [name for name in definition.conditions if f"`{name}`" not in tests] == []
    for name, size in motion_benchmark.SIZES.items():
        row = [cell.strip() for cell in told[f"`{name}`"]]
        clips = f"{size.train}, {size.val}, {size.test}"
        assert row[2:5] == [str(size.pixels), clips, f"`{size.recipe}`"]
    mini = motion_benchmark.Size(pixels=32, train=1, val=1, test=1, recipe="motion_tiny")
    monkeypatch.setattr(motion_benchmark, "SIZES", {"tiny": mini})
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(page)
    exec(code, {})  # our own page
    assert "4: test, 4 frames, at most 50%" in capsys.readouterr().out


def test_the_commands_of_the_page_on_optical_flow_are_commands(repository: Path) -> None:
    page = (repository / "docs" / "optical-flow.md").read_text()
    commands = [
        shlex.split(line, comments=True)[1:] for line in re.findall(r"(?m)^kinema .*$", page)
    ]
    found = [cli.parse([word for word in words if word != "..."]).verb.name for words in commands]
    assert found == ["data flow", "train", "predict", "train"]
    named = {option for words in commands for option in words if "=" in option}
    for words in (["input.modality=flow", "input.stack=5"], ["input.modality=rgb_diff"]):
        assert set(words) <= named
        assert override(find_recipe("clips"), words).input.modality in words[0]


def test_the_commands_of_the_page_on_looking_inside_are_all_there_are(repository: Path) -> None:
    page = (repository / "docs" / "looking-inside.md").read_text()
    commands = re.findall(r"(?m)^kinema (show .*)$", page)
    shown = {cli.parse(command.split()).verb.name for command in commands}
    assert shown == {verb.name for verb in cli.VERBS if verb.name.startswith("show ")}
