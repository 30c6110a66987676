"""Testing a model: order, labels, views, the scores file, and that predict agrees."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from kinema import checkpoint
from kinema.data import Manifest
from kinema.data.splitting import split_by_source
from kinema.engine.evaluate import NonFiniteError, evaluate
from kinema.engine.held_out import held_out, label_map, trained_on
from kinema.engine.report import write_report
from kinema.engine.runtime import Runtime
from kinema.engine.scores import read_scores
from kinema.inference import Predictor
from kinema.models import create_model
from kinema.types import EvalProtocol, InputSpec

RUNTIME = Runtime(device=torch.device("cpu"))


@pytest.fixture
def model(splits):
    spec = InputSpec(frames=4, resize=32, crop=24)
    made = create_model("tsm_resnet18", labels=splits.train.labels, width=8, input=spec)
    with torch.no_grad():
        made.head.fc.weight.normal_(std=0.3)
    return made


@pytest.mark.parametrize("protocol", ["1x1", "3x3", "2x10"])
@pytest.mark.parametrize("average", ["prob", "logit"])
def test_predict_gives_the_same_numbers(model, splits, protocol, average):
    protocol = replace(EvalProtocol.named(protocol), average=average)
    result = evaluate(model, splits.val, protocol=protocol, workers=0, batch=4)
    predictor = Predictor(model, protocol=protocol)
    for index, record in enumerate(splits.val.records):
        prediction = predictor.predict(record.path)
        np.testing.assert_allclose(result.probs[index], prediction.scores, rtol=1e-4, atol=1e-6)
        assert prediction.start == pytest.approx(float(result.spans[index, :, 0].min()))
        assert prediction.end == pytest.approx(float(result.spans[index, :, 1].max()))


def test_results_are_in_the_manifests_order(model, splits):
    result = evaluate(model, splits.val, protocol="2x3", workers=0, batch=4)
    assert result.ids == tuple(r.id for r in splits.val.records)
    assert result.targets.tolist() == [0, 1, 2, 0, 1]
    assert result.logits.shape == (5, 6, 3)
    assert result.spans.shape == (5, 6, 2)
    by_hand = result.logits.double().softmax(-1).mean(1).numpy()
    np.testing.assert_allclose(result.probs, by_hand, rtol=1e-6)
    assert result.metrics.top1 == np.mean(by_hand.argmax(1) == result.targets)


def test_batch_and_workers_change_nothing(model, splits):
    one = evaluate(model, splits.val, protocol="2x3", workers=0, batch=1)
    many = evaluate(model, splits.val, protocol="2x3", workers=2, batch=32)
    torch.testing.assert_close(one.logits, many.logits, rtol=1e-4, atol=1e-5)


def test_training_mode_comes_back(model, splits):
    model.train()
    evaluate(model, splits.val, workers=0)
    assert model.training


def test_the_files_protocol_is_the_default(model, splits, tmp_path):
    model.spec = replace(model.spec, protocol=EvalProtocol.named("2x3"))
    checkpoint.save(model, tmp_path / "m.safetensors")
    result = evaluate(tmp_path / "m.safetensors", splits.val, device="cpu", workers=0)
    assert result.protocol.name == "2x3"
    assert result.logits.shape[1] == 6


def test_scores_file(model, splits, tmp_path):
    result = evaluate(model, splits.val, protocol="2x3", workers=0, out=tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.column_names == ["id", "path", "target", "view", "start", "end", "logits"]
    assert len(table) == 30
    assert table.column("view").to_pylist() == list(range(6)) * 5
    assert table.column("path").to_pylist()[6] == str(splits.val.records[1].path)
    logits = torch.tensor(table.column("logits").to_pylist())
    assert torch.equal(logits.unflatten(0, (5, 6)), result.logits)
    about = {k.decode(): json.loads(v) for k, v in table.schema.metadata.items()}
    assert about == {
        "labels": ["dark", "grey", "light"],
        "protocol": "2x3",
        "average": "prob",
        "activation": "softmax",
        "fingerprint": splits.val.fingerprint(),
        "unread": [],
    }


def test_several_labels(model, splits, tmp_path):
    """Any of them is a hit; the scores file keeps all, and the model's activation counts."""
    given = ((0, 2), (1,), (2, 0, 1), (0,), (1, 2))
    records = tuple(
        replace(r, labels=labels) for r, labels in zip(splits.val.records, given, strict=True)
    )
    turned = Manifest("turned", ("light", "dark", "grey"), records)  # 0, 1, 2 are 2, 0, 1 there
    truth = [[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]]
    for activation in ("softmax", "sigmoid"):
        model.spec = replace(model.spec, activation=activation)
        out = tmp_path / activation / "scores.parquet"
        result = evaluate(model, turned, protocol="2x1", workers=0, out=out)
        views = result.logits.double()
        views = views.softmax(-1) if activation == "softmax" else views.sigmoid()
        np.testing.assert_allclose(result.probs, views.mean(1).numpy())
        assert result.targets.astype(int).tolist() == truth
        hits = [truth[i][k] for i, k in enumerate(result.probs.argmax(1))]
        assert result.metrics.top1 == np.mean(hits)
        assert 0 < result.metrics.mean_ap <= 1
        assert pq.read_table(out).column("target").to_pylist()[:3] == [[1, 2], [1, 2], [0]]
        scores = read_scores(out)
        assert scores.activation == activation
        assert scores.several
        np.testing.assert_array_equal(scores.targets, result.targets)
        np.testing.assert_allclose(scores.probs, result.probs, rtol=1e-6)
        page = write_report(out.parent).read_text(encoding="utf-8")
        assert "Hit@1" in page
        assert "Mean average precision" in page
        prediction = Predictor(model, protocol="2x1").predict(records[0].path)
        np.testing.assert_allclose(prediction.scores, result.probs[0], rtol=1e-4)


