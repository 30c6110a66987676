"""SlowFast's files of Caffe2: blobs under names of their own in a pickle of nothing but arrays."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.rule import rule_state
from kinema import convert, create_model
from kinema.published import export_state_dict, read_checkpoint
from kinema.published.slowfast_authors import SLOWFAST_AUTHORS, _name_of_blob

FAIR = "facebookresearch/SlowFast"
# Blobs and what the authors' own loader calls them.
NAMES = {
    "conv1_w": "s1.pathway0_stem.conv.weight",
    "t_conv1_w": "s1.pathway1_stem.conv.weight",
    "res_conv1_bn_riv": "s1.pathway0_stem.bn.running_var",
    "t_res_conv1_bn_rm": "s1.pathway1_stem.bn.running_mean",
    "t_pool1_subsample_w": "s1_fuse.conv_f2s.weight",
    "t_pool1_subsample_bn_s": "s1_fuse.bn.weight",
    "t_res4_5_branch2c_bn_subsample_bn_b": "s4_fuse.bn.bias",
    "t_res3_3_branch2c_bn_subsample_w": "s3_fuse.conv_f2s.weight",
    "res4_4_branch2c_bn_b": "s4.pathway0_res4.branch2.c_bn.bias",
    "res4_0_branch1_w": "s4.pathway0_res0.branch1.weight",
    "res4_0_branch1_bn_s": "s4.pathway0_res0.branch1_bn.weight",
    "t_res5_2_branch2a_w": "s5.pathway1_res2.branch2.a.weight",
    "t_res2_0_branch2b_bn_rm": "s2.pathway1_res0.branch2.b_bn.running_mean",
    "pred_w": "head.projection.weight",
    "pred_b": "head.projection.bias",
    "nonlocal_conv3_1_theta_w": "nonlocal_conv3_1_theta_w",
}


@pytest.mark.parametrize(("blob", "name"), NAMES.items())
def test_blobs_have_the_names_of_the_pytorch_files(blob: str, name: str) -> None:
    assert _name_of_blob(blob) == name


def blob_of(name: str, last: dict[str, int]) -> str | None:
    """The Caffe2 name of a tensor of the PyTorch files; last: block of the fast path by stage."""
    if name.endswith("num_batches_tracked"):
        return None
    stem, _, tensor = name.rpartition(".")
    norm = stem.endswith("bn")
    end = {"bias": "b", "running_mean": "rm", "running_var": "riv"}.get(
        tensor, "s" if norm else "w"
    )
    if stem == "head.projection":
        return f"pred_{end}"
    if found := re.fullmatch(r"s(\d)_fuse\.(conv_f2s|bn)", stem):
        behind = f"t_res{found[1]}_{last[found[1]]}_branch2c_bn" if found[1] != "1" else "t_pool1"
        return f"{behind}_subsample{'_bn' if norm else ''}_{end}"
    if found := re.fullmatch(r"s1\.pathway(\d)_stem\.(conv|bn)", stem):
        return f"{'t_' * int(found[1])}{'res_conv1_bn' if norm else 'conv1'}_{end}"
    found = re.fullmatch(r"s(\d)\.pathway(\d)_res(\d+)\.branch(\d)\.?([abc]?)(_bn)?", stem)
    assert found, name
    fast, bn = "t_" * int(found[2]), found[6] or ""
    return f"{fast}res{found[1]}_{found[3]}_branch{found[4]}{found[5]}{bn}_{end}"


def blobs_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """A file's blobs, with the records of training that the authors' files have."""
    last = {"2": 2, "3": 3, "4": 5}
    named = {blob_of(name, last): x.numpy() for name, x in state.items()}
    blobs: dict[str, Any] = {str(name): x for name, x in named.items() if name}
    return blobs | {
        "conv1_w_momentum": blobs["conv1_w"], "lr": np.array([0.1]), "model_iter": np.array([9])
    }  # fmt: skip


@pytest.mark.parametrize("name", ["slowfast_resnet50", "slowonly_resnet50"])
def test_a_file_becomes_the_model_it_was(name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"width": 8}
    if name == "slowfast_resnet50":
        options |= {"alpha": 4, "fusion_kernel": 7, "slow_frames": "spread", "lateral_norm": True}
    model = create_model(name, num_classes=5, **options).eval()
    model.load_state_dict(rule_state({k: tuple(x.shape) for k, x in model.state_dict().items()}))
    state = export_state_dict(model, source=FAIR)
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"blobs": blobs_of(state)}, protocol=2))
    back = convert(file, source=FAIR, model=name, width=8)
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        assert torch.equal(back(clip), model(clip))
    grey = torch.full((1, 3, 1, 1, 1), 128, dtype=torch.uint8)
    assert back.spec.input.to_input(grey).flatten().tolist() == pytest.approx(
        3 * [(128 / 255 - 0.45) / 0.225]
    )


def test_a_blob_without_a_place_is_told(tmp_path: Path) -> None:
    model = create_model("slowonly_resnet50", num_classes=5, width=8)
    blobs = blobs_of(export_state_dict(model, source=FAIR))
    blobs["nonlocal_conv3_1_theta_w"] = np.zeros((2, 2))
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps({"blobs": blobs}))
    with pytest.raises(ValueError, match="left over  nonlocal_conv3_1_theta_w"):
        convert(file, source=FAIR, model="slowonly_resnet50", width=8)


class Runs:
    """Would make a folder when loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps({"blobs": {"conv1_w": Runs(tmp_path / "made")}}))
    with pytest.raises(ValueError, match=r"does not load as plain weights: it needs posix\.mkdir"):
        read_checkpoint(file)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"conv1_w": np.zeros(2)}, {"blobs": {"lr": 0.1}}, [1]])
def test_other_pickles_are_told(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="holds no arrays named under `blobs`"):
        read_checkpoint(file)


def test_pytorch_names_stay() -> None:
    state = {"s1.pathway0_stem.conv.weight": torch.zeros(1)}
    assert SLOWFAST_AUTHORS.adapt(state) is state
