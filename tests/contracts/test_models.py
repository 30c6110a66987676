"""What every model promises; a new family is under test the moment its file exists."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kinema import create_model, list_models, load, save
from kinema.layers.streaming import Streamable
from kinema.models import VideoModel
from kinema.types import InputSpec

INPUT = InputSpec(frames=4, resize=64, crop=64)
MODELS = list_models()


@cache
def small(name: str) -> VideoModel:
    torch.manual_seed(0)
    model = create_model(name, num_classes=5, input=INPUT, width=8).eval()
    _settle(model)
    return model


def _settle(model: VideoModel) -> None:
    """Head weights of a size that makes logits differ; otherwise nearly-zero logits hide errors."""
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)


def clips(count: int = 2, frames: int = 4, side: int = 64) -> Tensor:
    return INPUT.to_input(torch.randint(0, 256, (count, 3, frames, side, side), dtype=torch.uint8))


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_embedding_have_their_shapes(name: str) -> None:
    out = small(name).run(clips())
    assert out.logits.shape == (2, 5)
    assert out.embedding.ndim == 2


@pytest.mark.parametrize("name", MODELS)
def test_the_same_weights_run_other_lengths_and_sizes(name: str) -> None:
    for frames, side in ((8, 64), (5, 64), (1, 64), (4, 80)):
        assert small(name)(clips(1, frames, side)).shape == (1, 5)


@pytest.mark.parametrize("name", MODELS)
def test_a_clip_does_not_see_its_neighbours_in_the_batch(name: str) -> None:
    x = clips(3)
    with torch.no_grad():
        together = small(name)(x)
        alone = torch.cat([small(name)(x[i : i + 1]) for i in range(3)])
    assert (together - alone).norm() < 1e-5 * together.norm()


@pytest.mark.parametrize("name", MODELS)
def test_every_tap_comes_by_with_its_channels(name: str) -> None:
    model = small(name)
    found = model.run(clips(), list(model.backbone.tap_channels)).features
    assert {tap: x.shape[1] for tap, x in found.items()} == dict(model.backbone.tap_channels)
    modules = dict(model.backbone.named_modules())  # type: ignore[attr-defined]
    assert all(tap in modules for tap in found)
    assert all(x.is_contiguous(memory_format=torch.channels_last_3d) for x in found.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient_and_recomputing_gives_the_same(name: str) -> None:
    model = create_model(name, num_classes=5, input=INPUT, width=8, dropout=0.0).eval()
    _settle(model)
    x = clips()

    def gradients() -> list[Tensor]:
        model.zero_grad()
        model(x).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    plain = gradients()
    model.backbone.recompute = True
    for a, b in zip(plain, gradients(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_is_bit_equal(name: str, tmp_path: Path) -> None:
    model = small(name)
    save(model, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.spec == model.spec
    x = clips()
    with torch.no_grad():
        assert torch.equal(model(x), again(x))


@pytest.mark.parametrize("name", list_models("*_causal"))
def test_steps_of_a_causal_model_add_up_to_the_clip(name: str) -> None:
    model, x = small(name), clips(2, 5)
    assert isinstance(model.backbone, Streamable)
    state, logits = None, []
    with torch.no_grad():
        for t in range(5):
            y, state = model.step(x[:, :, t : t + 1], state)
            logits.append(y)
        assert torch.allclose(torch.stack(logits).mean(0), model(x), atol=1e-5)


@pytest.mark.parametrize(
    "name", [n for n in MODELS if not n.endswith("_causal") and not n.startswith("tsn_")]
)
def test_a_model_that_looks_ahead_refuses_to_step(name: str) -> None:
    with pytest.raises(TypeError, match="cannot run frame by frame"):
        small(name).step(clips(1, 1))


@pytest.mark.parametrize("name", MODELS)
def test_exports_with_dynamic_batch_and_time(name: str) -> None:
    model = small(name)
    last = list(model.backbone.tap_channels)[-1]
    with torch.no_grad():
        pooled = 64 // model.run(clips(1, 64), [last]).features[last].shape[2]
    # torch gives maps of a single step a graph of their own, so four are left behind all pooling
    batch, left = torch.export.Dim("batch", max=64), torch.export.Dim("left", min=4, max=16)
    shapes = {"clip": {0: batch, 2: left if pooled == 1 else pooled * left}}
    x = clips(2, 4 * pooled)
    program = torch.export.export(model, (x,), dynamic_shapes=shapes)
    other = clips(3, 6 * pooled)
    with torch.no_grad():
        assert torch.allclose(program.module()(other), model(other), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_other_modalities_change_what_sees_the_clip_only(name: str) -> None:
    flow = create_model(
        name, num_classes=5, width=8,
        input=replace(INPUT, modality="flow", stack=5, mean=(0.5,), std=(0.226,)),
    ).eval()  # fmt: skip
    assert flow.spec.input.channels == 10
    rgb = {k: x.shape for k, x in small(name).state_dict().items()}
    changed = {k: x.shape for k, x in flow.state_dict().items() if x.shape != rgb[k]}
    assert changed
    for key, (out, channels, *kernel) in changed.items():
        assert (channels, rgb[key]) == (10, (out, 3, *kernel))
    assert flow(torch.randn(1, 10, 4, 64, 64)).shape == (1, 5)
