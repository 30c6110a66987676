"""Unreadable videos in a whole run: what stops it, what is counted, where it is told."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from kinema import checkpoint, cli
from kinema.data import DataSplits, VideoError
from kinema.data.unread import TooManyUnreadError
from kinema.engine.evaluate import evaluate
from kinema.engine.metrics import per_class, summarise
from kinema.engine.scores import read_scores
from kinema.engine.train import Stopped, train
from kinema.models import create_model

from .conftest import damage
from .test_train import after, events, rows, same_weights, strip_times


@pytest.fixture(scope="module")
def bearing(recipe):
    return replace(recipe, on_error="skip")


@pytest.fixture(scope="module")
def run(bearing, damaged, tmp_path_factory):
    """A run over two unreadable videos for training and one for validation, in this process."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(bearing, damaged, out, device="cpu")
    return out


def test_a_run_tells_what_it_skipped(run, damaged):
    bad = {damaged.train.records[4].id, damaged.train.records[9].id}
    card = json.loads((run / "card.json").read_text())
    train_rows, val_rows = card["unread"]["train"], card["unread"]["val"]
    assert set(train_rows) == bad
    for record in (damaged.train.records[4], damaged.train.records[9]):
        assert train_rows[record.id]["cause"].startswith(f"{record.path}: cannot be opened")
        assert 1 <= train_rows[record.id]["times"] <= 6
    (row,) = val_rows.values()
    assert row["times"] == 4, "three validations and the last test"
    noted = events(run, "unread")
    assert sorted(e["id"] for e in noted) == sorted([*bad, *val_rows])
    assert all(e["cause"] and (e["instead"] or e["split"] == "val") for e in noted)
    said = [e["text"] for e in events(run, "say")]
    assert sum(text.startswith("unreadable train video: ") for text in said) == 2
    assert any("5 videos; 1 of 5 videos could not be read and count as not rec" in s for s in said)
    assert "1 of 5 videos could not be read and count as wrong" in (run / "report.html").read_text()


def test_every_epoch_has_all_its_steps(run):
    assert [row["step"] for row in rows(run)] == ["3", "6", "9"]


def test_workers_change_no_bit(run, bearing, damaged, tmp_path):
    train(replace(bearing, workers=2), damaged, tmp_path / "two", device="cpu")
    assert same_weights(run / "last.safetensors", tmp_path / "two/last.safetensors")
    assert strip_times(rows(run)) == strip_times(rows(tmp_path / "two"))


