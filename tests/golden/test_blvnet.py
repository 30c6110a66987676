"""bLVNet-TAM and TAM-ResNet against tensors measured on the authors' own code."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from golden.rule import rule_clip, rule_state
from kinema import convert, create_model, profile
from kinema.layers.aggregation import TemporalAggregation
from kinema.layers.layout import fold, unfold
from kinema.models import VideoModel
from kinema.published import export_state_dict

BLVNET, RESNET, IMAGE = "IBM/bLVNet-TAM", "IBM/action-recognition-pytorch", "IBM/BigLittleNet"


@cache
def golden() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "blvnet.json").read_text())


def tensor(stored: dict[str, Any]) -> Tensor:
    return torch.tensor(stored["data"], dtype=torch.float32).view(stored["shape"])


def clip(frames: Tensor) -> Tensor:
    """(N, 3 * T, H, W), as their code has it, to (N, 3, T, H, W)."""
    x = frames.unflatten(1, (-1, 3)).transpose(1, 2)
    return x.contiguous(memory_format=torch.channels_last_3d)


def official(source: str, name: str) -> VideoModel:
    """A model with rule-made weights; their seeds are the official names, so these are checked."""
    with torch.device("meta"):
        empty = create_model(name, num_classes=174)
    shapes = {k: tuple(x.shape) for k, x in export_state_dict(empty, source=source).items()}
    return convert(rule_state(shapes), source=source, model=name)


@pytest.mark.parametrize("case", ["r1", "r3", "r5", "r7", "tsm_fold8"])
def test_aggregation_within_1e_6(case: str) -> None:
    g = golden()["tam"][case]
    tam = TemporalAggregation(g["channels"], g["r"])
    with torch.no_grad():
        for weight, value in zip(tam.weights, g["weights"], strict=True):
            weight.copy_(tensor(value).view_as(weight))
    x = unfold(tensor(g["input"]), len(tensor(g["input"])) // g["frames"]).requires_grad_()
    y = tam(x)
    y.backward(unfold(tensor(g["grad_out"]), len(x)))
    assert x.grad is not None
    assert torch.allclose(fold(y), tensor(g["output"]), atol=1e-6)
    assert torch.allclose(fold(x.grad), tensor(g["grad_input"]), atol=1e-6)
    for weight, value in zip(tam.weights, g["grad_weights"], strict=True):
        assert weight.grad is not None
        assert torch.allclose(weight.grad.flatten(), tensor(value), atol=1e-5)


def test_network_and_its_stages_within_1e_5_of_the_norm() -> None:
    g = golden()["net"]
    model = official(BLVNET, g["model"])
    x = clip(rule_clip(g["input_tag"], tuple(g["input_shape"])))
    with torch.no_grad():
        out = model.run(x, ["layer1", "layer2", "layer3", "layer4"])
    wanted = tensor(g["logits"])
    assert (out.logits - wanted).norm() < 1e-5 * wanted.norm()
    for name, feature in out.features.items():
        probe = g["probes"][name]  # behind stages 1 to 3 theirs holds every map twice
        assert list(fold(feature).shape[1:]) == probe["shape"][1:]
        assert abs(float(feature.mean()) - probe["mean"]) < 1e-5
        assert float(feature.std()) == pytest.approx(probe["std"], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["d50_8x2_64", "d50_8x2_72", "d50_16x2_64", "tamresnet18_f8_64"])
def test_more_networks(shared: Path, case: str, dtype: torch.dtype) -> None:
    stored = torch.load(shared / "golden" / "blvnet.pt", weights_only=True)
    g, shapes = stored["cases"][case], stored["specs"][stored["cases"][case]["spec"]]
    source, name = (RESNET, "tam_resnet18") if "tam" in case else (BLVNET, "blvnet_tam_resnet50")
    model = convert(rule_state(shapes), source=source, model=name).to(dtype)
    with torch.no_grad():
        logits = model(clip(g["input_f16"].to(dtype)))
    wanted = g["logits_f64"] if dtype == torch.float64 else g["logits"]
    bound = 1e-10 if dtype == torch.float64 else 1e-5
    assert (logits - wanted).norm() < bound * wanted.norm()


# (model, options, classes, frames, side, parameters, multiply-adds)
COSTS = [
    ("blvnet_tam_resnet50", {}, 174, 16, 224, 25_020_142, 23_851_302_912),
    ("blvnet_tam_resnet50", {}, 174, 32, 224, 25_020_142, 47_702_605_824),
    ("blvnet_tam_resnet50", {}, 174, 48, 224, 25_020_142, 71_553_908_736),
    ("blvnet_tam_resnet50", {}, 174, 64, 224, 25_020_142, 95_405_211_648),
    ("blvnet_tam_resnet101", {}, 174, 16, 224, 40_177_134, 32_149_209_088),
    ("blvnet_tam_resnet101", {}, 174, 32, 224, 40_177_134, 64_298_418_176),
    ("blvnet_tam_resnet101", {}, 174, 48, 224, 40_177_134, 96_447_627_264),
    ("blvnet_tam_resnet101", {}, 174, 64, 224, 40_177_134, 128_596_836_352),
    ("blvnet_tam_resnet50", {}, 400, 16, 256, 25_483_216, 31_155_552_256),
    ("blvnet_tam_resnet50", {}, 400, 32, 256, 25_483_216, 62_311_104_512),
    ("blvnet_tam_resnet50", {}, 400, 48, 256, 25_483_216, 93_466_656_768),
    ("blvnet_tam_resnet50", {}, 400, 16, 224, 25_483_216, 23_855_005_696),
    ("blvnet_tam_resnet101", {}, 400, 16, 224, 40_640_208, 32_152_911_872),
    ("blvnet_tam_resnet50", {"temporal": False}, 174, 16, 224, 25_002_094, 23_779_049_472),
    ("tsn_blresnet50", {}, 1000, 1, 224, 26_694_568, 2_856_058_880),
    ("tsn_blresnet101", {}, 1000, 1, 224, 41_851_560, 3_893_297_152),
    ("tam_resnet50", {}, 400, 8, 224, 24_366_992, 32_838_516_736),
    ("tam_resnet50", {}, 400, 32, 224, 24_366_992, 131_354_066_944),
    ("tam_resnet101", {}, 400, 32, 224, 43_411_344, 250_472_693_760),
]


@pytest.mark.parametrize(("name", "options", "classes", "frames", "side", "params", "macs"), COSTS)
def test_costs_are_exact(
    name: str, options: Any, classes: int, frames: int, side: int, params: int, macs: int
) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, **options)
    cost = profile(model, (3, frames, side, side))
    assert (cost.params, cost.macs) == (params, macs)
    assert sum(stage.macs for stage in cost.stages) == macs


@pytest.mark.parametrize(("r", "extra"), [(1, 6_016), (3, 18_048), (5, 30_080), (7, 42_112)])
def test_the_aggregation_costs_r_weights_per_channel(r: int, extra: int) -> None:
    with torch.device("meta"):
        model = create_model("blvnet_tam_resnet50", num_classes=174, tam_r=r)
    assert sum(p.numel() for p in model.parameters()) == 25_002_094 + extra


def test_fresh_aggregations_have_the_deviation_of_theirs() -> None:
    """They are caught by the loop over all convolutions, whose fan out is the channel count."""
    torch.manual_seed(0)
    mine = export_state_dict(create_model("blvnet_tam_resnet50", num_classes=174), source=BLVNET)
    for key, std in golden()["init_stds"].items():
        assert float(mine[key].std()) == pytest.approx(std, rel=0.35), key


def test_image_weights_start_the_video_network_and_nothing_is_missing() -> None:
    torch.manual_seed(0)
    image = create_model("tsn_blresnet50", num_classes=1000, width=16)
    published = export_state_dict(image, source=IMAGE)
    video = convert(published, source=IMAGE, model="blvnet_tam_resnet50", width=16)
    own = video.backbone.state_dict()  # type: ignore[attr-defined]
    for key, value in image.backbone.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(own[key], value)
    del published["layer2.big.1.conv2.weight"]
    with pytest.raises(ValueError, match=r"missing    layer2\.big\.1\.conv2\.weight"):
        convert(published, source=IMAGE, model="blvnet_tam_resnet50", width=16)
