"""Testing a model: order, labels, views, the scores file, and that predict agrees."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from kinema import checkpoint
from kinema.data import Manifest
from kinema.engine.evaluate import evaluate, held_out, label_map
from kinema.engine.runtime import Runtime
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
        "fingerprint": splits.val.fingerprint(),
    }


def test_labels_are_matched_by_name(model, splits):
    turned = Manifest(
        "turned",
        ("light", "dark", "grey"),
        tuple(replace(r, label=(r.label + 1) % 3) for r in splits.val.records),
    )
    a = evaluate(model, splits.val, workers=0)
    b = evaluate(model, turned, workers=0)
    assert a.targets.tolist() == b.targets.tolist()
    assert a.metrics == b.metrics


def test_numbered_models_take_the_manifests_order(splits):
    model = create_model("tsm_resnet18", num_classes=3, width=8)
    assert label_map(splits.val, model) == {0: 0, 1: 1, 2: 2}


def test_labels_the_model_does_not_know(model, splits):
    other = replace(splits.val, labels=("dark", "gray", "light"))
    expected = r"1 labels are not among the model's 3: 'gray' \(did you mean grey"
    with pytest.raises(ValueError, match=expected):
        label_map(other, model)


def test_videos_without_a_label(model, splits):
    records = (replace(splits.val.records[0], label=None),)
    with pytest.raises(ValueError, match="'val/0' has no label, and a test needs one; use predict"):
        evaluate(model, replace(splits.val, records=records), workers=0)


def test_a_manifest_file_is_tested_whole(splits, tmp_path):
    splits.val.save(tmp_path / "val.jsonl")
    assert len(held_out(tmp_path / "val.jsonl")) == 5
    assert len(held_out(splits.train.records[0].path.parent.parent)) > 0
