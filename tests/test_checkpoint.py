from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kinema import create_model, load, save
from kinema.checkpoint import read_header
from kinema.models import VideoModel
from kinema.types import EvalProtocol, InputSpec, ModelSpec


@pytest.fixture
def model() -> VideoModel:
    spec = InputSpec(frames=4, resize=40, crop=32)
    model = create_model("tsm_resnet18", labels=["a b", "c"], input=spec, width=8, shift_div=4)
    torch.nn.init.normal_(model.head.fc.weight)
    return model


def rewrite(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Saves a model file again after `change(header, tensors)`."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["kinema"])
    tensors = load_file(path)
    change(header, tensors)
    save_file(tensors, path, metadata={"kinema": json.dumps(header)})


def test_a_file_is_enough(model: VideoModel, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "m.safetensors"
    model.spec = ModelSpec(
        name=model.spec.name, overrides=model.spec.overrides, input=model.spec.input,
        labels=model.spec.labels, protocol=EvalProtocol.named("2x3"),
    )  # fmt: skip
    save(model, path, metrics={"top1": 0.5})
    again = load(path)
    assert again.spec == model.spec
    assert again.spec.protocol.name == "2x3"
    assert not again.training
    assert read_header(path)["provenance"] == {"metrics": {"top1": 0.5}}
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_saving_leaves_the_model_in_its_mode(model: VideoModel, tmp_path: Path) -> None:
    model.train()
    save(model, tmp_path / "m.safetensors")
    assert model.training


def test_changed_weights_fail_the_self_test(model: VideoModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(model, path)
    rewrite(path, lambda header, tensors: tensors["head.fc.bias"].add_(1.0))
    with pytest.raises(ValueError, match="fails its self-test: logits differ by"):
        load(path)


def test_a_missing_tensor_is_named(model: VideoModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(model, path)
    rewrite(path, lambda header, tensors: tensors.pop("backbone.conv1.weight"))
    with pytest.raises(ValueError, match=r"(?s)does not fit tsm_resnet18.*backbone\.conv1\.weight"):
        load(path)


def test_a_later_format_is_refused(model: VideoModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(model, path)
    rewrite(path, lambda header, tensors: header.update(format=2))
    with pytest.raises(ValueError, match="has format 2, this version reads 1"):
        load(path)


def test_other_files_are_refused_with_the_remedy(model: VideoModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model file at"):
        load(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="no kinema header; convert it first"):
        load(tmp_path / "bare.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="is not a kinema model file"):
        load(tmp_path / "text.safetensors")


def test_a_model_that_computes_nonsense_is_not_saved(model: VideoModel, tmp_path: Path) -> None:
    torch.nn.init.constant_(model.head.fc.bias, float("nan"))
    with pytest.raises(ValueError, match="logits are not finite"):
        save(model, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []
