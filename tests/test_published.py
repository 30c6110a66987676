from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.rule import rule_state
from kinema import convert, create_model
from kinema.published import SOURCES, export_state_dict, read_checkpoint
from kinema.types import InputSpec

TSM, MM, VISION = "mit-han-lab/temporal-shift-module", "open-mmlab/mmaction2", "pytorch/vision"
FAIR = "facebookresearch/SlowFast"
MM_PATHS = {"slow_frames": "every", "lateral_norm": False}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("tsn_resnet18", {}),
    ("tsn_resnet50", {}),
    ("tsm_resnet50", {}),
    ("tsm_resnet101", {}),
    ("tsm_resnet50", {"place": "block"}),
    ("tsm_resnet50", {"temporal_pool": True}),
    ("tsm_resnet50", {"non_local": "embedded_gaussian"}),
    ("tsm_resnet50", {"non_local": "gaussian"}),
    ("tsm_resnet50", {"non_local": "dot_product", "temporal_pool": True}),
    ("tsm_mobilenetv2", {}),
]


def trained_like(name: str, **overrides: Any) -> torch.nn.Module:
    model = create_model(name, num_classes=7, width=8, **overrides)
    shapes = {k: tuple(x.shape) for k, x in model.state_dict().items()}
    state = rule_state(shapes)
    for key in [key for key in state if ".after." in key and state[key].ndim == 5]:
        state[key] *= 0.1  # a non-local block multiplies its input with itself twice
    model.load_state_dict(state)
    return model.eval()


ROUNDS = [(source, *variant) for source in (TSM, MM) for variant in VARIANTS] + [
    ("qijiezhao/pseudo-3d-pytorch", "p3d_resnet50", {}),
    ("ZhaofanQiu/pseudo-3d-residual-networks", "p3d_resnet101", {}),
    (MM, "c3d", {}),
    (MM, "slowonly_resnet50", {}),
    (MM, "slowfast_resnet50", MM_PATHS),
    (MM, "slowfast_resnet50", {**MM_PATHS, "lateral_norm": True}),
    (MM, "slowfast_resnet101", {**MM_PATHS, "alpha": 4, "fusion_kernel": 7}),
    (FAIR, "slowonly_resnet50", {}),
    (FAIR, "slowfast_resnet50", {}),
    (FAIR, "slowfast_resnet101", {"alpha": 4, "fusion_kernel": 7}),
    ("IBM/bLVNet-TAM", "blvnet_tam_resnet50", {}),
    ("IBM/bLVNet-TAM", "blvnet_tam_resnet50", {"tam_r": 5}),
    ("IBM/bLVNet-TAM", "blvnet_tam_resnet101", {"temporal": False}),
    ("IBM/BigLittleNet", "tsn_blresnet50", {}),
    ("IBM/action-recognition-pytorch", "tam_resnet50", {}),
]


@pytest.mark.parametrize(("source", "name", "overrides"), ROUNDS)
def test_there_and_back_computes_the_same(source: str, name: str, overrides: Any) -> None:
    model = trained_like(name, **overrides)
    published = export_state_dict(model, source=source)
    back = convert(published, source=source, model=name, width=8, **overrides)
    assert back.spec.labels == tuple("0123456")
    clip = torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        wanted = model(clip)
        assert (back(clip) - wanted).norm() < 1e-5 * wanted.norm()


