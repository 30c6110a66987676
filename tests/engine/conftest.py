"""A handful of tiny videos, and a recipe that trains on them in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.data import DataSplits, Manifest
from kinema.engine.config import Augment, Optim, Phase, Recipe
from kinema.engine.optim import TSM_RULES
from kinema.types import InputSpec, Record

LABELS = ("dark", "grey", "light")
SIDE = 32


def write_video(path: Path, frames: np.ndarray) -> None:
    """(T, H, W, 3) uint8 as an mp4 of 10 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def splits(tmp_path_factory) -> DataSplits:
    """14 training, 5 validation and 4 test videos of three classes: brightness, with noise."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    parts = {}
    for name, count in (("train", 14), ("val", 5), ("test", 4)):
        records = []
        for i in range(count):
            level = (40, 120, 200)[i % 3]
            frames = rng.normal(level, 30, (9, SIDE, SIDE + 8, 3)).clip(0, 255).astype(np.uint8)
            path = root / name / f"{i}.mp4"
            write_video(path, frames)
            records.append(Record(f"{name}/{i}", path, i % 3))
        parts[name] = Manifest(f"tiny {name}", LABELS, tuple(records))
    return DataSplits(parts["train"], parts["val"], parts["test"])


def damage(manifest: Manifest, places: tuple[int, ...], folder: Path) -> Manifest:
    """The manifest with files that are no videos at some places."""
    records = list(manifest.records)
    for place in places:
        path = folder / f"{manifest.name} {place}.mp4"
        path.write_bytes(b"no video at all")
        records[place] = replace(records[place], path=path)
    return replace(manifest, records=tuple(records))


@pytest.fixture(scope="session")
def damaged(splits, tmp_path_factory) -> DataSplits:
    """The splits with two unreadable training videos, one for validation and no test."""
    folder = tmp_path_factory.mktemp("damaged")
    return DataSplits(damage(splits.train, (4, 9), folder), damage(splits.val, (1,), folder))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Three epochs of three steps; dropout, so that random states matter."""
    return Recipe(
        model="tsm_resnet18",
        model_args={"width": 8, "dropout": 0.5},
        input=InputSpec(frames=4, resize=SIDE, crop=SIDE),
        phases=(Phase(frames=4, epochs=3, batch=4, lr=0.02),),
        optim=Optim(weight_decay=1e-4, clip=20.0, rules=TSM_RULES),
        augment=Augment(crop="multiscale"),
        precision="fp32",
        workers=0,
    )
