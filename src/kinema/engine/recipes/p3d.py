"""P3D (arXiv:1711.10305) as its authors train it.

Facts from the paper's translation, the authors' answers in ZhaofanQiu/pseudo-3d-residual-networks
and the dropout of its files. Rates are for 128 clips; the paper gives neither momentum nor weight
decay, so they are the usual ones of Caffe. Frames are 182 pixels high and 242 wide there; here the
short side is 182 and the shape is the video's.
"""

from __future__ import annotations

from dataclasses import replace

from ...types import EvalProtocol, InputSpec
from ..config import Augment, Optim, ParamRule, Phase, Recipe, register_recipe

# The files' multipliers: classifier x10, its bias x20 without decay.
SGD = Optim(
    momentum=0.9,
    weight_decay=5e-4,
    rules=(
        ParamRule(role="head_weight", lr=10.0),
        ParamRule(role="head_bias", lr=20.0, decay=0.0),
    ),
)
FLOW = replace(SGD, rules=(ParamRule(role="stem", lr=5.0), *SGD.rules))  # the first convolution x5
CLIP = InputSpec(frames=16, sampling="dense", stride=1, resize=182, crop=160)
RANDOM = Augment(crop="random", flip=True)
TWENTY = EvalProtocol(views=20, average="prob")


@register_recipe()
def p3d_resnet50_ucf101() -> Recipe:
    """UCF-101 split 1, the mixed network of 63 layers: 84.2 % with 20 clips (table 1).

    A: 83.7, B: 82.8, C: 83.0: `--model p3d_a_resnet50` and so on. From ImageNet, batch norms
    frozen but the first, dropout 0.9, 7,500 iterations, rate 0.001 divided by 10 every 3,000.

    Deviation: starts from pytorch/vision's ResNet-50, whose blocks carry the stride in the 3x3
    convolution, not from the Caffe model; set `init` to use another file.
    """
    return Recipe(
        name="p3d_resnet50_ucf101",
        dataset="ucf101",
        model="p3d_resnet50",
        model_args={"dropout": 0.9, "stride_in": "space"},
        input=CLIP,
        init="imagenet",
        phases=(
            Phase(frames=16, steps=7500, batch=128, lr=1e-3, lr_batch=128, schedule=(3000, 6000)),
        ),
        optim=SGD,
        augment=RANDOM,
        freeze_bn="all_but_first",
        eval=TWENTY,
    )


@register_recipe()
def p3d_frames_ucf101() -> Recipe:
    """The study's frame network, ResNet-50 on single frames: 80.8 % with 25 frames (table 1).

    Frames are 240 pixels high and 320 wide, crops 224; the rest as `p3d_resnet50_ucf101`.
    """
    base = p3d_resnet50_ucf101()
    return replace(
        base,
        name="p3d_frames_ucf101",
        model="tsn_resnet50",
        model_args={"dropout": 0.9},
        input=InputSpec(frames=1, sampling="segments", resize=240, crop=224),
        test_frames=25,
        phases=(replace(base.phases[0], frames=1),),
        eval=EvalProtocol(average="prob"),
    )


@register_recipe()
def p3d_resnet152_sports1m() -> Recipe:
    """Sports-1M, 199 layers: 47.9 % of clips, 66.4 % of videos, hit@5 87.4 % (table 2).

    150,000 iterations, rate 0.001 divided by 10 every 60,000, dropout 0.1. The authors cut five
    stretches of five seconds from each training video beforehand; a list with `start` and `end`
    says the same here.
    """
    base = p3d_resnet50_ucf101()
    phase = replace(base.phases[0], steps=150_000, schedule=(60_000, 120_000))
    return replace(
        base,
        name="p3d_resnet152_sports1m",
        dataset="sports1m",
        model="p3d_resnet152",
        model_args={"dropout": 0.1, "stride_in": "space"},
        phases=(phase,),
    )


@register_recipe()
def p3d_resnet152_k400() -> Recipe:
    """Kinetics-400, RGB: 72.1 % (the authors' release, not in the paper).

    Others measured 69.4 % with 25 clips. Its schedule was not published; this is that of
    Sports-1M, with the release's dropout 0.5.
    """
    base = p3d_resnet152_sports1m()
    return replace(
        base,
        name="p3d_resnet152_k400",
        dataset="kinetics400",
        model_args={"dropout": 0.5, "stride_in": "space"},
    )


@register_recipe()
def p3d_resnet152_k400_flow() -> Recipe:
    """Kinetics-400, optical flow (TV-L1), one pair of channels a frame: 61.2 % (the release).

    Dropout 0.7, first convolution at five times the rate.
    """
    base = p3d_resnet152_k400()
    return replace(
        base,
        name="p3d_resnet152_k400_flow",
        model_args={"dropout": 0.7, "stride_in": "space"},
        input=replace(CLIP, modality="flow", mean=(), std=()),
        optim=FLOW,
    )
