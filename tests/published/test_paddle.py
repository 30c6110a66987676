"""Paddle's weights: a pickle that may hold arrays only, and a folder of one file per variable."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.rule import rule_state
from kinema import convert, create_model
from kinema.engine.start import start_from
from kinema.published import SOURCES, export_state_dict, read_checkpoint

PADDLE = "PaddlePaddle/models"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Rule-made weights under the names of the released ResNet-50."""
    with torch.device("meta"):
        model = create_model("tsn_resnet50", num_classes=6, width=2)
    named = export_state_dict(model, source=PADDLE)
    return rule_state({key: tuple(x.shape) for key, x in named.items()})


def variable(x: Tensor, *, packed: bool = False) -> bytes:
    """A file as Paddle 1 writes it."""
    assert all(side < 128 for side in x.shape)  # one byte each in the description
    sides = bytes(x.shape)
    listed = bytes([0x12, len(sides)]) + sides if packed else b"".join(b"\x10%c" % s for s in sides)
    message = b"\x08\x05" + listed
    head = struct.pack("<IQIi", 0, 0, 0, len(message))
    return head + message + x.numpy().astype("<f4").tobytes()


def test_names_are_those_of_the_release() -> None:
    with torch.device("meta"):
        models = {n: create_model(f"tsn_resnet{n}", width=4) for n in (18, 50, 101)}
    rename = SOURCES[PADDLE].rename
    for depth, ours, theirs in (
        (50, "backbone.conv1.weight", "conv1_weights"),
        (50, "backbone.bn1.running_var", "bn_conv1_variance"),
        (50, "backbone.layer1.0.conv1.weight", "res2a_branch2a_weights"),
        (50, "backbone.layer1.0.downsample.0.weight", "res2a_branch1_weights"),
        (50, "backbone.layer1.0.downsample.1.bias", "bn2a_branch1_offset"),
        (50, "backbone.layer3.5.bn2.weight", "bn4f_branch2b_scale"),
        (50, "backbone.layer4.2.bn3.running_mean", "bn5c_branch2c_mean"),
        (50, "head.fc.weight", "fc_0.w_0"),
        (101, "backbone.layer3.22.conv2.weight", "res4b22_branch2b_weights"),
        (101, "backbone.layer3.0.conv2.weight", "res4a_branch2b_weights"),
        (18, "backbone.layer2.1.conv2.weight", "res3b_branch2b_weights"),
    ):
        assert rename(models[depth], ours) == theirs
    assert rename(models[50], "backbone.bn1.num_batches_tracked") is None


def test_both_files_fill_a_model_and_linear_weights_turn(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    assert state["fc_0.w_0"].shape == (64, 6)
    arrays: dict[str, Any] = {name: x.numpy() for name, x in state.items()}
    (tmp_path / "old.pdparams").write_bytes(pickle.dumps(arrays, protocol=2))
    pairs = {name: (name, x) for name, x in arrays.items()}
    (tmp_path / "new.pdparams").write_bytes(pickle.dumps(pairs, protocol=4))
    (tmp_path / "folder").mkdir()
    for i, (name, x) in enumerate(state.items()):
        (tmp_path / "folder" / name).write_bytes(variable(x, packed=i % 2 == 0))
    for place in ("old.pdparams", "new.pdparams", "folder"):
        read = read_checkpoint(tmp_path / place)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], x) for name, x in state.items())
    model = convert(tmp_path / "folder", source=PADDLE, model="tsn_resnet50", width=2)
    assert torch.equal(model.head.fc.weight, state["fc_0.w_0"].T)
    back = export_state_dict(model, source=PADDLE)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], x) for name, x in state.items())


def test_training_starts_from_the_folder(state: dict[str, Tensor], tmp_path: Path) -> None:
    for name, x in state.items():
        (tmp_path / name).write_bytes(variable(x))
    model = create_model("tpn_slowonly_resnet50", num_classes=3, width=2)
    report = start_from(model, str(tmp_path), source=PADDLE)
    assert all(name.startswith(("neck.", "head.")) or "num_batches" in name for name in report.new)
    kernel = model.state_dict()["backbone.layer4.0.conv1.weight"]
    torch.testing.assert_close(kernel.sum(2), state["res5a_branch2a_weights"])


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("should-not-exist"),)


@pytest.mark.parametrize(
    "content", [{"x": np.zeros(2), "bomb": Bomb()}, {"x": np.array([Bomb()], dtype=object)}]
)
def test_a_file_with_code_is_refused_unrun(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.pdparams").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"b\.pdparams does not load as plain weights: it needs"):
        read_checkpoint("b.pdparams")
    assert not Path("should-not-exist").exists()


def test_what_is_no_weights_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ValueError, match="folder holds no named tensors"):
        read_checkpoint(folder)
    file = tmp_path / "f.pdparams"
    for content, message in (
        (pickle.dumps([1, 2]), "holds no named tensors"),
        (pickle.dumps({"x": np.zeros(99)})[:60], "does not load as plain weights"),
        (b"", "does not load as plain weights"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_checkpoint(file)
    whole = variable(torch.zeros(2, 3))
    for content in (whole[:-1], whole[:10], b"", b"\x01" + whole[1:], b"text, not weights"):
        (folder / "conv1_weights").write_bytes(content)
        with pytest.raises(ValueError, match="conv1_weights is no variable that Paddle 1 saved"):
            read_checkpoint(folder)
