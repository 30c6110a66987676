"""Two processes compute what one computes with the doubled batch."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from kinema import checkpoint
from kinema.engine.config import override, save_recipe
from kinema.engine.evaluate import evaluate
from kinema.engine.session import micro_batch
from kinema.engine.temporal import score_files, temporal_sensitivity
from kinema.engine.train import train


@pytest.fixture(scope="module")
def exact(recipe):
    """One step of plain gradient descent at rate 1: the change of the weights is the gradient."""
    return override(
        recipe,
        [
            "model_args.dropout=0", "freeze_bn=all", "optim.momentum=0", "optim.weight_decay=0",
            "optim.clip=0", "optim.rules=[]", "phases.0.epochs=0", "phases.0.steps=1",
            "phases.0.batch=8", "phases.0.lr=1.0",
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(exact, splits, damaged, tmp_path_factory):
    """Holds the results of one process in `one` and of two in `two`."""
    folder = tmp_path_factory.mktemp("distributed")
    for name in ("train", "val", "test"):
        getattr(splits, name).save(folder / f"{name}.jsonl")
    damaged.train.save(folder / "damaged_train.jsonl")
    damaged.val.save(folder / "damaged_val.jsonl")
    save_recipe(exact, folder / "recipe.yaml")
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(folder)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "KINEMA_WAIT_MINUTES": "2",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "told.txt").write_text(done.stdout)
    train(exact, splits, folder / "one", device="cpu")
    train(override(exact, ["on_error=skip"]), damaged, folder / "one_skipped", device="cpu")
    last = folder / "two/last.safetensors"
    options = {"protocol": "2x3", "device": "cpu", "workers": 0}
    evaluate(last, splits.val, out=folder / "one.parquet", **options)
    return folder


def test_gradients_are_those_of_the_doubled_batch(folder, exact):
    one, two = (
        checkpoint.load(folder / n / "last.safetensors").state_dict() for n in ("one", "two")
    )
    assert any(not torch.equal(one[k], torch.zeros_like(one[k])) for k in one if "fc.bias" in k)
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-6, msg=key)


def test_metrics_are_exact_with_an_uneven_last_batch(folder, splits):
    assert len(splits.val) % 2 == 1
    found = []
    for name in ("one", "two"):
        with (folder / name / "metrics.csv").open() as file:
            (row,) = csv.DictReader(file)
        found.append(row)
    one, two = found
    for key in ("train_top1", "val_top1", "val_top5", "val_mean_class"):
        assert one[key] == two[key]
    for key in ("train_loss", "val_loss"):
        assert float(two[key]) == pytest.approx(float(one[key]), rel=1e-4)


def test_scores_hold_every_view_once_in_order(folder, splits):
    one, two = (pq.read_table(folder / f"{name}.parquet") for name in ("one", "two"))
    assert two.schema.metadata == one.schema.metadata
    assert two.drop(["logits"]) == one.drop(["logits"])
    assert two.column("id").to_pylist() == [r.id for r in splits.val.records for _ in range(6)]
    a, b = (torch.tensor(t.column("logits").to_pylist()) for t in (one, two))
    torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def test_every_order_of_frames_is_exact(folder, splits):
    last = folder / "two/last.safetensors"
    one = temporal_sensitivity(last, splits.val, device="cpu", workers=0)
    for order, path in score_files(folder / "orders").items():
        two = pq.read_table(path)
        assert two.column("id").to_pylist() == [r.id for r in splits.val.records]
        logits = torch.tensor(two.column("logits").to_pylist())
        torch.testing.assert_close(logits, one[order].logits[:, 0], rtol=1e-4, atol=1e-5)


def test_unreadable_videos_are_skipped_alike(folder, damaged):
    """Both ranks keep their steps; the substitutes, the counts and the figures are those of one."""
    cards, weights = [], []
    for name in ("one_skipped", "two_skipped"):
        cards.append(json.loads((folder / name / "card.json").read_text()))
        weights.append(checkpoint.load(folder / name / "last.safetensors").state_dict())
    one, two = cards
    assert one["unread"] == two["unread"]
    bad = {split: [r.id for r in getattr(damaged, split).records] for split in ("train", "val")}
    assert set(one["unread"]["train"]) <= {bad["train"][4], bad["train"][9]}
    assert len(one["unread"]["train"]) == 2, "the step must meet both"
    assert set(one["unread"]["val"]) == {bad["val"][1]}
    for key in weights[0]:
        torch.testing.assert_close(weights[1][key], weights[0][key], rtol=1e-4, atol=1e-6, msg=key)
    assert (one["metrics"]["clips"], one["metrics"]["unread"]) == (5, 1)
    for key in ("top1", "top5", "mean_class", "clips", "unread"):
        assert one["metrics"][key] == two["metrics"][key]
    ids = pq.read_table(folder / "two_skipped" / "scores.parquet").column("id").to_pylist()
    assert ids == [i for i in bad["val"] if i != bad["val"][1]]


def test_every_process_ends_at_the_cap(folder):
    capped = [(folder / f"capped{rank}.txt").read_text() for rank in (0, 1)]
    assert capped[0] == capped[1]
    assert capped[0].startswith("train: at least 2 of 14 videos cannot be read, max_skipped=1 ")


def test_the_command_speaks_once(folder, splits):
    (line,) = (folder / "told.txt").read_text().splitlines()
    told = json.loads(line)
    assert (told["split"], told["metrics"]["clips"]) == ("all", len(splits.val))
    assert (folder / "eval" / "report.html").exists()


def test_going_on_within_an_epoch_changes_no_figure(folder):
    found = []
    for name in ("whole", "stopped"):
        with (folder / name / "metrics.csv").open() as file:
            (row,) = csv.DictReader(file)
        found.append({k: v for k, v in row.items() if k not in ("clips_per_s", "data_share")})
    assert found[0] == found[1]


def test_the_log_is_written_once(folder):
    lines = [json.loads(line) for line in (folder / "two/log.jsonl").read_text().splitlines()]
    said = [line["text"] for line in lines if line["event"] == "say"]
    assert len(said) == len(set(said))
    assert any("2 processes" in text for text in said)


def test_a_batch_must_divide(exact):
    assert micro_batch(exact.phases[0], exact, 2) == 4
    with pytest.raises(ValueError, match=r"batch=8 must be a multiple of 3 \(3 processes x acc.*6"):
        micro_batch(exact.phases[0], exact, 3)
