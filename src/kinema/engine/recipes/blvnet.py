"""bLVNet-TAM (arXiv:1912.00869) as its authors train it, and TAM on plain ResNets.

Facts from IBM/bLVNet-TAM (opts.py, train.py, README) and the paper's tables; "8x2" are clips of 16
frames. Training starts from an image bL-ResNet, which nobody serves: give its file with `init=FILE`
(`init_source` is set).

Longer clips start from the model of shorter ones, with the same data: phases of one run.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, Phase, Recipe, register_recipe

# opts.py: SGD with Nesterov's momentum and one group of parameters; README: batch 64, rate 0.01.
SGD = Optim(momentum=0.9, nesterov=True, weight_decay=5e-4)
SHORT = Phase(frames=16, epochs=50, batch=64, lr=0.01, lr_batch=64)  # cosine to zero, no warm-up
LONGER = Phase(frames=32, epochs=25, batch=64, lr=0.01, lr_batch=64, schedule=(10, 20))
CENTER = EvalProtocol(average="logit")  # test.py: logits are averaged, then the softmax
NINE = EvalProtocol(views=3, crop="three", average="logit")  # 93.4 GFLOPs x 9 in table 3


def blvnet_tam(depth: int, dataset: str, short: str) -> Recipe:
    """8x2 on a data set; the paper's figures are in the recipes that call it.

    Deviation: clips are mirrored where the class allows it; the authors mirror classes such as
    "pushing from left to right" too and keep the label.
    """
    name = f"blvnet_tam_resnet{depth}_{short}"
    return Recipe(
        name=name,
        dataset=dataset,
        model=f"blvnet_tam_resnet{depth}",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=16, sampling="shared", resize=256, crop=224),
        init="imagenet",
        init_source="IBM/BigLittleNet",
        phases=(SHORT,),
        optim=SGD,
        augment=Augment(crop="multiscale", flip=True),
        eval=CENTER,
    )


def progressive(base: Recipe, *frames: int, lr: float = 0.01) -> Recipe:
    """The recipe with a phase more for each clip length."""
    later = tuple(replace(LONGER, frames=count, lr=lr) for count in frames)
    return replace(base, name=f"{base.name}_{frames[-1] // 2}x2", phases=base.phases + later)


@register_recipe()
def blvnet_tam_resnet50_sthv1() -> Recipe:
    """Something-Something V1, 8x2: 46.4 % top-1, one clip, centre crop (table 1)."""
    return blvnet_tam(50, "somethingv1", "sthv1")


@register_recipe()
def blvnet_tam_resnet50_sthv1_16x2() -> Recipe:
    """Something-Something V1, 8x2 then 16x2: 48.4 % top-1 (table 1)."""
    return progressive(blvnet_tam_resnet50_sthv1(), 32)


@register_recipe()
def blvnet_tam_resnet101_sthv1_32x2() -> Recipe:
    """Something-Something V1: 47.8, 49.6, 52.2, 53.1 % with 8x2, 16x2, 24x2, 32x2 (table 1).

    Each phase's model starts the next (column "pretrain" of table 1); a run ends with the longest.
    """
    return progressive(blvnet_tam(101, "somethingv1", "sthv1"), 32, 48, 64)


@register_recipe()
def blvnet_tam_resnet50_sthv2() -> Recipe:
    """Something-Something V2, 8x2: 59.1 % top-1, one clip, centre crop (table 2)."""
    return blvnet_tam(50, "somethingv2", "sthv2")


@register_recipe()
def blvnet_tam_resnet50_sthv2_16x2() -> Recipe:
    """Something-Something V2, 8x2 then 16x2: 61.7 % top-1 (table 2)."""
    return progressive(blvnet_tam_resnet50_sthv2(), 32)


@register_recipe()
def blvnet_tam_resnet101_sthv2_32x2() -> Recipe:
    """Something-Something V2: 60.2, 61.9, 64.0, 65.2 % with 8x2, 16x2, 24x2, 32x2 (table 2)."""
    return progressive(blvnet_tam(101, "somethingv2", "sthv2"), 32, 48, 64)


@register_recipe()
def blvnet_tam_resnet50_k400() -> Recipe:
    """Kinetics-400, 8x2: 71.0 % top-1 with three clips and three crops of 256 (table 3).

    Figures on Kinetics were not reproduced by others: the authors released neither weights nor
    logs. A source speaks of ten clips and ten crops, which does not go with the table's costs; they
    are `eval=10x10`. Table 3 does not say how frames were chosen; the code's default is taken.
    """
    return replace(blvnet_tam(50, "kinetics400", "k400"), eval=NINE)


@register_recipe()
def blvnet_tam_resnet50_k400_24x2() -> Recipe:
    """Kinetics-400: 71.0, 72.0 and 73.5 % with 8x2, 16x2 and 24x2 (table 3); later rates halved."""
    return progressive(blvnet_tam_resnet50_k400(), 32, 48, lr=0.005)


@register_recipe()
def blvnet_tam_resnet50_mit_16x2() -> Recipe:
    """Moments in Time, 8x2 then 16x2: 31.2 and 31.4 % top-1, one clip, centre crop (table 4).

    Deviation: the authors' settings for this data set were not released; these are those of
    Something-Something.
    """
    return progressive(blvnet_tam(50, "moments", "mit"), 32)


@register_recipe()
def tam_resnet50_sthv2() -> Recipe:
    """TAM on ResNet-50, Something-Something V2, 8 frames from ImageNet (arXiv:2010.11757).

    75 epochs, cosine, batch 72 (IBM/action-recognition-pytorch, README); 63.8 % is their figure
    with 32 frames, which start from 16, which start from these.
    """
    return Recipe(
        name="tam_resnet50_sthv2",
        dataset="somethingv2",
        model="tam_resnet50",
        model_args={"dropout": 0.5},
        input=InputSpec(frames=8, sampling="shared", resize=256, crop=224),
        init="imagenet",
        phases=(Phase(frames=8, epochs=75, batch=72, lr=0.01, lr_batch=72),),
        optim=replace(SGD, nesterov=False),
        augment=Augment(crop="multiscale", flip=True),
        eval=EvalProtocol(views=2, crop="three", average="logit"),
    )