def test_resuming_keeps_the_counts(run, bearing, damaged, tmp_path, monkeypatch):
    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        after(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            train(bearing, damaged, out, device="cpu")
    train(bearing, damaged, out, resume=True, device="cpu")
    assert same_weights(run / "last.safetensors", out / "last.safetensors")
    whole, again = (json.loads((path / "card.json").read_text()) for path in (run, out))
    assert again["unread"] == whole["unread"]


def test_a_run_that_ended_at_a_video_goes_on_with_skip(run, recipe, bearing, damaged, tmp_path):
    out = tmp_path / "raised"
    with pytest.raises(VideoError, match=r"tiny train \d.mp4: cannot be opened"):
        train(recipe, damaged, out, device="cpu")
    train(bearing, damaged, out, resume=True, device="cpu")
    assert same_weights(run / "last.safetensors", out / "last.safetensors")


def test_the_cap_ends_a_run(bearing, damaged, splits, tmp_path):
    message = r"train: at least 2 of 14 videos cannot be read, max_skipped=1 allows 1; the first"
    with pytest.raises(TooManyUnreadError, match=message):
        train(replace(bearing, max_skipped=1), damaged, tmp_path / "a", device="cpu")
    test = damage(splits.test, (0, 1), tmp_path)
    with pytest.raises(TooManyUnreadError, match=r"test: at least 4 of 4 .*`kinema data check`"):
        train(
            replace(bearing, max_skipped=0.4),
            DataSplits(splits.train, splits.val, damage(test, (2, 3), tmp_path)),
            tmp_path / "b",
            device="cpu",
        )


@pytest.fixture
def model(splits, recipe):
    return create_model("tsm_resnet18", labels=splits.train.labels, width=8, input=recipe.input)


def test_an_unread_video_counts_as_not_recognised(model, splits, damaged, tmp_path):
    out = tmp_path / "scores.parquet"
    whole = evaluate(model, splits.val, workers=0, device="cpu")
    result = evaluate(model, damaged.val, workers=0, device="cpu", on_error="skip", out=out)
    keep = [0, 2, 3, 4]
    assert result.ids == tuple(splits.val.records[i].id for i in keep)
    np.testing.assert_array_equal(result.probs, whole.probs[keep])
    hits = (whole.probs.argmax(1) == whole.targets)[keep].sum()
    metrics = result.metrics
    assert (metrics.clips, metrics.unread, metrics.top1) == (5, 1, hits / 5)
    assert metrics.top5 == 4 / 5
    assert [one.id for one in result.unread] == [splits.val.records[1].id]
    assert result.unread_targets == (1,)
    scores = read_scores(out)
    assert scores.unread == (1,)
    assert summarise(scores.probs, scores.targets, unread=scores.unread).top1 == metrics.top1
    assert len(pq.read_table(out)) == 4


def test_tests_raise_unless_told_otherwise(model, damaged):
    with pytest.raises(VideoError, match="cannot be opened"):
        evaluate(model, damaged.val, workers=0, device="cpu")


def test_a_test_without_any_readable_video(model, splits, tmp_path):
    gone = damage(splits.val, tuple(range(5)), tmp_path)
    with pytest.raises(TooManyUnreadError, match="none of the 5 videos can be read: .*0.mp4: can"):
        evaluate(model, gone, workers=0, device="cpu", on_error="skip", max_skipped=5)
    with pytest.raises(TooManyUnreadError, match="at least 5 of 5"):
        evaluate(model, gone, workers=0, batch=1, device="cpu", on_error="skip")


def test_figures_with_unread_videos_by_hand():
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = summarise(probs, np.array([0, 1, 0]), unread=[1])
    assert (found.clips, found.unread) == (4, 1)
    assert (found.top1, found.top5, found.mean_class) == (0.75, 0.75, 0.75)
    assert found.loss == summarise(probs, np.array([0, 1, 0])).loss
    assert found.interval[0] < 0.75
    row = per_class(probs, np.array([0, 1, 0]), unread=[1])[1]
    assert (row.support, row.recall, row.precision, row.ap) == (2, 0.5, 1.0, 0.5)
    truth = np.array([[True, False], [True, True], [True, False]])
    many = summarise(probs, truth, unread=np.array([[True, True]]))
    assert (many.clips, many.unread, many.top1, many.mean_ap) == (4, 1, 0.75, (0.75 + 0.5) / 2)


def test_an_unread_video_with_several_labels(model, damaged, tmp_path):
    records = list(damaged.val.records)
    records[1] = replace(records[1], labels=(0, 2))  # the only one with several
    manifest, out = replace(damaged.val, records=tuple(records)), tmp_path / "scores.parquet"
    result = evaluate(model, manifest, workers=0, device="cpu", on_error="skip", out=out)
    assert result.targets.shape == (4, 3)
    assert result.unread_targets.tolist() == [[True, False, True]]
    scores = read_scores(out)
    np.testing.assert_array_equal(scores.targets, result.targets)
    np.testing.assert_array_equal(scores.unread, result.unread_targets)
    assert summarise(scores.probs, scores.targets, unread=scores.unread) == result.metrics
    (told,) = json.loads(pq.read_schema(out).metadata[b"unread"])
    assert told["target"] == [0, 2]


def test_the_command_says_it(model, damaged, tmp_path, capsys):
    checkpoint.save(model, tmp_path / "m.safetensors")
    damaged.val.save(tmp_path / "val.jsonl")
    words = ["eval", str(tmp_path / "m.safetensors"), str(tmp_path / "val.jsonl"), "--workers", "0"]
    assert cli.main([*words, "--device", "cpu"]) == 2
    assert "cannot be opened" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "eval"), "--device", "cpu"]
    assert cli.main([*words, *out, "--on-error", "skip"]) == 0
    told = capsys.readouterr().out
    assert f"unreadable: {damaged.val.records[1].path}: cannot be opened" in told
    assert "protocol 1x1, 4 frames; 1 of 5 videos could not be read and count as not" in told
    card = json.loads((tmp_path / "eval/card.json").read_text())
    assert set(card["unread"]) == {damaged.val.records[1].id}
    assert card["metrics"]["unread"] == 1
    assert cli.main([*words, *out, "--on-error", "skip", "--max-skipped", "0"]) == 2
    assert "max_skipped=0 must be a share between 0 and 1" in capsys.readouterr().err


def test_the_command_sets_the_recipe():
    from kinema.cli.train import chosen_recipe

    words = ["train", "x", "--model", "tsm_resnet18", "--on-error", "skip", "max_skipped=20"]
    recipe = chosen_recipe(cli.parse(words))
    assert (recipe.on_error, recipe.max_skipped) == ("skip", 20)
    with pytest.raises(ValueError, match="max_skipped=0 must be a share"):
        chosen_recipe(cli.parse([*words, "max_skipped=0"]))
