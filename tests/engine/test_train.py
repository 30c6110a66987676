"""Training runs: what they write, how they go on after a stop, and what they refuse."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import sys
import time
import types
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch

from kinema import checkpoint
from kinema.data import DataSplits, Manifest
from kinema.engine import train as train_module
from kinema.engine.config import load_recipe, override
from kinema.engine.evaluate import evaluate
from kinema.engine.train import NonFiniteError, Stopped, train


class Killed(BaseException):
    """Stands for the end of the process."""


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def events(folder, name):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def same_weights(a, b) -> bool:
    a, b = checkpoint.load(a).state_dict(), checkpoint.load(b).state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


def after(monkeypatch, steps, action):
    """Calls `action` before a step, when `steps` have been done."""
    original, count = train_module._step, [0]

    def step(*arguments):
        if count[0] == steps:
            action()
        count[0] += 1
        return original(*arguments)

    monkeypatch.setattr(train_module, "_step", step)


def kill():
    raise Killed


def test_a_run_leaves_everything_behind(recipe, splits, tmp_path):
    out = tmp_path / "run"
    model = train(recipe, splits, out, device="cpu")
    assert sorted(p.name for p in out.iterdir()) == [
        "card.json", "last.safetensors", "log.jsonl", "metrics.csv", "model.safetensors",
        "recipe.yaml", "report.html", "resume.pt", "scores.parquet",
    ]  # fmt: skip
    assert load_recipe(out / "recipe.yaml") == recipe
    assert not model.training
    assert model.spec.labels == ("dark", "grey", "light")
    assert (model.spec.input, model.spec.protocol) == (recipe.input, recipe.eval)

    table = rows(out)
    assert [(r["phase"], r["epoch"], r["step"]) for r in table] == [
        ("1", "1", "3"), ("1", "2", "6"), ("1", "3", "9"),
    ]  # fmt: skip
    assert all(0 <= float(r["val_top1"]) <= 1 and float(r["clips_per_s"]) > 0 for r in table)
    best = max(table, key=lambda r: (float(r["val_top1"]), -float(r["val_loss"])))
    again = evaluate(model, splits.val, device="cpu")
    assert again.metrics.top1 == pytest.approx(float(best["val_top1"]))
    assert again.metrics.loss == pytest.approx(float(best["val_loss"]), rel=1e-4)

    card = json.loads((out / "card.json").read_text())
    assert card["data"]["videos"] == {"train": 14, "val": 5, "test": 4}
    assert card["data"]["fingerprint"]["train"] == splits.train.fingerprint()
    assert (card["metrics"]["split"], card["protocol"], card["seed"]) == ("test", "1x1", 0)
    assert card["decoder"].startswith("pyav")
    header = checkpoint.read_header(out / "model.safetensors")["provenance"]
    assert header["metrics"] == card["metrics"]
    assert header["fingerprint"] == card["data"]["fingerprint"]
    scores = pq.read_table(out / "scores.parquet")
    assert scores.column("id").to_pylist() == [r.id for r in splits.test.records]

    said = "\n".join(line["text"] for line in events(out, "say"))
    for expected in (
        "data: 14 train, 5 val, 4 test videos, 3 classes",
        "model: tsm_resnet18, 176,907 parameters",
        "start: scratch, every weight is new",
        "lr 0.02 for 4 clips",
        "precision: fp32 (asked for) on cpu, one process",
        "phase 1/1: 9 steps of 4 clips, 4 frames of 32x32; 3 epochs of 3 steps",
        "hint: 1 classes have fewer than 5 training clips: light",
        "epoch 3: train loss",
        "test 1x1: top-1",
    ):
        assert expected in said


def test_the_same_seed_gives_the_same_run(recipe, splits, tmp_path):
    for name in "ab":
        train(recipe, splits, tmp_path / name, device="cpu")
    train(replace(recipe, seed=1), splits, tmp_path / "c", device="cpu")
    assert same_weights(tmp_path / "a/last.safetensors", tmp_path / "b/last.safetensors")
    assert not same_weights(tmp_path / "a/last.safetensors", tmp_path / "c/last.safetensors")


@pytest.fixture(scope="module")
def two_phases(recipe):
    """4 frames, then 6: 2 epochs of 3 steps and 5 steps, with a moving average."""
    first, second = (
        replace(recipe.phases[0], epochs=2),
        replace(recipe.phases[0], frames=6, epochs=0, steps=5, lr=0.01),
    )
    return replace(
        recipe,
        phases=(first, second),
        optim=replace(recipe.optim, ema=0.9, nesterov=True),
        augment=replace(recipe.augment, mixup=0.5),
    )


@pytest.fixture(scope="module")
def whole(two_phases, splits, tmp_path_factory):
    """The same run without a stop."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(two_phases, splits, out, device="cpu")
    return out


