"""TSN (arXiv:1608.00859) as the TSM authors and mmaction2 train it.

Facts from mit-han-lab/temporal-shift-module (scripts) and open-mmlab/mmaction2
(configs/recognition/tsn).
"""

from __future__ import annotations

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe
from ..optim import TSM_RULES


@register_recipe()
def tsn_resnet50_k400() -> Recipe:
    """Kinetics-400, trained on 5 frames, tested on 8: 68.8 % top-1, centre crop (TSM's README)."""
    return Recipe(
        name="tsn_resnet50_k400",
        dataset="kinetics400",
        model="tsn_resnet50",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=5, sampling="segments", resize=256, crop=224),
        test_frames=8,
        init="imagenet",
        phases=(Phase(frames=5, epochs=50, batch=128, lr=0.02, lr_batch=128, schedule=(20, 40)),),
        optim=Optim(momentum=0.9, weight_decay=1e-4, clip=20.0, rules=TSM_RULES),
        augment=Augment(crop="multiscale", flip=True),
        eval=EvalProtocol(average="logit"),
    )


@register_recipe()
def tsn_resnet50_k400_mmaction2() -> Recipe:
    """Kinetics-400, trained on 3 frames, tested on 25 with ten crops: 72.83 % top-1 (mmaction2).

    Deviation: multi-scale crops have 13 positions here, five there; the classifier starts with a
    deviation of 0.001, there 0.01.
    """
    return Recipe(
        name="tsn_resnet50_k400_mmaction2",
        dataset="kinetics400",
        model="tsn_resnet50",
        model_args={"dropout": 0.4},
        input=InputSpec(frames=3, sampling="segments", resize=256, crop=224),
        test_frames=25,
        init="imagenet",
        phases=(Phase(frames=3, epochs=100, batch=256, lr=0.01, lr_batch=256, schedule=(40, 80)),),
        optim=Optim(momentum=0.9, weight_decay=1e-4, clip=40.0),
        augment=Augment(crop="multiscale", flip=True),
        eval=EvalProtocol(crop="ten", average="prob"),
    )
