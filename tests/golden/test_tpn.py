"""TPN against tensors measured on the authors' own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from golden.rule import legacy_normal, legacy_tensor
from kinema import convert, create_model
from kinema.layers.temporal_pyramid import Level, TemporalPyramid
from kinema.losses import AuxHead, AuxHeadConfig, CrossEntropyConfig, Objective
from kinema.models import VideoModel
from kinema.published import export_state_dict
from kinema.published.conversion import SOURCES

SOURCE = "decisionforce/TPN"
FLOWS = ("cascade", "parallel")
VOLUMES = ("r50f8s8_like", "r101f8s8_like", "r50f16s4_like", "r101f16s4_like", "ceil_T10_72px")
FRAMES = {
    "tsn2d": ("tpn_tsn_resnet50", {}),
    "tsm2d_official_inplace": ("tpn_tsm_resnet50", {}),
    "tsm2d_residual": ("tpn_tsm_resnet50", {"place": "residual"}),
}


@pytest.fixture(scope="session")
def stored(shared: Path) -> dict[str, Any]:
    return torch.load(shared / "golden" / "tpn.pt", weights_only=True)


def off(x: Tensor, wanted: Tensor) -> float:
    return float((x - wanted).norm() / wanted.norm())


def rates(case: dict[str, Any]) -> list[int]:
    return list(case["config"]["temporal_scales"])


def model_of(stored: dict[str, Any], case: str, flow: str) -> tuple[VideoModel, Tensor]:
    """The network of a case in float64, from the authors' tensors, and its clip."""
    weights, clip = stored["state_dict_3d"], stored["cases"][case]["input"].double()
    name, overrides = "tpn_slowonly_resnet50", {}
    if case in FRAMES:
        name, overrides = FRAMES[case]
        rest = {key: x for key, x in weights.items() if not key.startswith("backbone.")}
        weights, clip = {**stored["state_dict_2d_backbone"], **rest}, clip.transpose(1, 2)
    elif case in VOLUMES:
        overrides = {"rates": rates(stored["cases"][case])}
    model = convert(weights, source=SOURCE, model=name, width=8, flow=flow, **overrides)
    return model.double(), clip


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("case", [*VOLUMES, *FRAMES])
def test_logits_within_1e_10_in_float64_and_1e_4_in_float32(
    stored: dict[str, Any], case: str, flow: str
) -> None:
    model, clip = model_of(stored, case, flow)
    wanted = stored["cases"][case][f"logits_{flow}"]
    with torch.no_grad():
        assert off(model(clip), wanted) < 1e-10
        assert off(model.float()(clip.float()), wanted) < 1e-4


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("case", ["r50f8s8_like", "r101f8s8_like"])
def test_every_stage_of_the_neck(stored: dict[str, Any], case: str, flow: str) -> None:
    model, clip = model_of(stored, case, flow)
    neck, trace = model.neck, stored["cases"][case][f"trace_{flow}"]
    assert isinstance(neck, TemporalPyramid)
    with torch.no_grad():
        features = model.run(clip, neck.taps).features
        for tap, name in (("layer3", "res4"), ("layer4", "res5")):
            x = features[tap].flatten()
            wanted = stored["cases"][case]
            assert off(x[:: len(x) // 64], wanted[f"{name}_sample"]) < 1e-10
            mean, deviation = wanted[f"{name}_mean_std"]
            assert abs(float(x.mean()) - mean) + abs(float(x.std()) - deviation) < 1e-9
        maps = [features[tap] for tap in neck.taps]
        found: dict[str, list[Tensor]] = {
            "spatial": [part(x) for part, x in zip(neck.spatial, maps, strict=True)],
            "temporal": neck.modulated(maps),
        }
        flowed = neck.flowed(found["temporal"])
        found |= {"topdown": flowed["top_down"], "bottomup": flowed["bottom_up"]}
        found["out"] = [neck(features)]
    for name, tensors in found.items():
        wanted = trace[name] if isinstance(trace[name], list) else [trace[name]]
        for x, y in zip(tensors, wanted, strict=True):
            assert x.shape == y.shape
            assert off(x, y) < 1e-6, name  # traces are stored in float32
    # The maps of the fusions are no result of their own; hooks see them.
    fused = {}
    for name, part in neck.fusions.items():
        part.register_forward_hook(lambda _, __, y, name=name: fused.update({name: y}))
    with torch.no_grad():
        neck(features)
    assert off(fused["top_down"], trace["topdown_fused"]) < 1e-6
    assert off(fused["bottom_up"], trace["bottomup_fused"]) < 1e-6


def with_aux(stored: dict[str, Any], model: VideoModel) -> AuxHead:
    """The auxiliary head with the authors' weights, which converting leaves out."""
    term = AuxHeadConfig(dropout=0.0).build(model)
    theirs = {
        key.removeprefix("necks.aux_head."): x.squeeze(2) if x.ndim == 5 else x
        for key, x in stored["state_dict_3d"].items()
        if key.startswith("necks.aux_head.")
    }
    term.load_state_dict({key.replace("convs.", "unit."): x for key, x in theirs.items()})
    return term.double()


@pytest.mark.parametrize("case", VOLUMES)
def test_auxiliary_logits(stored: dict[str, Any], case: str) -> None:
    model, clip = model_of(stored, case, "cascade")
    term = with_aux(stored, model).eval()
    with torch.no_grad():
        logits = term.logits(model.run(clip, ["layer3"]).features["layer3"])
    assert off(logits, stored["cases"][case]["aux_logits"]) < 1e-10


def test_a_training_step_has_their_losses_and_gradients(stored: dict[str, Any]) -> None:
    case = stored["cases"]["train_r50f8s8_like"]
    model = convert(
        stored["state_dict_3d"], source=SOURCE, model="tpn_slowonly_resnet50", width=8, dropout=0.0
    ).double()
    aux = with_aux(stored, model)
    objective = Objective(model, [CrossEntropyConfig().build(model), aux]).train()
    # Their cross entropies are taken in float64 here.
    out = model.run(case["input"].double(), ["layer3"])
    loss = torch.nn.functional.cross_entropy(out.logits, case["labels"])
    side = aux.weight * torch.nn.functional.cross_entropy(
        aux.logits(out.features["layer3"]), case["labels"]
    )
    (loss + side).backward()
    assert abs(loss.item() - case["loss_cls"]) < 1e-9
    assert abs(side.item() - case["loss_aux_weighted"]) < 1e-9
    assert abs((loss + side).item() - case["loss_total"]) < 1e-9

    ours = {SOURCES[SOURCE].rename(model, name): p for name, p in model.named_parameters()}
    ours |= {
        f"necks.aux_head.{name.replace('unit.', 'convs.')}": p for name, p in aux.named_parameters()
    }
    assert ours.keys() == case["grad_norm"].keys()
    for name, wanted in case["grad_norm"].items():
        gradient = ours[name].grad
        assert gradient is not None
        assert abs(float(gradient.norm()) - wanted) < 1e-8 * max(wanted, 1e-3), name
    squares = sum(float(p.grad.square().sum()) for p in ours.values() if p.grad is not None)
    assert abs(squares**0.5 - case["total_grad_norm"]) < 1e-8 * case["total_grad_norm"]
    state = export_state_dict(model, source=SOURCE)
    for name, statistics in case["running_mean_after"].items():
        assert off(state[name], statistics) < 1e-6

    report = objective(case["input"].double(), case["labels"])  # the same through the objective
    assert set(report.parts) == {"cross_entropy", "aux_head"}


@pytest.mark.parametrize("flow", FLOWS)
def test_four_levels_with_upsampling(stored: dict[str, Any], flow: Any) -> None:
    case = stored["cases"]["neck_4level"]
    widths = case["config"]["in_channels"]
    taps = [f"layer{i + 1}" for i in range(4)]
    neck = TemporalPyramid(
        [Level(tap, c, 3 - i) for i, (tap, c) in enumerate(zip(taps, widths, strict=True))],
        flow=flow,
        rates=case["config"]["temporal_modulation_config"]["scales"],
        channels=64,
        fused_channels=256,
        out_channels=2048,
    )
    names = {SOURCES[SOURCE].rename(None, f"neck.{key}"): key for key in neck.state_dict()}  # type: ignore[arg-type]
    theirs = {f"necks.{key}": x for key, x in case["state_dict"].items()}
    shapes = {key: x.shape for key, x in neck.state_dict().items()}
    neck.load_state_dict({ours: theirs[key].view(shapes[ours]) for key, ours in names.items()})
    neck.double().eval()
    inputs = dict(zip(taps, [x.double() for x in case["inputs"]], strict=True))
    with torch.no_grad():
        assert off(neck(inputs), case[f"out_{flow}"]) < 1e-10


NETS = json.loads((Path(__file__).parent / "tpn.json").read_text())["nets"]


@pytest.mark.parametrize("tag", list(NETS))
def test_full_networks_within_1e_4_of_the_norm(tag: str) -> None:
    g = NETS[tag]
    with torch.device("meta"):
        empty = create_model(g["model"], num_classes=g["num_classes"])
    shapes = {k: tuple(x.shape) for k, x in export_state_dict(empty, source=SOURCE).items()}
    state = {key: legacy_tensor(key, shape) for key, shape in shapes.items()}
    frames_first = "slowonly" not in g["model"]
    shape = (1, 8, 3, 224, 224) if frames_first else (1, 3, 8, 224, 224)
    clip = legacy_normal(f"input:{tag}", shape).half().float()
    clip = (clip.transpose(1, 2) if frames_first else clip).contiguous()
    features = {}
    for flow in FLOWS:
        model = convert(state, source=SOURCE, model=g["model"], flow=flow)
        assert isinstance(model.neck, TemporalPyramid)
        with torch.no_grad():
            features = features or model.run(clip, model.neck.taps).features
            logits = model.head(model.neck(features))[0][0]
        wanted = g[flow]["norm"]
        assert abs(float(logits.norm()) - wanted) < 1e-4 * wanted
        assert (logits[:4] - torch.tensor(g[flow]["logits"])).abs().max() < 1e-4 * wanted