def strip_times(table):
    return [
        {k: v for k, v in row.items() if k not in ("clips_per_s", "data_share")} for row in table
    ]


@pytest.mark.parametrize("done", [2, 3, 6, 8, 10])
def test_stop_and_resume_changes_no_bit(two_phases, splits, tmp_path, whole, monkeypatch, done):
    """In an epoch (2, 8, 10), at its border (3), at the border of the phases (6)."""
    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        after(patch, done - 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped, match=rf"stopped after {done} steps.*--resume"):
            train(two_phases, splits, out, device="cpu")
    torch.manual_seed(12345)
    train(two_phases, splits, out, resume=True, device="cpu")
    assert same_weights(whole / "last.safetensors", out / "last.safetensors")
    assert same_weights(whole / "model.safetensors", out / "model.safetensors")
    assert strip_times(rows(whole)) == strip_times(rows(out))
    assert [e["step"] for e in events(out, "stop")] == [done]


def test_stop_during_the_last_validation(recipe, splits, tmp_path, monkeypatch):
    short, out = override(recipe, ["phases.0.epochs=1"]), tmp_path / "a"
    original = train_module._validate

    def validate(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_validate", validate)
        with pytest.raises(Stopped, match="stopped after 3 steps"):
            train(short, splits, out, device="cpu")
    assert not (out / "card.json").exists()
    train(short, splits, out, resume=True, device="cpu")
    assert json.loads((out / "card.json").read_text())["training"]["steps"] == 3


@pytest.mark.parametrize(("done", "kept"), [(5, 4), (7, 6)])
def test_a_killed_run_loses_the_steps_since_the_last_save(
    two_phases, splits, tmp_path, whole, monkeypatch, done, kept
):
    recipe, out = replace(two_phases, save_every=2), tmp_path / "killed"
    with monkeypatch.context() as patch:
        after(patch, done, kill)
        with pytest.raises(Killed):
            train(recipe, splits, out, device="cpu")
    with (out / "log.jsonl").open("a") as file:
        file.write('{"event": "half')
    assert torch.load(out / "resume.pt", weights_only=True)["place"]["total"] == kept
    train(recipe, splits, out, resume=True, device="cpu")
    assert same_weights(whole / "last.safetensors", out / "last.safetensors")
    assert not list(out.glob(".*"))


def test_a_run_killed_before_its_first_save_starts_over(recipe, splits, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        after(patch, 1, kill)
        with pytest.raises(Killed):
            train(recipe, splits, tmp_path / "a", device="cpu")
    train(recipe, splits, tmp_path / "a", resume=True, device="cpu")
    train(recipe, splits, tmp_path / "b", device="cpu")
    assert same_weights(tmp_path / "a/last.safetensors", tmp_path / "b/last.safetensors")


def test_resuming_a_finished_run_tests_again(recipe, splits, tmp_path):
    short = override(recipe, ["phases.0.epochs=1"])
    train(short, splits, tmp_path / "a", device="cpu")
    before = (tmp_path / "a/scores.parquet").read_bytes()
    train(short, splits, tmp_path / "a", resume=True, device="cpu")
    assert (tmp_path / "a/scores.parquet").read_bytes() == before
    assert len(rows(tmp_path / "a")) == 1


def test_a_run_begun_before_a_field_was_there_goes_on(recipe, splits, tmp_path):
    short = override(recipe, ["phases.0.epochs=1"])
    train(short, splits, tmp_path / "a", device="cpu")
    state = torch.load(tmp_path / "a/resume.pt", weights_only=True)
    del state["recipe"]["decoder"]
    torch.save(state, tmp_path / "a/resume.pt")
    train(short, splits, tmp_path / "a", resume=True, device="cpu")


def test_a_folder_holds_one_run(recipe, splits, tmp_path):
    short = override(recipe, ["phases.0.epochs=1"])
    with pytest.raises(FileNotFoundError, match="holds no run to resume"):
        train(short, splits, tmp_path / "a", resume=True, device="cpu")
    train(short, splits, tmp_path / "a", device="cpu")
    with pytest.raises(FileExistsError, match="already holds a run; go on with resume"):
        train(short, splits, tmp_path / "a", device="cpu")
    changed = override(short, ["phases.0.lr=0.5", "workers=1", "model_args.dropout=0.1"])
    expected = r"model_args.dropout was 0.5, is 0.1; phases.0.lr was 0.02, is 0.5$"
    with pytest.raises(ValueError, match=expected):
        train(changed, splits, tmp_path / "a", resume=True, device="cpu")
    fewer = replace(splits.train, records=splits.train.records[:-1])
    with pytest.raises(ValueError, match=r"other data: data.train was '\w+', is '\w+'$"):
        train(short, replace(splits, train=fewer), tmp_path / "a", resume=True, device="cpu")


def test_non_finite_loss_stops_with_the_clips_named(recipe, splits, tmp_path):
    wild = override(recipe, ["phases.0.lr=1e30", "optim.clip=0"])
    where = r"at phase 1, epoch 1, step \d, lr \S+e\+29"
    expected = rf"loss nan, gradient norm nan {where}; lower the rate.*clips: .*\.mp4"
    with pytest.raises(NonFiniteError, match=expected):
        train(wild, splits, tmp_path / "a", device="cpu")
    assert not (tmp_path / "a/model.safetensors").exists()


def test_an_infinite_gradient_never_reaches_the_weights(recipe, splits, tmp_path, monkeypatch):
    original, seen = train_module.clip_gradients, []

    def clip(module, limit):
        next(module.parameters()).grad.fill_(math.inf)
        seen.append(module)
        return original(module, limit)

    monkeypatch.setattr(train_module, "clip_gradients", clip)
    with pytest.raises(NonFiniteError, match=r"gradient norm inf at phase 1, epoch 1, step 1"):
        train(override(recipe, ["optim.clip=0"]), splits, tmp_path / "a", device="cpu")
    assert all(p.isfinite().all() for p in seen[0].parameters())


def test_logits_of_a_validation_that_are_no_numbers(recipe, splits, tmp_path, monkeypatch):
    original = train_module._validate

    def validate(session, loader):
        with torch.no_grad():
            session.model.head.fc.bias.fill_(math.inf)
        original(session, loader)

    monkeypatch.setattr(train_module, "_validate", validate)
    expected = r"validate: the logits of 5 videos are not finite.*after step 3, lr 0.0\d+; lower"
    with pytest.raises(NonFiniteError, match=expected):
        train(recipe, splits, tmp_path / "a", device="cpu")


def test_a_compiled_run(recipe, splits, tmp_path, monkeypatch):
    compiled, original = [], torch.compile

    def compile_eagerly(module):
        compiled.append(module)
        return original(module, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    short = override(recipe, ["phases.0={frames: 4, steps: 2, batch: 4}", "model_args.dropout=0"])
    train(short, splits, tmp_path / "a", device="cpu")
    train(override(short, ["compile=true"]), splits, tmp_path / "b", device="cpu")
    assert len(compiled) == 1
    a, b = (checkpoint.load(tmp_path / n / "last.safetensors").state_dict() for n in "ab")
    for key in a:
        torch.testing.assert_close(b[key], a[key], rtol=1e-3, atol=1e-4)


def test_the_division_does_not_follow_the_seed(recipe, splits, tmp_path, monkeypatch):
    splits.train.save(tmp_path / "all.jsonl")
    found = []

    def check(parts):
        found.append([r.id for r in parts.val.records])
        raise Killed

    monkeypatch.setattr(train_module, "check_data", check)
    for seed in (0, 7):
        with pytest.raises(Killed):
            train(replace(recipe, seed=seed), tmp_path / "all.jsonl", tmp_path / "a")
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["phases.0.batch=6", "optim.accumulate=4"], r"batch=6 must be a multiple of 4 \(1 proc"),
        (
            ["phases.0.batch=20"],
            r"batch=20 must not exceed the 14 training clips; lower it: phases",
        ),
        (["sync_bn=true"], "sync_bn=true needs GPUs"),
        (["freeze=[layer7]"], "no part 'layer7'"),
        (["model=tsm_resnet19"], "no model is named 'tsm_resnet19'"),
        (["init=nothing.pth"], "init='nothing.pth' must be"),
        (["eval={views: 1, crop: center, size: 64}"], "crop side 64 must not exceed"),
        (["freeze=[backbone]", "freeze_bn=all", "eval=1x10"], "a mirror changes 'dark'"),
    ],
)
def test_settings_that_cannot_work_leave_the_folder_free(
    recipe, splits, tmp_path, changes, message
):
    sided = replace(splits.test, flip_map={0: 1, 1: 0})
    with pytest.raises((ValueError, KeyError, FileNotFoundError), match=message):
        train(override(recipe, changes), replace(splits, test=sided), tmp_path / "a", device="cpu")
    assert not list(tmp_path.glob("a/*"))


