"""TD-Loss: by hand, its gradient, its taps, half precision, recomputed activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.engine.config import Phase, Recipe, load_recipe, override, save_recipe
from kinema.losses import CrossEntropyConfig, DiversityConfig, Objective, TemporalDiversity
from kinema.losses.diversity import frame_similarity, last_temporal_taps
from kinema.models import create_model
from kinema.types import Outputs


def loss(x: Tensor, share: float = 1.0, channels: str = "first") -> Tensor:
    term = TemporalDiversity(("tap",), share=share, channels=channels)
    return term(Outputs(x, x, {"tap": x}), x)


def test_it_is_the_formula_pair_by_pair() -> None:
    x = torch.randn(2, 6, 4, 3, 3, dtype=torch.float64)
    total = 0.0
    for clip in x:
        for channel in clip[:3]:  # half of six
            pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
            cosines = [
                F.cosine_similarity(channel[i].flatten(), channel[j].flatten(), dim=0)
                for i, j in pairs
            ]
            total += sum(cosines) / len(pairs)
    torch.testing.assert_close(loss(x, 0.5), total / 2)


def test_values_anyone_can_check() -> None:
    still = torch.rand(1, 4, 1, 3, 3).expand(1, 4, 5, 3, 3)
    assert loss(still).item() == pytest.approx(4)  # every channel as similar as can be
    assert loss(still, 0.5).item() == pytest.approx(2)
    apart = torch.eye(4).view(1, 1, 4, 2, 2)  # four frames, each a different pixel
    assert loss(apart).item() == 0
    assert loss(torch.rand(1, 4, 1, 3, 3)).item() == 0  # one frame has no pairs


def test_which_channels_count() -> None:
    x = torch.zeros(1, 8, 1, 1, 1)
    x[0, :, 0, 0, 0] = torch.arange(8)
    chosen = {
        name: TemporalDiversity((), share=0.5, channels=name).chosen(x).flatten().tolist()
        for name in ("first", "last", "spread")
    }
    assert chosen == {"first": [0, 1, 2, 3], "last": [4, 5, 6, 7], "spread": [0, 2, 4, 6]}


def test_a_zero_frame_is_similar_to_nothing_and_gets_no_gradient() -> None:
    x = torch.rand(1, 2, 3, 2, 2)
    x[:, :, 0] = 0
    x.requires_grad_()
    similarity = frame_similarity(x)
    assert similarity[:, :, 0].abs().max() == 0
    torch.testing.assert_close(similarity[:, :, 1, 1], torch.ones(1, 2))
    loss(x).backward()
    assert x.grad is not None
    assert x.grad[:, :, 0].abs().max() == 0
    assert x.grad.isfinite().all()
    assert x.grad[:, :, 1].abs().max() > 0


def test_gradcheck() -> None:
    x = torch.randn(2, 4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss(x, 0.5), x)
    assert torch.autograd.gradcheck(lambda x: loss(x, 0.5, "spread"), x)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(kind: torch.dtype) -> None:
    x = (100 * torch.randn(1, 4, 3, 8, 8)).to(kind)  # the products overflow float16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(x.float()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "taps"),
    [
        ("tdrl_resnet50", ("layer2.3.temporal", "layer3.5.temporal", "layer4.2.temporal")),
        ("tsm_resnet18", ("layer2.1.temporal", "layer3.1.temporal", "layer4.1.temporal")),
    ],
)
def test_taps_are_those_of_the_model(name: str, taps: tuple[str, ...]) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=3, width=8)
    assert DiversityConfig().build(model).taps == taps
    assert DiversityConfig(taps=("layer1",)).build(model).taps == ("layer1",)
    assert last_temporal_taps(model.backbone.tap_channels, 1) == taps[-1:]


def test_a_model_without_stages_is_refused() -> None:
    with torch.device("meta"):
        model = create_model("tsm_mobilenetv2", num_classes=3, width=8)
    with pytest.raises(ValueError, match="tsm_mobilenetv2 has no stages .* give taps, of features"):
        DiversityConfig().build(model)


def test_a_share_that_leaves_no_channel_is_refused() -> None:
    with torch.device("meta"):
        model = create_model("tdrl_resnet18", num_classes=3, width=8)
    with pytest.raises(ValueError, match=r"share=0.1 leaves none of the 8 channels of layer1.1"):
        DiversityConfig(share=0.1, taps=("layer1.1.before",)).build(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, r"share=0.0 must be above 0 and at most 1"),
        ({"share": 1.5}, r"share=1.5 must be above 0 and at most 1"),
        ({"channels": "even"}, r"channels='even' must be one of first, last, spread"),
    ],
)
def test_options_out_of_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        DiversityConfig(**options)


def test_training_pulls_the_frames_apart_with_and_without_recomputing() -> None:
    model = create_model("tdrl_resnet18", num_classes=3, width=8, dropout=0.0)
    terms = [CrossEntropyConfig(), DiversityConfig(weight=0.1)]
    objective = Objective(model, [term.build(model) for term in terms])
    clip, target = torch.randn(2, 3, 4, 32, 32), torch.tensor([0, 2])
    gradients = []
    for again in (False, True):
        model.backbone.recompute = again
        model.zero_grad()
        report = objective(clip, target)
        report.total.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert list(report.parts) == ["cross_entropy", "temporal_diversity"]
    total = report.parts["cross_entropy"] + 0.1 * report.parts["temporal_diversity"]
    torch.testing.assert_close(report.total.detach(), total)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    before = report.parts["temporal_diversity"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        report = objective(clip, target)
        report.total.backward()
        optimizer.step()
    assert report.parts["temporal_diversity"] < before


def test_it_can_be_asked_for_on_the_command_line() -> None:
    recipe = Recipe(model="tsm_resnet18", phases=(Phase(frames=8, epochs=1),))
    wanted = "loss=[{kind: cross_entropy}, {kind: temporal_diversity}]"
    assert override(recipe, [wanted]).loss == (CrossEntropyConfig(), DiversityConfig())


def test_yaml_keeps_it(tmp_path) -> None:
    recipe = Recipe(
        model="tdrl_resnet18",
        phases=(Phase(frames=8, epochs=1),),
        loss=(CrossEntropyConfig(), DiversityConfig(share=0.25, taps=("layer4.1.before",))),
    )
    save_recipe(recipe, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == recipe
