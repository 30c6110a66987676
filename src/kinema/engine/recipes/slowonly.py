"""The slow path alone (arXiv:1812.03982) as mmaction2 trains it.

Facts from open-mmlab/mmaction2 (configs/recognition/slowonly and its metafile.yml). "4x16" are 4
frames, 16 apart.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe


@register_recipe()
def slowonly_resnet50_4x16_k400() -> Recipe:
    """Kinetics-400, 4x16, from scratch: 72.97 % top-1, 90.88 % top-5, ten clips, three crops.

    256 epochs, warm-up over 34 from a tenth of the rate, cosine, 0.2 for 128 clips.
    """
    return Recipe(
        name="slowonly_resnet50_4x16_k400",
        dataset="kinetics400",
        model="slowonly_resnet50",
        model_args={"dropout": 0.5, "zero_init": True},
        input=InputSpec(frames=4, sampling="dense", stride=16, resize=256, crop=224),
        phases=(
            Phase(frames=4, stride=16, epochs=256, batch=128, lr=0.2, lr_batch=128, warmup=34.0),
        ),
        optim=Optim(momentum=0.9, weight_decay=1e-4, clip=40.0),
        augment=Augment(crop="random_resized", flip=True),
        eval=EvalProtocol(views=10, crop="three", average="prob"),
    )


def _eight(base: Recipe, name: str) -> Recipe:
    """The recipe with 8 frames, 8 apart."""
    phase = replace(base.phases[0], frames=8, stride=8)
    spec = replace(base.input, frames=8, stride=8)
    return replace(base, name=name, input=spec, phases=(phase,))


@register_recipe()
def slowonly_resnet50_8x8_k400() -> Recipe:
    """Kinetics-400, 8x8, from scratch: 75.15 % top-1, 92.11 % top-5."""
    return _eight(slowonly_resnet50_4x16_k400(), "slowonly_resnet50_8x8_k400")


@register_recipe()
def slowonly_resnet101_8x8_k400() -> Recipe:
    """Kinetics-400, 8x8, 101 layers, 196 epochs from scratch: 76.5 % top-1, 92.7 % top-5.

    The figure is of an earlier release.
    """
    base = slowonly_resnet50_8x8_k400()
    return replace(
        base,
        name="slowonly_resnet101_8x8_k400",
        model="slowonly_resnet101",
        phases=(replace(base.phases[0], epochs=196),),
    )


@register_recipe()
def slowonly_resnet50_4x16_k400_imagenet() -> Recipe:
    """Kinetics-400, 4x16, from ImageNet: 73.39 % top-1, 91.12 % top-5.

    150 epochs, warm-up over 10, rate 0.02 for 128 clips, divided by 10 at 90 and 130. This figure
    and that of 8x8 are of an earlier release.
    """
    base = slowonly_resnet50_4x16_k400()
    phase = replace(base.phases[0], epochs=150, lr=0.02, warmup=10.0, schedule=(90, 130))
    return replace(
        base,
        name="slowonly_resnet50_4x16_k400_imagenet",
        model_args={"dropout": 0.5},
        init="imagenet",
        phases=(phase,),
    )


@register_recipe()
def slowonly_resnet50_8x8_k400_imagenet() -> Recipe:
    """Kinetics-400, 8x8, from ImageNet: 75.55 % top-1, 92.04 % top-5."""
    return _eight(slowonly_resnet50_4x16_k400_imagenet(), "slowonly_resnet50_8x8_k400_imagenet")
