"""TEINet (arXiv:1911.09435) on Kinetics-400 and Something-Something.

How TEINet was trained is not known to us: the settings are those that its first author published
for his next network (liu-zhy/temporal-adaptive-module, scripts), and the figures are those that
TDRL's table 1 and 2 (arXiv:2007.07626) give for TEINet.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe
from ..optim import TSM_RULES

SGD = Optim(momentum=0.9, weight_decay=1e-4, clip=20.0, rules=TSM_RULES)
SPAN = 64
"""Source frames that a densely sampled clip spans, whatever its length (TSM authors' code)."""


def with_frames(recipe: Recipe, frames: int, name: str) -> Recipe:
    """The recipe for clips of another length; dense clips span as many source frames as before.

    Args:
        recipe: with one phase.
        frames: T.
        name: the new recipe's.
    """
    stride = SPAN // frames if recipe.input.sampling == "dense" else 1
    return replace(
        recipe,
        name=name,
        input=replace(recipe.input, frames=frames, stride=stride),
        phases=(replace(recipe.phases[0], frames=frames, stride=stride),),
    )


@register_recipe()
def teinet_resnet50_k400() -> Recipe:
    """Kinetics-400, 8 frames, dense: 74.9 / 91.8 % with 10x3 views."""
    return Recipe(
        name="teinet_resnet50_k400",
        dataset="kinetics400",
        model="teinet_resnet50",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=8, sampling="dense", stride=SPAN // 8, resize=256, crop=224),
        init="imagenet",
        phases=(
            Phase(
                frames=8,
                stride=SPAN // 8,
                epochs=100,
                batch=64,
                lr=0.01,
                lr_batch=64,
                schedule=(50, 75, 90),
            ),
        ),
        optim=SGD,
        augment=Augment(crop="multiscale", flip=True),
        eval=EvalProtocol(views=10, crop="three", average="logit"),
    )


@register_recipe()
def teinet_resnet50_k400_16f() -> Recipe:
    """The same with 16 frames: 76.2 / 92.5 % with 10x3 views."""
    return with_frames(teinet_resnet50_k400(), 16, "teinet_resnet50_k400_16f")


@register_recipe()
def teinet_resnet50_sthv1() -> Recipe:
    """Something-Something V1, 8 frames: 47.4 % with 1x1 views. Never mirrored, like TSM."""
    return Recipe(
        name="teinet_resnet50_sthv1",
        dataset="something_v1",
        model="teinet_resnet50",
        model_args={"dropout": 0.6},
        input=InputSpec(frames=8, sampling="segments", resize=256, crop=224),
        init="imagenet",
        phases=(Phase(frames=8, epochs=50, batch=64, lr=0.01, lr_batch=64, schedule=(30, 40, 45)),),
        optim=replace(SGD, weight_decay=1e-3),
        augment=Augment(crop="multiscale", flip=False),
        eval=EvalProtocol(average="logit"),
    )


@register_recipe()
def teinet_resnet50_sthv1_16f() -> Recipe:
    """Something-Something V1, 16 frames: 49.9 % with 1x1 views."""
    return with_frames(teinet_resnet50_sthv1(), 16, "teinet_resnet50_sthv1_16f")


@register_recipe()
def teinet_resnet50_sthv2() -> Recipe:
    """Something-Something V2, 8 frames: 61.3 % with 1x1 views."""
    base = teinet_resnet50_sthv1()
    return replace(
        base,
        name="teinet_resnet50_sthv2",
        dataset="something_v2",
        model_args={"dropout": 0.5},
        phases=(replace(base.phases[0], batch=128, lr=0.02, lr_batch=128),),
        optim=replace(SGD, weight_decay=5e-4),
    )


@register_recipe()
def teinet_resnet50_sthv2_16f() -> Recipe:
    """Something-Something V2, 16 frames: 62.1 % with 1x1 views."""
    return with_frames(teinet_resnet50_sthv2(), 16, "teinet_resnet50_sthv2_16f")
