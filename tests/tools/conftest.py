"""Model files and motion videos that are small enough to look at in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema import create_model, save
from kinema.data.motion import MotionSpec, make_motion
from kinema.tools.show.testing import Testing
from kinema.types import InputSpec

LABELS = ("left", "right")
SPEC = InputSpec(frames=4, resize=32, crop=32)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion videos of 16 frames of 32x32 pixels, two classes."""
    folder = tmp_path_factory.mktemp("motion")
    spec = MotionSpec(classes=LABELS, train=1, val=1, test=3, size=32, frames=16)
    make_motion(spec, folder, workers=0, shown=False)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained model files by name, a network narrow enough for a page."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for name, model, frames, options in (
        ("tsn", "tsn_resnet18", 4, {}),
        ("tdrl", "tdrl_resnet18", 4, {}),
        ("tein", "teinet_resnet18", 4, {}),
        ("tpn", "tpn_tsn_resnet50", 8, {"rates": [1, 6]}),
    ):
        torch.manual_seed(0)
        spec = replace(SPEC, frames=frames)
        made = create_model(model, labels=LABELS, input=spec, width=8, **options)
        found[name] = folder / f"{name}.safetensors"
        save(made, found[name])
    return found


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, InputSpec]]:
    """What each test of a model file was fed with, in order: model and input."""
    seen: list[tuple[str, InputSpec]] = []
    score = Testing.score

    def watch(self: Testing, model, manifest, spec: InputSpec):
        seen.append((model.spec.name, spec))
        return score(self, model, manifest, spec)

    monkeypatch.setattr(Testing, "score", watch)
    return seen
