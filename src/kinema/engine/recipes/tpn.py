"""TPN (arXiv:2004.03548) as its authors train it, and the shorter way of a PaddlePaddle project.

Facts from decisionforce/TPN (config_files, README, MODELZOO.md) unless a line says otherwise. Their
test is 10x3 on Kinetics and 2x3 on Something-Something with crops of 256, class probabilities
averaged. Colours: their amounts, drawn once per clip.

Deviation: their code tosses a coin per frame for each of brightness (which it adds; here it is a
factor), contrast and saturation, turns the hue by any angle and adds PCA noise. Crops are cut from
frames of short side 256 with log-uniform ratios, not from frames as stored with uniform ones.
"""

from __future__ import annotations

from dataclasses import replace

from ...losses import AuxHeadConfig, CrossEntropyConfig
from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe

# SGD with Nesterov, decay on every weight (no groups), gradients clipped at 40.
KINETICS_SGD = Optim(momentum=0.9, nesterov=True, weight_decay=1e-4, clip=40.0)
# On Something-Something: decay 5e-4, clipped at 20.
SOMETHING_SGD = replace(KINETICS_SGD, weight_decay=5e-4, clip=20.0)
# The classifier's loss and half of the auxiliary head's on res4, both with dropout 0.5.
LOSS = (CrossEntropyConfig(), AuxHeadConfig(tap="layer3", weight=0.5, dropout=0.5))
# Parts of 8 to 100 % of the picture, ratios 3/4 to 4/3, half of them mirrored; brightness +-32 of
# 255, contrast and saturation 0.6 to 1.4.
AUGMENT = Augment(
    crop="random_resized",
    area=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=True,
    brightness=32 / 255,
    contrast=0.4,
    saturation=0.4,
)
# README: a rate of 0.01 belongs to 8 GPUs with 8 videos each; a tenth at epochs 75 and 125 of 150;
# no warm-up.
PHASE = Phase(frames=8, stride=8, epochs=150, batch=64, lr=0.01, lr_batch=64, schedule=(75, 125))


def _k400(depth: int, frames: int, stride: int) -> Recipe:
    """One of the twelve Kinetics configurations; all clips span 64 frames."""
    return Recipe(
        name=f"tpn_slowonly_resnet{depth}_k400_{frames}x{stride}",
        dataset="kinetics400",
        model=f"tpn_slowonly_resnet{depth}",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=frames, stride=stride, sampling="dense", resize=256, crop=224),
        init="imagenet",
        phases=(replace(PHASE, frames=frames, stride=stride),),
        loss=LOSS,
        optim=KINETICS_SGD,
        augment=AUGMENT,
        # with_cp is on in their configurations of 16 and 32 frames
        recompute=frames > 8,
        eval=EvalProtocol(views=10, crop="three", average="prob"),
    )


@register_recipe()
def tpn_slowonly_resnet50_k400_8x8() -> Recipe:
    """Kinetics-400, 8 frames 8 apart: 76.1 % top-1 with 10x3 views (model zoo).

    `kinema data check kinetics400:ROOT --out FOLDER` and then `kinema train FOLDER` leave out the
    videos that cannot be read; training says how many.
    """
    return _k400(50, 8, 8)


@register_recipe()
def tpn_slowonly_resnet50_k400_16x4() -> Recipe:
    """Kinetics-400, 16 frames 4 apart: 77.3 % top-1 with 10x3 views (model zoo)."""
    return _k400(50, 16, 4)


@register_recipe()
def tpn_slowonly_resnet50_k400_32x2() -> Recipe:
    """Kinetics-400, 32 frames 2 apart: 77.7 % top-1 with 10x3 views (model zoo)."""
    return _k400(50, 32, 2)


@register_recipe()
def tpn_slowonly_resnet101_k400_8x8() -> Recipe:
    """Kinetics-400, 101 layers, 8 frames 8 apart: 77.2 % top-1 with 10x3 views (model zoo)."""
    return _k400(101, 8, 8)


@register_recipe()
def tpn_slowonly_resnet101_k400_16x4() -> Recipe:
    """Kinetics-400, 101 layers, 16 frames 4 apart: 78.1 % top-1 with 10x3 views (model zoo)."""
    return _k400(101, 16, 4)


@register_recipe()
def tpn_slowonly_resnet101_k400_32x2() -> Recipe:
    """Kinetics-400, 101 layers, 32 frames 2 apart: 78.9 % top-1 with 10x3 views (model zoo)."""
    return _k400(101, 32, 2)


@register_recipe()
def tpn_slowonly_resnet50_k400_47e() -> Recipe:
    """Kinetics-400 in 47 epochs: 73.1 % top-1 with 10x3 views (a PaddlePaddle project's README).

    Every video they could not read was taken out of their lists: use what `kinema data check`
    writes. Validation after each epoch is one clip and the centre crop, about 6 points lower by
    their account. They start from PaddlePaddle's ResNet-50: `--init ResNet50_pretrained
    --source PaddlePaddle/models` with that folder at hand; without it, `imagenet`.
    """
    return replace(
        _k400(50, 8, 8),
        name="tpn_slowonly_resnet50_k400_47e",
        phases=(
            # rate 0.01 for a batch of 128, 0.001 after epoch 27, 47 in all
            Phase(frames=8, stride=8, epochs=47, batch=128, lr=0.01, lr_batch=128, schedule=(27,)),
        ),
        # short side 256, a random square of 224, mirrored at random; nothing else is named there
        augment=Augment(crop="random", flip=True),
        # momentum, decay, clipping and losses are not named there: the authors'
    )


@register_recipe()
def tpn_tsm_resnet50_sthv1() -> Recipe:
    """Something-Something V1, TSM with the pyramid: 50.7 % top-1 with 2x3 views (model zoo).

    Deviation: where mirroring turns one class into another (left, right), the label follows, as in
    mmaction2; the authors' code mirrors without a change of label.
    """
    return Recipe(
        name="tpn_tsm_resnet50_sthv1",
        dataset="something_v1",
        model="tpn_tsm_resnet50",
        # their shift moves what projections see too
        model_args={"dropout": 0.5, "place": "inplace"},
        # 8 segments, one random frame each
        input=InputSpec(frames=8, sampling="segments", resize=256, crop=224),
        init="imagenet",
        phases=(replace(PHASE, stride=1),),
        loss=LOSS,
        optim=SOMETHING_SGD,
        augment=AUGMENT,
        eval=EvalProtocol(views=2, crop="three", average="prob"),
    )


@register_recipe()
def tpn_tsm_resnet50_sthv2() -> Recipe:
    """Something-Something V2, TSM with the pyramid: 64.7 % top-1 with 2x3 views (model zoo)."""
    return replace(tpn_tsm_resnet50_sthv1(), name="tpn_tsm_resnet50_sthv2", dataset="something_v2")
