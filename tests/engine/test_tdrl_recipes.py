"""TDRL's recipes, and its paper's ablations as overrides of one of them."""

from __future__ import annotations

import pytest
import torch

from kinema.engine.config import override, recipes
from kinema.layers.enhancement import ProgressiveEnhancement
from kinema.losses import Objective, TemporalDiversity
from kinema.models import create_model

ALONE = "model_args.pem_position=none"
OFF = "loss.1.weight=0"
LAST = [f"{block}.temporal" for block in ("layer2.3", "layer3.5", "layer4.2")]
FRONT = "[layer2.3.before, layer3.5.before, layer4.2.before]"

ABLATIONS = {
    "temporal module alone": [ALONE, OFF],
    **{f"share {s:.0%}": [ALONE, f"loss.1.share={s}"] for s in (0.25, 0.5, 0.75, 1.0)},
    **{f"weight {w}e-4": [ALONE, f"loss.1.weight={w}e-4"] for w in (1, 2, 3, 4)},
    "PEM before": [OFF],
    "PEM after": [OFF, "model_args.pem_position=after"],
    "loss before": [ALONE, f"loss.1.taps={FRONT}"],
    "loss after": [ALONE],
    "memory from zeros": ["model_args.memory_start=zeros"],
    **{f"with {t}": [f"model_args.temporal={t}"] for t in ("tsm", "tim", "mem", "vsn", "none")},
    "other choices of PEM": ["model_args.reduction=4", "model_args.gate=channel"],
    "other channels": ["loss.1.channels=spread"],
}


def objective(assignments: list[str]) -> Objective:
    recipe = override(recipes["tdrl_resnet50_sthv1"](), [*assignments, "model_args.width=8"])
    with torch.device("meta"):
        model = create_model(recipe.model, num_classes=5, **recipe.model_args)
        return Objective(model, [term.build(model) for term in recipe.loss])


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_an_override(name: str) -> None:
    built = objective(ABLATIONS[name])
    term = built.terms["temporal_diversity"]
    assert isinstance(term, TemporalDiversity)
    assert (ALONE in ABLATIONS[name]) != any(
        isinstance(part, ProgressiveEnhancement) for part in built.modules()
    )
    assert (term.weight == 0) == (OFF in ABLATIONS[name])
    place = "before" if name == "loss before" else "temporal"
    assert list(term.taps) == [tap.replace("temporal", place) for tap in LAST]
    if name.startswith("share"):
        assert f"share {term.share:.0%}" == name
    if name.startswith("weight"):
        assert f"weight {term.weight * 1e4:.0f}e-4" == name


@pytest.mark.parametrize("family", ["tdrl", "teinet"])
@pytest.mark.parametrize(
    ("name", "frames", "stride", "views", "rate", "decay"),
    [
        ("k400", 8, 8, "10x3", 0.01, 1e-4),
        ("k400_16f", 16, 4, "10x3", 0.01, 1e-4),
        ("sthv1", 8, 1, "1x1", 0.01, 1e-3),
        ("sthv1_16f", 16, 1, "1x1", 0.01, 1e-3),
        ("sthv2", 8, 1, "1x1", 0.02, 5e-4),
        ("sthv2_16f", 16, 1, "1x1", 0.02, 5e-4),
    ],
)
def test_settings(family, name, frames, stride, views, rate, decay) -> None:
    recipe = recipes[f"{family}_resnet50_{name}"]()
    spec = recipe.input_for(recipe.phases[0])
    assert (spec.frames, spec.stride, recipe.eval.name) == (frames, stride, views)
    assert spec == recipe.input
    assert (recipe.phases[0].peak_lr, recipe.optim.weight_decay) == (rate, decay)
    kinds = [term.kind for term in recipe.loss]
    assert kinds == ["cross_entropy"] + ["temporal_diversity"] * (family == "tdrl")
    if family == "tdrl":
        assert (recipe.loss[1].weight, recipe.loss[1].share) == (2e-4, 0.5)


def test_two_clips_and_three_crops_are_an_override() -> None:
    assert override(recipes["tdrl_resnet50_sthv1"](), ["eval=2x3"]).eval.name == "2x3"