def test_labels_are_matched_by_name(model, splits):
    turned = Manifest(
        "turned",
        ("light", "dark", "grey"),
        tuple(replace(r, labels=((r.label + 1) % 3,)) for r in splits.val.records),
    )
    a = evaluate(model, splits.val, workers=0)
    b = evaluate(model, turned, workers=0)
    assert a.targets.tolist() == b.targets.tolist()
    assert a.metrics == b.metrics


def test_numbered_models_take_the_manifests_order(splits):
    model = create_model("tsm_resnet18", num_classes=3, width=8)
    assert label_map(splits.val, model) == {0: 0, 1: 1, 2: 2}


def test_names_count_before_the_order(splits):
    """A table sorts numbers by value, a folder may have them in the order of their text."""
    model = create_model("tsm_resnet18", num_classes=11, width=8)
    by_text = tuple(sorted(map(str, range(11))))
    assert by_text[2] == "10"
    manifest = replace(splits.val, labels=by_text)
    assert label_map(manifest, model) == {i: int(name) for i, name in enumerate(by_text)}
    from_one = replace(splits.val, labels=tuple(sorted(map(str, range(1, 12)))))
    assert label_map(from_one, model) == {i: int(n) - 1 for i, n in enumerate(from_one.labels)}


def test_labels_the_model_does_not_know(model, splits):
    other = replace(splits.val, labels=("dark", "gray", "light"))
    expected = r"1 labels are not among the model's 3: 'gray' \(did you mean grey"
    with pytest.raises(ValueError, match=expected):
        label_map(other, model)


def test_videos_without_a_label(model, splits):
    records = (replace(splits.val.records[0], labels=()),)
    with pytest.raises(ValueError, match="'val/0' has no label, and a test needs one; use predict"):
        evaluate(model, replace(splits.val, records=records), workers=0)


def table(path, rows):
    path.write_text("path,label,split\n" + "".join(f"{p},{label},{s}\n" for p, label, s in rows))
    return path


def test_data_without_splits_are_tested_whole(model, splits, tmp_path):
    splits.val.save(tmp_path / "val.jsonl")
    name, manifest = held_out(tmp_path / "val.jsonl")
    assert (name, [r.id for r in manifest.records]) == ("all", [r.id for r in splits.val.records])
    videos = [(r.path, splits.train.labels[r.label], "") for r in splits.train.records]
    assert len(held_out(table(tmp_path / "a.csv", videos))[1]) == 14
    for path, label, _ in videos:
        (tmp_path / "clips" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / label / path.name).symlink_to(path)
    assert [len(held_out(tmp_path / "clips", split)[1]) for split in (None, "train", "val")] == [
        14, 11, 3,
    ]  # fmt: skip
    result = evaluate(model, tmp_path / "clips", workers=0)
    assert len(result.ids) == 14


def test_what_need_not_be_fit_for_training_can_be_tested(model, splits, tmp_path):
    path = splits.train.records[0].path
    only_test = table(tmp_path / "a.csv", [(path, "dark", "test")])
    assert (held_out(only_test)[0], len(evaluate(model, only_test, workers=0).ids)) == ("test", 1)
    with pytest.raises(ValueError, match=r"a.csv has no split 'val'; it has test"):
        held_out(only_test, "val")
    (tmp_path / "one" / "grey").mkdir(parents=True)
    (tmp_path / "one" / "grey" / "a.mp4").symlink_to(path)
    assert evaluate(model, tmp_path / "one", workers=0).targets.tolist() == [1]


def test_test_counts_before_val(splits):
    assert held_out(splits) == ("test", splits.test)
    assert held_out(replace(splits, test=None)) == ("val", splits.val)
    assert held_out(splits, "train") == ("train", splits.train)


def test_videos_of_the_training_are_told(model, splits, tmp_path, capsys):
    file = tmp_path / "m.safetensors"
    taken, _ = split_by_source(splits.train, 0.2)
    checkpoint.save(model, file, fingerprint={"train": taken.fingerprint()})
    assert trained_on(file, taken)
    assert trained_on(file, splits.train)
    assert not trained_on(file, splits.val)
    evaluate(file, splits.train, device="cpu", workers=0)
    assert "the model was trained on these videos" in capsys.readouterr().err
    evaluate(file, splits.val, device="cpu", workers=0)
    assert "trained" not in capsys.readouterr().err
    checkpoint.save(model, file)
    assert not trained_on(file, taken)


def test_ten_crops_are_refused_where_a_mirror_changes_labels(model, splits):
    sided = replace(splits.val, flip_map={0: 1, 1: 0})
    with pytest.raises(ValueError, match=r"a mirror changes 'dark'; use three crops, 2x3"):
        evaluate(model, sided, protocol="2x10", workers=0)
    assert evaluate(model, replace(sided, flip_map={0: 0}), protocol="1x10", workers=0)


def test_logits_that_are_no_numbers(model, splits):
    with torch.no_grad():
        model.head.fc.bias.fill_(math.inf)
    with pytest.raises(NonFiniteError, match="logits of 5 videos are not finite.*'val/0'"):
        evaluate(model, splits.val, workers=0)
