"""TPN's weights under their names of two projects, both ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from golden.rule import rule_state
from kinema import convert, create_model
from kinema.models import VideoModel
from kinema.published import SOURCES, export_state_dict

TPN, MM, VISION = "decisionforce/TPN", "open-mmlab/mmaction2", "pytorch/vision"


def trained_like(name: str, **options: Any) -> VideoModel:
    model = create_model(name, num_classes=7, width=8, **options)
    model.load_state_dict(rule_state({k: tuple(x.shape) for k, x in model.state_dict().items()}))
    return model.eval()


@pytest.mark.parametrize("source", [TPN, MM])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("slowonly_resnet50", {}),
        ("tpn_slowonly_resnet50", {}),
        ("tpn_tsn_resnet50", {"stages": ["res3", "res4", "res5"]}),
        ("tpn_tsm_resnet50", {"place": "inplace"}),
        ("tpn_tsm_resnet50", {"place": "residual", "flow": "parallel"}),
    ],
)
def test_there_and_back_computes_the_same(source: str, name: str, options: Any) -> None:
    model = trained_like(name, **options)
    published = export_state_dict(model, source=source)
    back = convert(published, source=source, model=name, width=8, **options)
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.no_grad():
        assert torch.equal(back(clip), model(clip))
    again = export_state_dict(back, source=source)
    assert again.keys() == published.keys()
    assert all(torch.equal(again[key], x) for key, x in published.items())


# Names and shapes as instantiated from the two projects. (source, model, ours, theirs, shape)
SLOW, SHIFT = "tpn_slowonly_resnet50", "tpn_tsm_resnet50"
SPATIAL = "spatial_modulation.spatial_modulation"
# ruff: noqa: E501
NAMES = [
    (TPN, SLOW, "backbone.conv1.weight", "backbone.conv1.weight", (64, 3, 1, 7, 7)),
    (TPN, SLOW, "backbone.layer3.0.conv1.weight", "backbone.layer3.0.conv1.weight", (256, 512, 3, 1, 1)),
    (TPN, SLOW, "backbone.layer3.1.conv1.weight", "backbone.layer3.1.conv1.weight", (256, 1024, 3, 1, 1)),
    (TPN, SLOW, "backbone.layer3.0.downsample.0.weight", "backbone.layer3.0.downsample.0.weight", (1024, 512, 1, 1, 1)),
    (TPN, SHIFT, "backbone.layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight", (64, 64, 1, 1)),
    (TPN, SLOW, "neck.spatial.0.0.conv.weight", f"necks.{SPATIAL}.0.0.conv.weight", (2048, 1024, 1, 3, 3)),
    (TPN, SLOW, "neck.temporal.1.weight", "necks.temporal_modulation_ops.1.conv.weight", (1024, 64, 3, 1, 1)),
    (TPN, SLOW, "neck.bottom_up.0.weight", "necks.downsampling_ops.0.conv.weight", (1024, 1024, 3, 1, 1)),
    (TPN, SLOW, "neck.fusions.top_down.levels.1.conv.weight", "necks.level_fusion_op2.ops.1.conv.weight", (1024, 32, 1, 1, 1)),
    (TPN, SLOW, "neck.fusions.bottom_up.levels.0.bn.bias", "necks.level_fusion_op.ops.0.norm.bias", (1024,)),
    (TPN, SLOW, "neck.fusions.top_down.mix.conv.weight", "necks.level_fusion_op2.fusion_conv.0.weight", (2048, 2048, 1, 1, 1)),
    (TPN, SLOW, "neck.fusion.conv.weight", "necks.pyramid_fusion_op.0.weight", (2048, 4096, 1, 1, 1)),
    (TPN, SLOW, "head.fc.weight", "cls_head.fc_cls.weight", (400, 2048)),
    (MM, SLOW, "backbone.layer3.1.bn1.weight", "backbone.layer3.1.conv1.bn.weight", (256,)),
    (MM, SLOW, "backbone.layer3.0.downsample.0.weight", "backbone.layer3.0.downsample.conv.weight", (1024, 512, 1, 1, 1)),
    (MM, SHIFT, "backbone.layer1.0.conv1.weight", "backbone.layer1.0.conv1.conv.net.weight", (64, 64, 1, 1)),
    (MM, SLOW, "neck.spatial.0.0.bn.weight", f"neck.{SPATIAL}.0.0.bn.weight", (2048,)),
    (MM, SLOW, "neck.temporal.1.weight", "neck.temporal_modulation_ops.1.conv.conv.weight", (1024, 64, 3, 1, 1)),
    (MM, SLOW, "neck.bottom_up.0.weight", "neck.downsample_ops.0.conv.conv.weight", (1024, 1024, 3, 1, 1)),
    (MM, SLOW, "neck.fusions.top_down.levels.1.conv.weight", "neck.level_fusion_1.downsamples.1.conv.conv.weight", (1024, 32, 1, 1, 1)),
    (MM, SLOW, "neck.fusions.bottom_up.levels.0.bn.bias", "neck.level_fusion_2.downsamples.0.conv.bn.bias", (1024,)),
    (MM, SLOW, "neck.fusions.bottom_up.mix.conv.weight", "neck.level_fusion_2.fusion_conv.conv.weight", (2048, 2048, 1, 1, 1)),
    (MM, SLOW, "neck.fusion.bn.weight", "neck.pyramid_fusion.bn.weight", (2048,)),
]  # fmt: skip


@pytest.mark.parametrize(("source", "name", "ours", "theirs", "shape"), NAMES)
def test_tensors_are_called_and_shaped_as_in_the_release(
    source: str, name: str, ours: str, theirs: str, shape: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert SOURCES[source].rename(model, ours) == theirs
    assert export_state_dict(model, source=source)[theirs].shape == shape


def test_only_the_auxiliary_head_may_be_left_over() -> None:
    model = trained_like("tpn_tsn_resnet50")
    for source, neck in ((TPN, "necks"), (MM, "neck")):
        state = export_state_dict(model, source=source)
        state[f"{neck}.aux_head.fc.weight"] = torch.zeros(7, 256)
        convert(state, source=source, model="tpn_tsn_resnet50", width=8)
        state[f"{neck}.extra.weight"] = torch.zeros(1)
        with pytest.raises(ValueError, match=r"left over  \w+\.extra\.weight"):
            convert(state, source=source, model="tpn_tsn_resnet50", width=8)


def test_what_the_names_do_not_tell_comes_with_the_source() -> None:
    for source, place in ((TPN, "inplace"), (MM, "residual")):
        state = export_state_dict(trained_like("tpn_tsm_resnet50", place=place), source=source)
        made = convert(state, source=source, model="tpn_tsm_resnet50", width=8)
        assert made.spec.overrides == {"flow": "cascade", "place": place, "width": 8}
    wide = export_state_dict(trained_like("tpn_tsm_resnet50", out_channels=320), source=TPN)
    made = convert(wide, source=TPN, model="tpn_tsm_resnet50", width=8)
    assert made.spec.overrides["out_channels"] == 320
    with pytest.raises(ValueError, match=r"model='tsm_resnet50': .* shifts what projections see"):
        convert(wide, source=TPN, model="tsm_resnet50", width=8)


def test_image_weights_are_inflated_below_the_neck() -> None:
    with torch.device("meta"):
        image = create_model("tsn_resnet50", num_classes=9, width=8)
    named = export_state_dict(image, source=VISION)
    state = rule_state({key: tuple(x.shape) for key, x in named.items()})
    made = convert(state, source=VISION, model="tpn_slowonly_resnet50", width=8)
    ours, theirs = made.state_dict(), state["layer3.1.conv1.weight"]
    kernel = ours["backbone.layer3.1.conv1.weight"]
    assert kernel.shape == (32, 128, 3, 1, 1)
    assert all(torch.allclose(kernel[:, :, step], theirs / 3) for step in range(3))
    assert torch.equal(ours["backbone.layer1.0.conv2.weight"], state["layer1.0.conv2.weight"])
    assert not torch.equal(ours["head.fc.weight"], state["fc.weight"])  # no place behind a neck