# Read in the state_dict listings of the projects. (source, model, overrides, ours, theirs); one line
# per tensor reads better than wrapped ones.
# ruff: noqa: E501
NAMES = [
    (TSM, "tsm_resnet50", {}, "backbone.layer1.0.conv1.weight", "base_model.layer1.0.conv1.net.weight"),
    (TSM, "tsn_resnet50", {}, "backbone.layer1.0.conv1.weight", "base_model.layer1.0.conv1.weight"),
    (TSM, "tsm_resnet50", {"place": "block"}, "backbone.layer2.1.bn3.bias", "base_model.layer2.1.net.bn3.bias"),
    (TSM, "tsm_resnet50", {"temporal_pool": True}, "backbone.layer2.1.conv1.weight", "base_model.layer2.net.1.conv1.net.weight"),
    (TSM, "tsm_resnet50", {"non_local": "embedded_gaussian"}, "backbone.layer3.4.after.bn.weight", "base_model.layer3.4.nl.W.1.weight"),
    (TSM, "tsm_mobilenetv2_causal", {}, "backbone.features.3.conv.0.weight", "features.3.conv.0.weight"),
    (MM, "tsm_resnet50", {}, "backbone.layer1.0.conv1.weight", "backbone.layer1.0.conv1.conv.net.weight"),
    (MM, "tsm_resnet50", {}, "backbone.layer1.0.downsample.1.running_var", "backbone.layer1.0.downsample.bn.running_var"),
    (MM, "tsm_resnet50", {}, "backbone.bn1.weight", "backbone.conv1.bn.weight"),
    (MM, "tsm_resnet50", {"non_local": "gaussian"}, "backbone.layer2.0.after.g.weight", "backbone.layer2.0.non_local_block.g.0.conv.weight"),
    (MM, "tsm_resnet50", {"non_local": "gaussian"}, "backbone.layer2.0.conv1.weight", "backbone.layer2.0.block.conv1.conv.net.weight"),
    (MM, "tsm_mobilenetv2", {}, "backbone.features.1.conv.0.weight", "backbone.layer1.0.conv.0.conv.weight"),
    (MM, "tsm_mobilenetv2", {}, "backbone.features.3.conv.1.bias", "backbone.layer2.1.conv.0.net.bn.bias"),
    (MM, "tsm_mobilenetv2", {}, "backbone.features.4.conv.6.weight", "backbone.layer3.0.conv.2.conv.weight"),
    (MM, "tsm_mobilenetv2", {}, "backbone.features.18.1.weight", "backbone.conv2.bn.weight"),
    (MM, "c3d", {}, "backbone.conv3b.conv.bias", "backbone.conv3b.conv.bias"),
    (MM, "c3d", {}, "backbone.fc6.weight", "backbone.fc6.weight"),
    (MM, "c3d", {}, "head.fc.weight", "cls_head.fc_cls.weight"),
    (MM, "slowonly_resnet50", {}, "backbone.layer3.0.conv1.weight", "backbone.layer3.0.conv1.conv.weight"),
    (MM, "slowfast_resnet50", {}, "backbone.slow.bn1.weight", "backbone.slow_path.conv1.bn.weight"),
    (MM, "slowfast_resnet50", {}, "backbone.fast.layer2.0.downsample.1.bias", "backbone.fast_path.layer2.0.downsample.bn.bias"),
    (MM, "slowfast_resnet50", {}, "backbone.slow.layer4.2.bn3.weight", "backbone.slow_path.layer4.2.conv3.bn.weight"),
    (MM, "slowfast_resnet50", {}, "backbone.lateral.layer1.conv.weight", "backbone.slow_path.conv1_lateral.conv.weight"),
    (MM, "slowfast_resnet50", {}, "backbone.lateral.layer4.bn.weight", "backbone.slow_path.layer3_lateral.bn.weight"),
    (FAIR, "slowonly_resnet50", {}, "backbone.bn1.running_var", "s1.pathway0_stem.bn.running_var"),
    (FAIR, "slowonly_resnet50", {}, "backbone.layer3.5.conv1.weight", "s4.pathway0_res5.branch2.a.weight"),
    (FAIR, "slowfast_resnet50", {}, "backbone.fast.conv1.weight", "s1.pathway1_stem.conv.weight"),
    (FAIR, "slowfast_resnet50", {}, "backbone.slow.layer1.0.downsample.0.weight", "s2.pathway0_res0.branch1.weight"),
    (FAIR, "slowfast_resnet50", {}, "backbone.fast.layer1.0.downsample.1.bias", "s2.pathway1_res0.branch1_bn.bias"),
    (FAIR, "slowfast_resnet50", {}, "backbone.fast.layer4.2.bn3.weight", "s5.pathway1_res2.branch2.c_bn.weight"),
    (FAIR, "slowfast_resnet50", {}, "backbone.lateral.layer1.conv.weight", "s1_fuse.conv_f2s.weight"),
    (FAIR, "slowfast_resnet50", {}, "backbone.lateral.layer4.bn.running_mean", "s4_fuse.bn.running_mean"),
    (FAIR, "slowfast_resnet50", {}, "head.fc.bias", "head.projection.bias"),
    (VISION, "tsn_resnet50", {}, "head.fc.bias", "fc.bias"),
    (VISION, "tsm_mobilenetv2", {}, "backbone.features.1.conv.3.weight", "features.1.conv.1.weight"),
    (VISION, "tsm_mobilenetv2", {}, "backbone.features.2.conv.3.weight", "features.2.conv.1.0.weight"),
    (VISION, "tsm_mobilenetv2", {}, "backbone.features.2.conv.7.weight", "features.2.conv.3.weight"),
    (VISION, "tsm_mobilenetv2", {}, "backbone.features.18.0.weight", "features.18.0.weight"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "name", "overrides", "ours", "theirs"), NAMES)
def test_tensors_are_called_as_in_the_release(
    source: str, name: str, overrides: Any, ours: str, theirs: str
) -> None:
    with torch.device("meta"):
        model = create_model(name, width=8, **overrides)
    assert SOURCES[source].rename(model, ours) == theirs


def test_wrappers_and_old_spellings_are_understood(tmp_path: Path) -> None:
    model = trained_like("tsm_resnet18")
    state = export_state_dict(model, source=TSM)
    old = {
        f"module.{k.replace('new_fc.', 'base_model.fc.')}": x
        for k, x in state.items()
        if not k.endswith("num_batches_tracked")
    }
    torch.save({"epoch": 45, "arch": "resnet18", "state_dict": old}, tmp_path / "old.pth.tar")
    back = convert(tmp_path / "old.pth.tar", source=TSM, model="tsm_resnet18", width=8)
    assert torch.equal(back.head.fc.weight, model.head.fc.weight)


