"""SlowFast (arXiv:1812.03982) as its authors and mmaction2 train it, from scratch.

Facts from facebookresearch/SlowFast (configs/Kinetics, MODEL_ZOO.md, slowfast/utils/lr_policy.py)
and open-mmlab/mmaction2 (configs/recognition/slowfast and its metafile.yml). "4x16" and "8x8" are
steps and stride of the slow path; clips have the 32 frames of the fast path, two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...types import JSON, EvalProtocol, InputSpec
from ..config import Augment, Optim, ParamRule, Phase, Recipe, register_recipe

CLIP = InputSpec(frames=32, sampling="dense", stride=2, resize=256, crop=224)
# DATA.MEAN and DATA.STD of the authors' defaults.py; mmaction2 has ImageNet's, our default.
AUTHORS_CLIP = replace(CLIP, mean=(0.45,), std=(0.225,))
EIGHT: Mapping[str, JSON] = {"alpha": 4, "fusion_kernel": 7}
MMACTION2: Mapping[str, JSON] = {"slow_frames": "every", "lateral_norm": False}
THIRTY = EvalProtocol(views=10, crop="three", average="prob")  # three crops of 256
# SOLVER of the authors' files; defaults.py: Nesterov's momentum; BN.WEIGHT_DECAY 0.
SGD = Optim(
    momentum=0.9, nesterov=True, weight_decay=1e-4, rules=(ParamRule(role="norm", decay=0.0),)
)
MMACTION2_SGD = Optim(momentum=0.9, weight_decay=1e-4, clip=40.0)
# Short side drawn from 256 to 320, crop 224: a share of 0.7 to 0.875 of the short side.
JITTER = Augment(crop="multiscale", scales=(0.875, 0.8, 0.75, 0.7), flip=True)


@register_recipe()
def slowfast_resnet50_4x16_k400() -> Recipe:
    """Kinetics-400, 4x16: 75.6 % top-1, 92.0 % top-5, ten clips, three crops (authors' model zoo).

    SLOWFAST_4x16_R50.yaml: 196 epochs, warm-up over 34 from a tenth of the rate, 0.1 for 64 clips.

    Deviation: the cosine begins behind the warm-up, in the authors' file at its start; scales are
    four and positions 13, there both are drawn freely; statistics of norms are those of training,
    there they are counted again before each test.
    """
    return Recipe(
        name="slowfast_resnet50_4x16_k400",
        dataset="kinetics400",
        model="slowfast_resnet50",
        model_args={"dropout": 0.5},
        input=AUTHORS_CLIP,
        phases=(
            Phase(frames=32, stride=2, epochs=196, batch=64, lr=0.1, lr_batch=64, warmup=34.0),
        ),
        optim=SGD,
        augment=JITTER,
        eval=THIRTY,
    )


@register_recipe()
def slowfast_resnet50_8x8_k400() -> Recipe:
    """Kinetics-400, 8x8: 77.0 % top-1, 92.6 % top-5 (authors' model zoo); SLOWFAST_8x8_R50.yaml."""
    base = slowfast_resnet50_4x16_k400()
    return replace(base, name="slowfast_resnet50_8x8_k400", model_args={"dropout": 0.5, **EIGHT})


@register_recipe()
def slowfast_resnet50_4x16_k400_mmaction2() -> Recipe:
    """mmaction2's network and schedule, 4x16, 256 epochs: 75.55 % top-1, 92.35 % top-5.

    Deviation: the cosine begins behind the warm-up, in mmaction2's file at its start.
    """
    base = slowfast_resnet50_4x16_k400()
    return replace(
        base,
        name="slowfast_resnet50_4x16_k400_mmaction2",
        model_args={"dropout": 0.5, **MMACTION2},
        input=CLIP,
        phases=(replace(base.phases[0], epochs=256),),
        optim=MMACTION2_SGD,
        augment=Augment(crop="random_resized", flip=True),
    )


@register_recipe()
def slowfast_resnet50_8x8_k400_mmaction2() -> Recipe:
    """mmaction2's network and schedule, 8x8: 76.80 % top-1, 92.99 % top-5."""
    return replace(
        slowfast_resnet50_4x16_k400_mmaction2(),
        name="slowfast_resnet50_8x8_k400_mmaction2",
        model_args={"dropout": 0.5, **EIGHT, **MMACTION2},
    )


@register_recipe()
def slowfast_resnet101_8x8_k400_mmaction2() -> Recipe:
    """mmaction2's network and schedule, 8x8, 101 layers: 77.9 % top-1, 93.51 % top-5.

    The figure is of an earlier release, on 32 GPUs.
    """
    return replace(
        slowfast_resnet50_8x8_k400_mmaction2(),
        name="slowfast_resnet101_8x8_k400_mmaction2",
        model="slowfast_resnet101",
    )
