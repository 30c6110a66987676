"""Budgets of the motion benchmark: what a model may spend on one definition at one size.

Every model gets the same steps, clips and pictures; `--model` and `model_args` are what changes.
Clips are never mirrored or cut: where something is and where it goes is what they are about.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe


@register_recipe()
def motion_tiny() -> Recipe:
    """A quarter-width ResNet-18 for 300 steps: about two minutes of one CPU core."""
    return Recipe(
        name="motion_tiny",
        dataset="motion",
        model="tsm_resnet18",
        model_args={"width": 16, "dropout": 0.0},
        input=InputSpec(frames=8, resize=48, crop=48),
        phases=(Phase(frames=8, steps=300, batch=32, lr=0.05, warmup=20),),
        optim=Optim(nesterov=True, weight_decay=1e-4, clip=20.0),
        augment=Augment(crop="center", flip=False),
        eval_every=4,
        workers=1,
    )


@register_recipe()
def motion_small() -> Recipe:
    """A half-width ResNet-18 for 1000 steps: about twenty minutes on two CPU cores."""
    return replace(
        motion_tiny(),
        name="motion_small",
        model_args={"width": 32, "dropout": 0.0},
        input=InputSpec(frames=8, resize=80, crop=80),
        phases=(Phase(frames=8, steps=1000, batch=32, lr=0.05, warmup=50),),
    )


@register_recipe()
def motion_full() -> Recipe:
    """A ResNet-50 from scratch for 5000 steps of 64 clips: for a GPU."""
    return replace(
        motion_tiny(),
        name="motion_full",
        model="tsm_resnet50",
        model_args={"dropout": 0.0},
        input=InputSpec(frames=8, resize=112, crop=112),
        phases=(Phase(frames=8, steps=5000, batch=64, lr=0.05, warmup=250),),
        workers=-1,
    )
