"""The whole way in one call: data, two models, two tests, one prediction, two reports.

The models differ in one thing. TSN averages its frames; TSM shifts channels between them, which
costs no parameter and no multiplication. Where motion alone tells classes apart, that decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .. import checkpoint
from ..data import DataSplits, load_data
from ..data.motion import MotionSpec, make_motion, order_blind_ceiling
from ..engine.config import Augment, Optim, Phase, Recipe
from ..engine.held_out import held_out
from ..engine.recipes.motion import motion_tiny
from ..engine.report import write_report
from ..engine.runtime import cores
from ..engine.train import train
from ..inference.predictor import Predictor
from ..types import InputSpec, Prediction

MODELS = ("tsn_resnet18", "tsm_resnet18")
CLIPS_SEEN = 6_000  # on one's own data: training clips shown to each model, all epochs together


@dataclass(frozen=True, kw_only=True)
class Result:
    """One trained and tested model.

    top1 and the ends of its 95 % interval are shares of the tested videos; seconds are those of
    training.
    """

    model: str
    top1: float
    interval: tuple[float, float]
    parameters: int
    seconds: float
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo found.

    Attributes:
        results: in the order of `MODELS`.
        tested: videos behind each accuracy, and of which split.
        chance: accuracy of guessing.
        ceiling: what a method blind to the order of frames can expect; None: not known for
            this data.
        video: one of the tested videos.
        label: its true label.
        prediction: the last model's.
    """

    results: tuple[Result, ...]
    tested: tuple[int, str]
    chance: float
    ceiling: float | None
    video: Path
    label: str
    prediction: Prediction


def demo(out: Path, data: Path | None = None, *, say: Callable[[str], None]) -> Demo:
    """Runs it. What an earlier call has finished in `out` is not done again.

    Args:
        out: gets one run folder per model, and the generated videos.
        data: one's own clips, as `load_data` takes them; None: generated motion.
        say: told what comes next.

    Raises:
        ValueError: for data that cannot be trained on, and for an `out` with results on other data.
    """
    # One core decodes: threads that wait for one another on a busy core cost more than they bring.
    torch.set_num_threads(max(1, cores() - 1))
    if data is None:
        spec = MotionSpec()
        say(f"1/4  {len(spec.classes)} kinds of motion as video files, in {out / 'motion'}")
        splits = make_motion(spec, out / "motion")
        recipe, ceiling = motion_recipe(spec), order_blind_ceiling(spec.classes)
    else:
        say(f"1/4  reading {data}")
        splits = load_data(data)
        recipe, ceiling = clips_recipe(splits), None
    split, manifest = held_out(splits)
    results = []
    for number, model in enumerate(MODELS, start=2):
        say(f"{number}/4  training and testing {model}")
        named = replace(recipe, model=model, name=model)
        results.append(_train_once(named, splits, out / model, say))
    record = manifest.records[len(manifest.records) // 2]
    say(f"4/4  classifying {record.path}")
    prediction = Predictor(out / MODELS[-1] / "model.safetensors").predict(record.path)
    return Demo(
        results=tuple(results),
        tested=(len(manifest.records), split),
        chance=1 / manifest.num_classes,
        ceiling=ceiling,
        video=record.path,
        label=", ".join(manifest.labels[i] for i in record.labels),
        prediction=prediction,
    )


def motion_recipe(spec: MotionSpec) -> Recipe:
    """Small enough for two cores, long enough for TSM to see what moves where."""
    return replace(
        motion_tiny(),
        name="",
        input=InputSpec(frames=8, resize=spec.size, crop=spec.size),
        phases=(Phase(frames=8, epochs=8, batch=32, lr=0.05, warmup=0.5),),
        eval_every=2,
    )


def clips_recipe(splits: DataSplits) -> Recipe:
    """For a folder of real clips on a CPU: about `CLIPS_SEEN` clips whatever the folder's size."""
    count = len(splits.train.records)
    batch = max(2, min(32, count // 4))
    epochs = min(80, max(6, CLIPS_SEEN // count))
    return Recipe(
        model=MODELS[-1],
        model_args={"width": 32, "dropout": 0.5},
        dataset=splits.train.name,
        input=InputSpec(frames=8, resize=96, crop=80),
        phases=(Phase(frames=8, epochs=epochs, batch=batch, lr=0.05, lr_batch=32, warmup=1.0),),
        optim=Optim(nesterov=True, weight_decay=5e-4, clip=20.0),
        augment=Augment(crop="multiscale", flip=True),
        eval_every=max(1, epochs // 6),
    )


def _train_once(
    recipe: Recipe, splits: DataSplits, folder: Path, say: Callable[[str], None]
) -> Result:
    """Trains, goes on with a run that was stopped, or reads the result of a finished one."""
    card_file = folder / "card.json"
    if card_file.exists():
        card = json.loads(card_file.read_text(encoding="utf-8"))
        if card["data"]["fingerprint"]["train"] != splits.train.fingerprint():
            raise ValueError(
                f"{folder} holds a run on other data; choose another folder with --out"
            )
        say(f"     done before, in {folder}")
        if not (folder / "report.html").exists():
            write_report(folder)
    else:
        train(recipe, splits, folder, resume=(folder / "recipe.yaml").exists())
        card = json.loads(card_file.read_text(encoding="utf-8"))
    low, high = card["metrics"]["interval"]
    model = checkpoint.load(folder / "model.safetensors")
    return Result(
        model=recipe.model,
        top1=card["metrics"]["top1"],
        interval=(low, high),
        parameters=sum(p.numel() for p in model.parameters()),
        seconds=card["training"]["seconds"],
        folder=folder,
    )
