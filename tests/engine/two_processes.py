"""Started twice by torchrun in test_distributed.py: trains, then tests, on a folder's files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from kinema.cli import main
from kinema.data import DataSplits, Manifest
from kinema.data.unread import TooManyUnreadError
from kinema.engine import train as train_module
from kinema.engine.config import load_recipe, override
from kinema.engine.evaluate import evaluate
from kinema.engine.temporal import temporal_sensitivity
from kinema.engine.train import Stopped, train


def stop_after(steps: int) -> None:
    """Asks the first process once to stop, when `steps` steps have been done."""
    original, count = train_module._step, [0]

    def step(*arguments: object) -> object:
        count[0] += 1
        if count[0] == steps and os.environ["RANK"] == "0":
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)  # type: ignore[arg-type]

    train_module._step = step  # type: ignore[assignment]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    parts = [Manifest.load(folder / f"{name}.jsonl") for name in ("train", "val", "test")]
    splits, recipe = DataSplits(*parts), load_recipe(folder / "recipe.yaml")
    in_an_epoch = override(recipe, ["phases=[{frames: 4, epochs: 1, batch: 4}]"])
    train(recipe, splits, folder / "two", device="cpu")
    evaluate(
        folder / "two/last.safetensors",
        parts[1],
        protocol="2x3",
        device="cpu",
        workers=0,
        out=folder / "two.parquet",
    )
    temporal_sensitivity(
        folder / "two/last.safetensors", parts[1], device="cpu", workers=0, out=folder / "orders"
    )
    words = [str(folder / "two/last.safetensors"), str(folder / "val.jsonl"), "--device", "cpu"]
    main(["eval", *words, "--workers", "0", "--json", "--out", str(folder / "eval")])
    damaged = DataSplits(*(Manifest.load(folder / f"damaged_{n}.jsonl") for n in ("train", "val")))
    bearing = override(recipe, ["on_error=skip"])
    train(bearing, damaged, folder / "two_skipped", device="cpu")
    try:
        train(override(bearing, ["max_skipped=1"]), damaged, folder / "two_capped", device="cpu")
    except TooManyUnreadError as error:
        (folder / f"capped{os.environ['RANK']}.txt").write_text(str(error))
    train(in_an_epoch, splits, folder / "whole", device="cpu")
    stop_after(2)
    try:
        train(in_an_epoch, splits, folder / "stopped", device="cpu")
    except Stopped:
        train(in_an_epoch, splits, folder / "stopped", resume=True, device="cpu")
    else:
        raise AssertionError("nothing stopped the run")