def test_data_that_cannot_be_learnt(recipe, splits, tmp_path):
    same = tuple(r for r in splits.train.records if r.label == 1)
    with pytest.raises(ValueError, match=r"at least two classes, but all records are 'grey'"):
        train(recipe, replace(splits, train=replace(splits.train, records=same)), tmp_path / "a")
    other = Manifest("other", ("x", "y", "z"), splits.val.records)
    with pytest.raises(ValueError, match="labels of val must be those of train"):
        train(recipe, replace(splits, val=other), tmp_path / "a")


def test_accumulation_is_the_big_batch(recipe, splits, tmp_path):
    """Without batch norm's view of the pieces and without dropout, up to rounding."""
    base = override(
        recipe, ["model_args.dropout=0.0", "freeze_bn=all", "phases.0.epochs=2", "optim.rules=[]"]
    )
    train(base, splits, tmp_path / "a", device="cpu")
    train(override(base, ["optim.accumulate=4"]), splits, tmp_path / "b", device="cpu")
    a, b = (checkpoint.load(tmp_path / n / "last.safetensors").state_dict() for n in "ab")
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5)
    assert [r["step"] for r in rows(tmp_path / "a")] == [r["step"] for r in rows(tmp_path / "b")]


def test_every_option_together(recipe, splits, tmp_path):
    """Smoothing, balancing, mixing, partial BN, freezing, recomputing, AdamW, rare validation."""
    busy = override(
        recipe,
        [
            "loss.0.smoothing=0.1", "balance=true", "augment.mixup=0.4", "augment.cutmix=1.0",
            "freeze_bn=all_but_first", "freeze=[stem]", "recompute=true", "optim.name=adamw",
            "phases.0.lr=1e-3", "eval_every=2", "eval=2x3", "test_frames=6", "precision=bf16",
            "workers=1",
        ],
    )  # fmt: skip
    model = train(busy, splits, tmp_path / "a", device="cpu")
    assert [r["epoch"] for r in rows(tmp_path / "a")] == ["2", "3"]
    assert model.spec.input.frames == 6
    table = pq.read_table(tmp_path / "a/scores.parquet")
    assert len(table) == 4 * 6
    header = checkpoint.read_header(tmp_path / "a/model.safetensors")
    assert header["spec"]["protocol"]["views"] == 2


