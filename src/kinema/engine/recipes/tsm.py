"""TSM (arXiv:1811.08383) as its authors and mmaction2 train it.

Facts from mit-han-lab/temporal-shift-module (README, main.py, opts.py, ops/models.py) and
open-mmlab/mmaction2 (configs/recognition/tsm). Batches are those of all GPUs together; the rate
follows when the batch is changed.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe
from ..optim import TSM_RULES, TSM_TUNE_RULES

SGD = Optim(momentum=0.9, weight_decay=1e-4, clip=20.0, rules=TSM_RULES)
SEGMENTS = InputSpec(frames=8, sampling="segments", resize=256, crop=224)


@register_recipe()
def tsm_resnet50_k400() -> Recipe:
    """Kinetics-400, 8 frames: 71.2 % top-1 with one clip and the centre crop (authors' README).

    Deviation: frames have the short side 256 before the multi-scale crop, as in mmaction2; the
    authors cut from frames 331 pixels high.
    """
    return Recipe(
        name="tsm_resnet50_k400",
        dataset="kinetics400",
        model="tsm_resnet50",
        model_args={"dropout": 0.5},
        input=SEGMENTS,
        init="imagenet",
        phases=(Phase(frames=8, epochs=50, batch=128, lr=0.02, lr_batch=128, schedule=(20, 40)),),
        optim=SGD,
        augment=Augment(crop="multiscale", flip=True),
        eval=EvalProtocol(average="logit"),
    )


@register_recipe()
def tsm_resnet50_k400_16f() -> Recipe:
    """The same with 16 frames: 72.6 % top-1 with one clip and the centre crop (authors' README)."""
    base = tsm_resnet50_k400()
    phase = replace(base.phases[0], frames=16)
    return replace(
        base, name="tsm_resnet50_k400_16f", input=replace(base.input, frames=16), phases=(phase,)
    )


@register_recipe()
def tsm_resnet50_k400_mmaction2() -> Recipe:
    """mmaction2's schedule: warm-up over 5 epochs, milestones 25 and 45; 73.18 % with ten crops."""
    base = tsm_resnet50_k400()
    phase = replace(base.phases[0], warmup=5.0, schedule=(25, 45))
    return replace(
        base,
        name="tsm_resnet50_k400_mmaction2",
        phases=(phase,),
        eval=EvalProtocol(crop="ten", average="prob"),
    )


@register_recipe()
def tsm_resnet50_k400_mmaction2_100e() -> Recipe:
    """mmaction2's long schedule: warm-up over 10 of 100 epochs; 73.22 % with ten crops."""
    base = tsm_resnet50_k400_mmaction2()
    phase = replace(base.phases[0], epochs=100, warmup=10.0, schedule=(50, 90))
    return replace(base, name="tsm_resnet50_k400_mmaction2_100e", phases=(phase,))


@register_recipe()
def tsm_mobilenetv2_k400() -> Recipe:
    """mmaction2's MobileNetV2 on Kinetics-400, 100 epochs: 68.71 % top-1 with ten crops."""
    base = tsm_resnet50_k400_mmaction2()
    return replace(
        base,
        name="tsm_mobilenetv2_k400",
        model="tsm_mobilenetv2",
        phases=(replace(base.phases[0], epochs=100, warmup=10.0, schedule=(40, 80)),),
        optim=replace(SGD, weight_decay=2e-5),
    )


@register_recipe()
def tsm_resnet50_sthv1() -> Recipe:
    """Something-Something V1, 8 frames: 45.6 % with the centre crop, 47.2 % with 2x3 views.

    Figures of the authors' README. Never mirrored, as in their code: pushing to the left and
    pushing to the right are two classes.
    """
    return Recipe(
        name="tsm_resnet50_sthv1",
        dataset="somethingv1",
        model="tsm_resnet50",
        model_args={"dropout": 0.5},
        input=SEGMENTS,
        init="imagenet",
        phases=(Phase(frames=8, epochs=50, batch=64, lr=0.01, lr_batch=64, schedule=(20, 40)),),
        optim=replace(SGD, weight_decay=5e-4),
        augment=Augment(crop="multiscale", flip=False),
        eval=EvalProtocol(views=2, crop="three", average="logit"),
    )


@register_recipe()
def tsm_resnet50_sthv2() -> Recipe:
    """Something-Something V2, 8 frames: 61.2 % top-1 with 2x3 views (authors' README)."""
    return replace(tsm_resnet50_sthv1(), name="tsm_resnet50_sthv2", dataset="somethingv2")


@register_recipe()
def tsm_resnet50_sthv2_16f() -> Recipe:
    """Something-Something V2, 16 frames: 63.1 % top-1 with 2x3 views (authors' README)."""
    base = tsm_resnet50_sthv2()
    return replace(
        base,
        name="tsm_resnet50_sthv2_16f",
        input=replace(base.input, frames=16),
        phases=(replace(base.phases[0], frames=16),),
    )


@register_recipe()
def tsm_resnet50_ucf101() -> Recipe:
    """UCF-101 from a Kinetics model: set `init` to its file.

    Partial BN, dropout 0.8, 25 epochs, as in the authors' scripts.
    """
    return Recipe(
        name="tsm_resnet50_ucf101",
        dataset="ucf101",
        model="tsm_resnet50",
        model_args={"dropout": 0.8},
        input=SEGMENTS,
        init="imagenet",
        phases=(Phase(frames=8, epochs=25, batch=64, lr=0.001, lr_batch=64, schedule=(10, 20)),),
        optim=replace(SGD, weight_decay=5e-4),
        augment=Augment(crop="multiscale", flip=True),
        freeze_bn="all_but_first",
        eval=EvalProtocol(average="logit"),
    )


@register_recipe()
def tsm_resnet50_continue() -> Recipe:
    """More training from a model of the same data, the classifier at the usual rate: set `init`."""
    base = tsm_resnet50_ucf101()
    return replace(
        base,
        name="tsm_resnet50_continue",
        dataset="",
        optim=replace(base.optim, rules=TSM_TUNE_RULES),
    )


@register_recipe()
def clips() -> Recipe:
    """One's own folder of clips: TSM on a ResNet-18, from scratch, in sizes for a small machine.

    Ours, not a paper's. With a network or the file at hand, `init=imagenet` is better on real
    videos.
    """
    return Recipe(
        name="clips",
        model="tsm_resnet18",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=8, resize=128, crop=112),
        phases=(Phase(frames=8, epochs=30, batch=16, lr=0.02, lr_batch=32, warmup=2.0),),
        optim=replace(SGD, weight_decay=5e-4, nesterov=True, rules=TSM_RULES[:3]),
        augment=Augment(crop="multiscale", flip=True),
    )
