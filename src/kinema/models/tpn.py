"""TPN: temporal pyramid network (arXiv:2004.03548), a neck on 3D and 2D backbones.

Deviation: the released code starts bottom-up from the result of top-down (`cascade`), while the
paper describes both from the same levels (`parallel`). All released weights were trained with
`cascade`, and all of their figures measured, so it is the default; weights have the same shapes,
and only the option `flow` tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

from torch import nn

from ..layers.frame_resnet import frame_resnet
from ..layers.heads import ClipHead
from ..layers.resnet import ResNet, Site
from ..layers.shift import TemporalShift
from ..layers.slow_resnet import slow_resnet
from ..layers.temporal_pyramid import Flow, Level, TemporalPyramid
from ..registry import suggest
from .base import VideoModel, register_model

Place = Literal["residual", "inplace"]
STAGES = {"res2": "layer1", "res3": "layer2", "res4": "layer3", "res5": "layer4"}
"""The papers' names of the backbone's stages."""


def tpn_resnet(
    backbone: Callable[[int, int], ResNet],
    rising: bool,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    stages: Sequence[str] = ("res4", "res5"),
    flow: Flow = "cascade",
    lengths: Sequence[int] | None = None,
    rates: Sequence[int] | None = None,
    out_channels: int | None = None,
) -> VideoModel:
    """The pyramid on a backbone; every ablation of the paper is one option.

    - depths: `stages=["res3", "res4", "res5"]`; one depth at two rates: `["res5", "res5"]`;
    - flow: `flow="parallel"`, `"isolation"`, `"top_down"`, `"bottom_up"`;
    - rates: `lengths=[2, 1]`, or `rates=[4, 8]`;
    - frames: those of the input, 50 or 101 layers: the model's name.

    Any clip length works unless `rates` are given. Sides need not be multiples of 32: neck and
    backbone round alike.

    Args:
        backbone: makes it from (in_channels, width).
        rising: whether, without `lengths` and `rates`, each level has half as many time steps as
            the one before, down to one; else each has one.
        num_classes: K.
        in_channels: C of the clip.
        dropout: on the pooled clip.
        width: channels of the first stage; 64 is the paper's. The neck scales with it.
        stages: what the levels read, from shallow to deep.
        flow: how levels are added to each other, see `TemporalPyramid`.
        lengths: time steps of each level, whatever T is. None: as in the released models, where on
            50 layers each level has one step, on 101 layers two and one. Where a stage stands there
            twice, each level has twice as many as the next.
        rates: instead of `lengths`, how many frames become one step of each level; a clip must have
            as many.
        out_channels: of the neck; None: 32 x width. The authors' code has 2048 at any width.
    """
    order = [_position(stage) for stage in stages]
    if not order or order != sorted(order):
        raise ValueError(
            f"stages={list(stages)} must name one or more of {', '.join(STAGES)}, "
            "from shallow to deep; a stage may stand there several times"
        )
    if lengths is not None and rates is not None:
        raise ValueError(
            f"lengths={list(lengths)} and rates={list(rates)} say the same in two ways: give one"
        )
    for name, values in (("lengths", lengths), ("rates", rates)):
        if values is not None and (len(values) != len(order) or min(values) < 1):
            raise ValueError(
                f"{name}={list(values)} must be one number from 1 on for each of the stages "
                f"{', '.join(stages)}"
            )
    if lengths is None and rates is None:
        halving = rising or len(set(order)) < len(order)
        lengths = [2**i if halving else 1 for i in reversed(range(len(order)))]
    made = backbone(in_channels, width)
    taps = [STAGES[stage] for stage in stages]
    neck = TemporalPyramid(
        [
            Level(tap=tap, channels=made.tap_channels[tap], halvings=order[-1] - position)
            for tap, position in zip(taps, order, strict=True)
        ],
        flow=flow,
        lengths=lengths or (),
        rates=rates or (),
        channels=16 * width,
        fused_channels=32 * width,
        out_channels=out_channels or 32 * width,
    )
    return VideoModel(made, ClipHead(neck.out_channels, num_classes, dropout), neck)


def _position(stage: str) -> int:
    if stage not in STAGES:
        known = f"{suggest(str(stage), STAGES)}; there are {', '.join(STAGES)}"
        raise ValueError(f"stages: there is no {stage!r}{known}")
    return list(STAGES).index(stage)


def tpn_slowonly_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    stages: Sequence[str] = ("res4", "res5"),
    flow: Flow = "cascade",
    lengths: Sequence[int] | None = None,
    rates: Sequence[int] | None = None,
    out_channels: int | None = None,
    zero_init: bool = False,
) -> VideoModel:
    """The pyramid on a slow-only network.

    Args:
        depth: of the ResNet.
        num_classes: see `tpn_resnet`, like all that follow.
        in_channels: C.
        dropout: on the pooled clip.
        width: 64 is the paper's.
        stages: of the backbone.
        flow: between levels.
        lengths: time steps of each level.
        rates: frames that become one time step.
        out_channels: of the neck.
        zero_init: see `slow_resnet`.
    """
    return tpn_resnet(
        lambda channels, width: slow_resnet(
            depth, in_channels=channels, width=width, zero_init=zero_init
        ),
        depth > 50,
        num_classes,
        in_channels,
        dropout=dropout,
        width=width,
        stages=stages,
        flow=flow,
        lengths=lengths,
        rates=rates,
        out_channels=out_channels,
    )


def tpn_tsm_resnet(
    depth: int,
    num_classes: int,
    in_channels: int,
    *,
    dropout: float = 0.5,
    width: int = 64,
    stages: Sequence[str] = ("res4", "res5"),
    flow: Flow = "cascade",
    lengths: Sequence[int] | None = None,
    rates: Sequence[int] | None = None,
    out_channels: int | None = None,
    shift_div: int = 8,
    place: Place = "residual",
) -> VideoModel:
    """The pyramid on a frame network with a temporal shift in every block.

    Args:
        depth: of the ResNet.
        num_classes: see `tpn_resnet`, like all that follow.
        in_channels: C.
        dropout: on the pooled clip.
        width: 64 is the paper's.
        stages: of the backbone.
        flow: between levels.
        lengths: time steps of each level.
        rates: frames that become one time step.
        out_channels: of the neck.
        shift_div: 1/shift_div of the channels moves in each direction.
        place: `residual` shifts what the residual branch sees, as TSM and mmaction2 do. `inplace`
            shifts what a shortcut with a projection sees too, not a plain one, as the weights of
            TPN's authors need it; converting them sets it.
    """
    if place not in get_args(Place):
        raise ValueError(f"place={place!r} must be one of {', '.join(get_args(Place))}")

    def before(site: Site) -> nn.Module | None:
        projected = place == "inplace" and site.index == 0
        return TemporalShift(shift_div) if projected else None

    def temporal(site: Site) -> nn.Module | None:
        return None if before(site) else TemporalShift(shift_div)

    return tpn_resnet(
        lambda channels, width: frame_resnet(
            depth, in_channels=channels, width=width, temporal=temporal, before=before
        ),
        False,
        num_classes,
        in_channels,
        dropout=dropout,
        width=width,
        stages=stages,
        flow=flow,
        lengths=lengths,
        rates=rates,
        out_channels=out_channels,
    )


def _frames(depth: int) -> Callable[[int, int], ResNet]:
    return lambda channels, width: frame_resnet(depth, in_channels=channels, width=width)


for _depth in (18, 50, 101):
    register_model(f"tpn_slowonly_resnet{_depth}")(partial(tpn_slowonly_resnet, _depth))
for _depth in (18, 50):
    register_model(f"tpn_tsn_resnet{_depth}")(partial(tpn_resnet, _frames(_depth), False))
    register_model(f"tpn_tsm_resnet{_depth}")(partial(tpn_tsm_resnet, _depth))