def test_training_starts_from_a_model_file(recipe, splits, tmp_path):
    short = override(recipe, ["phases.0.epochs=1"])
    train(short, splits, tmp_path / "a", device="cpu")
    start = str(tmp_path / "a/last.safetensors")
    tuned = override(short, [f"init={start}", "old_lr=0", "freeze_bn=all"])
    train(tuned, splits, tmp_path / "b", device="cpu")
    assert same_weights(tmp_path / "a/last.safetensors", tmp_path / "b/last.safetensors")
    said = [line["text"] for line in events(tmp_path / "b", "say")]
    assert any("kept 176,907 weights" in line and "classifier: kept" in line for line in said)


def test_the_log_says_how_the_rate_was_scaled_and_what_to_mind(recipe, splits, tmp_path):
    scaled = override(recipe, ["phases.0.lr_batch=16", "phases.0.epochs=1"])
    skewed = [r for r in splits.train.records if r.label == 0] + list(splits.train.records[1:2])
    train_part = replace(splits.train, records=tuple(skewed))
    data = DataSplits(train_part, splits.val, note="left out: 2 of 7 train videos")
    train(scaled, data, tmp_path / "b", device="cpu")
    said = "\n".join(line["text"] for line in events(tmp_path / "b", "say"))
    for expected in (
        "lr 0.02 for 16 clips -> 0.005 for 4",
        "left out: 2 of 7 train videos",
        "hint: no test split: the final figure is on val",
        "hint: 1 classes have no training clip: light",
        "hint: classes have 1 to 5 training clips: balance=true",
    ):
        assert expected in said
    assert json.loads((tmp_path / "b/card.json").read_text())["metrics"]["split"] == "val"