def test_records_of_the_training_toolbox_are_skipped_not_run(tmp_path: Path) -> None:
    state = export_state_dict(trained_like("tsn_resnet18"), source=MM)
    record = {"loss": np.arange(3.0), "last": np.float64(2.0)}
    torch.save(
        {"meta": {"epoch": 1}, "message_hub": record, "state_dict": state}, tmp_path / "m.pth"
    )
    assert read_checkpoint(tmp_path / "m.pth").keys() == state.keys()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("should-not-exist"),)


def test_a_file_with_code_is_refused_unrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"x": torch.zeros(1)}, "bomb": Bomb()}, "bomb.pth")
    with pytest.raises(ValueError, match="does not load as plain weights"):
        read_checkpoint("bomb.pth")
    assert not Path("should-not-exist").exists()


def test_strict_in_both_directions() -> None:
    state = export_state_dict(trained_like("tsm_resnet18"), source=TSM)
    state["base_model.extra.weight"] = state.pop("base_model.layer4.1.bn2.weight")
    state["new_fc.bias"] = torch.zeros(8)
    with pytest.raises(ValueError, match=r"\(3 tensors\)") as caught:
        convert(state, source=TSM, model="tsm_resnet18", width=8)
    for line in (
        r"missing    base_model\.layer4\.1\.bn2\.weight \(for backbone\.layer4\.1\.bn2\.weight\)",
        r"left over  base_model\.extra\.weight",
        r"shape      new_fc\.bias \(8,\), head\.fc\.bias \(7,\)",
    ):
        assert re.search(line, str(caught.value))


def test_what_a_release_of_two_paths_does_not_name_is_set() -> None:
    eight = {"alpha": 4, "fusion_kernel": 7}
    for source, chosen in ((FAIR, {}), (MM, MM_PATHS)):
        model = trained_like("slowfast_resnet50", **eight, **chosen)
        state = export_state_dict(model, source=source)
        assert all(x.ndim == 5 for key, x in state.items() if "conv.weight" in key)
        back = convert(state, source=source, model="slowfast_resnet50", width=8)
        wanted = {"slow_frames": "spread", "lateral_norm": True} | eight | chosen
        assert wanted.items() <= back.spec.overrides.items()


def test_weights_of_one_release_of_two_paths_do_not_pass_for_the_others() -> None:
    state = export_state_dict(trained_like("slowfast_resnet50"), source=FAIR)
    with pytest.raises(ValueError, match=r"missing    s1_fuse\.bn\.weight"):
        convert(
            {k: x for k, x in state.items() if "fuse.bn" not in k},
            source=FAIR, model="slowfast_resnet50", width=8,
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"left over  s1_fuse\.conv_f2s\.weight"):
        convert(state, source=FAIR, model="slowonly_resnet50", width=8)


@pytest.mark.parametrize(
    ("weights", "target"), [("tsm_resnet18", "tsn_resnet18"), ("tsn_resnet18", "tsm_resnet18")]
)
def test_weights_of_another_method_do_not_slip_in(weights: str, target: str) -> None:
    state = export_state_dict(trained_like(weights), source=TSM)
    with pytest.raises(ValueError, match=r"missing .*conv1"):
        convert(state, source=TSM, model=target, width=8)


def test_wrong_sources_and_files_are_answered_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"source='open-mmlab/mmaction' is not known \(did you mean"
    ):
        convert({}, source="open-mmlab/mmaction", model="tsn_resnet18")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(ValueError, match="holds no named tensors"):
        convert({"epoch": 3}, source=TSM, model="tsn_resnet18")  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"has no cls_head\.fc_cls\.weight, so it is not one of"):
        convert({"x": torch.zeros(1)}, source=MM, model="tsn_resnet18")


def image_weights(depth: int) -> dict[str, Tensor]:
    """Rule-made weights with the names and shapes of the official ImageNet files."""
    with torch.device("meta"):
        model = create_model(f"tsn_resnet{depth}", num_classes=1000)
    named = export_state_dict(model, source=VISION)
    return rule_state({k: tuple(x.shape) for k, x in named.items()})


def test_image_weights_fill_a_video_network_of_any_input() -> None:
    state = image_weights(18)
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["fc.weight"].shape == (1000, 512)
    assert len(state) == 122
    rgb = convert(state, source=VISION, model="tsm_resnet18")
    assert torch.equal(rgb.backbone.conv1.weight, state["conv1.weight"])
    flow_input = InputSpec(modality="flow", stack=5, mean=(0.5,), std=(0.226,))
    flow = convert(state, source=VISION, model="tsm_resnet18", input=flow_input)
    assert flow.backbone.conv1.weight.shape == (64, 10, 7, 7)
    assert torch.allclose(flow.backbone.conv1.weight[:, 4], state["conv1.weight"].mean(1))


def test_what_an_image_network_lacks_stays_as_it_was() -> None:
    model = convert(image_weights(50), source=VISION, model="tsm_resnet50", non_local="gaussian")
    assert (model.backbone.layer2[0].after.bn.weight == 0).all()
