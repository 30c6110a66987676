"""Started twice by torchrun in test_distributed.py: trains, then tests, on a folder's files."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from kinema.data import DataSplits, Manifest
from kinema.engine.config import load_recipe
from kinema.engine.evaluate import evaluate
from kinema.engine.train import train

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    parts = [Manifest.load(folder / f"{name}.jsonl") for name in ("train", "val", "test")]
    train(load_recipe(folder / "recipe.yaml"), DataSplits(*parts), folder / "two", device="cpu")
    evaluate(
        folder / "two/last.safetensors",
        parts[1],
        protocol="2x3",
        device="cpu",
        workers=0,
        out=folder / "two.parquet",
    )
