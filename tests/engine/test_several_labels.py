"""Videos with several labels, from training to the figures."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from kinema import checkpoint
from kinema.cli import main
from kinema.data import DataSplits
from kinema.engine.config import Augment
from kinema.engine.temporal import temporal_sensitivity
from kinema.engine.train import train
from kinema.losses import BinaryCrossEntropyConfig, CrossEntropyConfig
from kinema.models import create_model


@pytest.fixture
def several(splits) -> DataSplits:
    """Every third video of a split also has the next label."""

    def more(part):
        return replace(
            part,
            records=tuple(
                replace(r, labels=(r.label, (r.label + 1) % 3)) if i % 3 == 0 else r
                for i, r in enumerate(part.records)
            ),
        )

    return DataSplits(more(splits.train), more(splits.val), more(splits.test))


@pytest.mark.parametrize(
    ("term", "activation", "augment"),
    [
        (CrossEntropyConfig(smoothing=0.1), "softmax", Augment(crop="center", mixup=0.5)),
        (BinaryCrossEntropyConfig(weight=3.0), "sigmoid", Augment(crop="center", cutmix=0.5)),
    ],
)
def test_train_and_eval(several, recipe, tmp_path, capsys, term, activation, augment):
    phases = (replace(recipe.phases[0], epochs=1),)
    recipe = replace(recipe, phases=phases, loss=(term,), augment=augment, balance=True)
    model = train(recipe, several, tmp_path / "run", device="cpu")
    assert model.spec.activation == activation
    assert checkpoint.load(tmp_path / "run" / "model.safetensors").spec.activation == activation
    with (tmp_path / "run" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["train_top1"]) <= 1
    assert 0 < float(row["val_mean_ap"]) <= 1
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("Mean average precision") == 2, "a tile and a curve"
    assert "mAP" in capsys.readouterr().err + (tmp_path / "run" / "log.jsonl").read_text()
    several.val.save(tmp_path / "val.jsonl")
    arguments = ["eval", str(tmp_path / "run" / "model.safetensors"), str(tmp_path / "val.jsonl")]
    assert main([*arguments, "--workers", "0", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "hit@1" in shown
    assert "mean AP" in shown
    assert main([*arguments, "--workers", "0", "--device", "cpu", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["top1"] == pytest.approx(float(row["val_top1"]))
    assert metrics["mean_ap"] == pytest.approx(float(row["val_mean_ap"]))


def test_losses_that_contradict_each_other_are_refused(recipe):
    with pytest.raises(ValueError, match="makes the labels compete and binary_cross_entropy does"):
        replace(recipe, loss=(CrossEntropyConfig(), BinaryCrossEntropyConfig()))


def test_no_question_about_time_where_classes_overlap(several, recipe):
    model = create_model(recipe.model, labels=several.val.labels, width=8, input=recipe.input)
    with pytest.raises(ValueError, match="tiny val: what a class is recognised by shows in videos"):
        temporal_sensitivity(model, several.val)