def test_without_validation_the_last_model_counts(recipe, splits, tmp_path):
    nothing = replace(splits.val, records=())
    train(recipe, DataSplits(splits.train, nothing), tmp_path / "a", device="cpu")
    assert same_weights(tmp_path / "a/model.safetensors", tmp_path / "a/last.safetensors")
    assert [r["val_top1"] for r in rows(tmp_path / "a")] == ["", "", ""]
    assert json.loads((tmp_path / "a/card.json").read_text())["metrics"] == {}
    said = "\n".join(line["text"] for line in events(tmp_path / "a", "say"))
    assert "hint: no val split: the last model is taken, not the best" in said


def test_waiting_for_data_is_said(recipe, splits, tmp_path, monkeypatch):
    original = train_module.train_loader

    def slow(session, phase):
        loader = original(session, phase)
        epoch = loader.epoch

        def wait(*arguments, **options):
            for batch in epoch(*arguments, **options):
                time.sleep(0.3)
                yield batch

        loader.epoch = wait
        return loader

    monkeypatch.setattr(train_module, "train_loader", slow)
    train(override(recipe, ["phases.0.epochs=2"]), splits, tmp_path / "a", device="cpu")
    said = "\n".join(line["text"] for line in events(tmp_path / "a", "say"))
    assert said.count("of the time went") == 1
    assert "% of the time went to waiting for data: use workers" in said
    assert float(rows(tmp_path / "a")[0]["data_share"]) > 0.3


def test_event_files_are_written_on_request(recipe, splits, tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            assert folder == str(tmp_path / "a/tensorboard")

        def add_scalar(self, name, value, step):
            written.append((name, step))

        def flush(self):
            pass

    fake = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    wanted = override(recipe, ["phases.0.epochs=1", "tensorboard=true"])
    train(wanted, splits, tmp_path / "a", device="cpu")
    assert ("val_top1", 3) in written
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'kinema\[log\]'"):
        train(wanted, splits, tmp_path / "b", device="cpu")


def test_it_learns(recipe, splits, tmp_path):
    longer = override(
        recipe,
        ["phases.0.steps=25", "phases.0.epochs=0", "phases.0.batch=14", "eval_every=25",
         "model_args.dropout=0", "optim.rules=[]"],
    )  # fmt: skip
    model = train(longer, splits, tmp_path / "a", device="cpu")
    losses = [float(r["train_loss"]) for r in rows(tmp_path / "a")]
    assert losses[-1] < math.log(3)
    assert evaluate(model, splits.test, device="cpu").metrics.top1 == 1.0


def test_partial_bn_holds_through_a_run(recipe, splits, tmp_path):
    partial = override(recipe, ["freeze_bn=all_but_first", "phases.0.epochs=1"])
    model = train(partial, splits, tmp_path / "a", device="cpu")
    state = model.state_dict()
    assert torch.equal(state["backbone.layer1.0.bn1.running_mean"], torch.zeros(8))
    assert not torch.equal(state["backbone.bn1.running_mean"], torch.zeros(8))
