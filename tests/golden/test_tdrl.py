"""PEM, MEM, TIM, the video shuffle and TD-Loss against references written from the formulas."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.layers.enhancement import MotionEnhancement, ProgressiveEnhancement
from kinema.layers.interaction import TemporalInteraction
from kinema.layers.layout import fold, unfold
from kinema.layers.shift import TemporalShift
from kinema.layers.shuffle import VideoShuffle
from kinema.losses import TemporalDiversity
from kinema.types import Outputs

KINDS = {torch.float64: 1e-8, torch.float32: 1e-5}
STATE = {
    "W1": "difference.now.weight", "b1": "difference.now.bias", "W2": "difference.next.weight",
    "b2": "difference.next.bias", "Wg": "update.weight", "bg": "update.bias",
    "Wa": "expand.weight", "ba": "expand.bias", "W3": "expand.weight",
}  # fmt: skip


@cache
def golden() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "tdrl.json").read_text())


@pytest.fixture(scope="session")
def large(shared: Path) -> dict[str, Any]:
    return torch.load(shared / "golden" / "tsm.pt", weights_only=True)


def tensor(stored: dict[str, Any]) -> Tensor:
    return torch.tensor(stored["data"], dtype=torch.float64).view(stored["shape"])


def clip(frames: Tensor, side: int = 2) -> Tensor:
    """(N, T, C) -> (N, C, T, side, side) whose frames have these means, not constant."""
    ripple = torch.linspace(-1, 1, side * side, dtype=frames.dtype).view(side, side)
    return frames.transpose(1, 2)[..., None, None] + ripple


def state(stored: dict[str, Any]) -> dict[str, Tensor]:
    return {name: tensor(value) for name, value in stored.items()}


def loss(z: Tensor, share: float) -> Tensor:
    return TemporalDiversity(("tap",), share=share)(Outputs(z, z, {"tap": z}), z)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", ["ones", "zeros"])
def test_pem_within_1e_8_and_1e_5_in_float32(last: Any, kind: torch.dtype) -> None:
    g, x = golden()["pem"], clip(tensor(golden()["frames"])).to(kind)
    pem = ProgressiveEnhancement(x.shape[1], g["reduction"], last_difference=last).to(kind)
    pem.load_state_dict(state(g["state"]))
    weights = pem.weights(x)
    assert (weights - tensor(g["weights"][last])).abs().max() < KINDS[kind]
    assert torch.equal(pem(x)[:, :, 1, 0, 1], x[:, :, 1, 0, 1] * weights[:, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_mem_within_1e_8_and_1e_5_in_float32(kind: torch.dtype) -> None:
    g, x = golden()["mem"], clip(tensor(golden()["frames"])).to(kind)
    mem = MotionEnhancement(x.shape[1], g["reduction"], bias=False).to(kind)
    mem.load_state_dict(state(g["state"]))
    weights = mem.weights(x)
    assert (weights - tensor(g["weights"])).abs().max() < KINDS[kind]
    assert torch.equal(mem(x)[:, :, 1, 0, 1], x[:, :, 1, 0, 1] * weights[:, 1])
    assert torch.equal(mem(x)[:, :, -1], x[:, :, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_tim_within_1e_8_and_1e_5_in_float32(kind: torch.dtype) -> None:
    g, x = golden()["tim"], clip(tensor(golden()["frames"])).to(kind)
    tim = TemporalInteraction(x.shape[1]).to(kind)
    assert (tim(x) - TemporalShift(8)(x)).abs().max() < KINDS[kind]
    tim.load_state_dict({"weight": tensor(g["weight"])})
    means = tim(x).mean((3, 4)).transpose(1, 2)
    assert (means - tensor(g["y"])).abs().max() < KINDS[kind]


def test_video_shuffle_is_exact_and_undoes_itself() -> None:
    g = golden()["shuffle"]
    x, y = tensor(g["x"]).transpose(1, 2), tensor(g["y"]).transpose(1, 2)
    assert torch.equal(VideoShuffle()(x), y)
    assert torch.equal(VideoShuffle()(VideoShuffle()(x)), x)


@pytest.mark.parametrize("kind", KINDS)
def test_diversity_within_1e_8_and_1e_5_in_float32(kind: torch.dtype) -> None:
    g = golden()["diversity"]
    z = tensor(g["z"]).transpose(1, 2).to(kind)
    assert abs(loss(z, 0.5).item() - g["loss"]) < KINDS[kind]
    assert abs(loss(z, 1.0).item() - g["loss_full"]) < KINDS[kind]


@pytest.mark.parametrize("case", ["ones", "zeros"])
def test_pem_on_whole_maps_within_1e_12(case: Any, large: dict[str, Any]) -> None:
    g = large["spec_pem"][case]
    pem = ProgressiveEnhancement(16, g["reduction"], last_difference=case).double()
    pem.load_state_dict({STATE[key]: value for key, value in g["params"].items()})
    assert (fold(pem(unfold(g["x"], 2))) - g["y"]).abs().max() < 1e-12


def test_the_others_on_whole_maps_within_1e_12(large: dict[str, Any]) -> None:
    g = large["spec_mem"]
    mem = MotionEnhancement(16, g["reduction"], bias=False).double()
    mem.load_state_dict({STATE[key]: value for key, value in g["params"].items()})
    assert (fold(mem(unfold(g["x"], 2))) - g["y"]).abs().max() < 1e-12
    g = large["spec_tim"]
    tim = TemporalInteraction(16).double()
    assert torch.equal(tim.weight, g["shift_init_weight"])
    assert (fold(tim(unfold(g["x"], 2))) - g["y_shift_init"]).abs().max() < 1e-12
    tim.load_state_dict({"weight": g["weight"]})
    assert (fold(tim(unfold(g["x"], 2))) - g["y"]).abs().max() < 1e-12


def test_gradient_of_diversity_within_1e_12(large: dict[str, Any]) -> None:
    g = large["spec_tdloss"]
    z = unfold(g["z"], 2).detach().requires_grad_()
    loss(z, g["ratio"]).backward()
    assert z.grad is not None
    assert (fold(z.grad) - g["grad"]).abs().max() < 1e-12
