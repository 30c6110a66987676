"""Who learns how fast: parameter roles and rules, learning-rate curves, frozen parts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import VideoModel
from ..registry import suggest
from .config import Optim, ParamRole, ParamRule, Phase

TSM_RULES = (
    ParamRule(role="stem_bias", lr=2.0, decay=0.0),
    ParamRule(role="bias", lr=2.0, decay=0.0),
    ParamRule(role="norm", lr=1.0, decay=0.0),
    ParamRule(role="head_weight", lr=5.0, decay=1.0),
    ParamRule(role="head_bias", lr=10.0, decay=0.0),
)
"""The groups of the TSN and TSM authors (get_optim_policies with fc_lr5), for RGB.

Deviation: by the part a module plays, not by its type. Their rule gives every nn.Linear the
classifier's rates, also one inside a temporal module.
"""

TSM_FLOW_RULES = (
    ParamRule(role="stem", lr=5.0, decay=1.0),
    ParamRule(role="stem_bias", lr=10.0, decay=0.0),
    *TSM_RULES,
)
"""The same for optical flow, whose first convolution has to learn more."""

TSM_TUNE_RULES = TSM_RULES[:3] + (ParamRule(role="head_bias", lr=2.0, decay=0.0),)
"""The same without the faster classifier (their fine-tuning from a model of the same data)."""

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WARMUP_START = 0.1
Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def roles(module: nn.Module, model: VideoModel) -> dict[str, ParamRole]:
    """The role of every parameter of `module`, by name, in order.

    Args:
        module: the model itself, or the objective that holds it; parameters of loss terms are
            weights, biases or norms.
        model: says which convolution is the stem and which modules are the head.
    """
    backbone = model.backbone
    assert isinstance(backbone, nn.Module)
    # a network of several paths has as many convolutions that see the clip
    paths = getattr(backbone, "paths", (backbone,))
    stems = {next((m for m in path.modules() if isinstance(m, CONVS)), None) for path in paths}
    head = set(model.head.modules())
    found: dict[str, ParamRole] = {}
    for prefix, part in module.named_modules():
        for name, _ in part.named_parameters(recurse=False):
            is_bias = name.endswith("bias")
            role: ParamRole
            if isinstance(part, NORMS):
                role = "norm"
            elif part in stems:
                role = "stem_bias" if is_bias else "stem"
            elif part in head:
                role = "head_bias" if is_bias else "head_weight"
            else:
                role = "bias" if is_bias else "weight"
            found[f"{prefix}.{name}" if prefix else name] = role
    return found


@dataclass(frozen=True, kw_only=True)
class ParamGroup:
    """Parameters with one rate: role, names, factors of the learning rate and the decay."""

    role: ParamRole
    lr: float
    decay: float
    names: tuple[str, ...]


def group_parameters(
    module: nn.Module,
    model: VideoModel,
    rules: Sequence[ParamRule] = (),
    *,
    old: Collection[str] = (),
    old_lr: float = 1.0,
) -> list[ParamGroup]:
    """Sorts the trainable parameters of `module` into groups; frozen ones are in none.

    Args:
        module: see `roles`.
        model: see `roles`.
        rules: the first that matches counts; without a match both multipliers are 1.
        old: names within `model` of weights that were loaded.
        old_lr: further multiplier of their rate.

    Raises:
        ValueError: if nothing is left to train.
    """
    old_ids = {id(p) for name, p in model.named_parameters() if name in set(old)}
    groups: dict[tuple[ParamRole, float, float], list[str]] = {}
    role_of = roles(module, model)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        role = role_of[name]
        rule = next((r for r in rules if _matches(r, role, name)), ParamRule())
        rate = rule.lr * (old_lr if id(parameter) in old_ids else 1.0)
        groups.setdefault((role, rate, rule.decay), []).append(name)
    if not groups:
        raise ValueError("every parameter is frozen: shorten `freeze` or loosen `freeze_bn`")
    return [
        ParamGroup(role=role, lr=lr, decay=decay, names=tuple(names))
        for (role, lr, decay), names in groups.items()
    ]


def _matches(rule: ParamRule, role: ParamRole, name: str) -> bool:
    return rule.role in (None, role) and re.search(rule.pattern, name) is not None


def build_optimizer(
    module: nn.Module, groups: Sequence[ParamGroup], config: Optim
) -> torch.optim.Optimizer:
    """The optimizer over these groups; `set_rate` gives it a learning rate before every step."""
    parameters = dict(module.named_parameters())
    options = [
        {
            "params": [parameters[name] for name in group.names],
            "lr_scale": group.lr,
            "weight_decay": config.weight_decay * group.decay,
        }
        for group in groups
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(options, lr=0.0, betas=config.betas)
    return torch.optim.SGD(options, lr=0.0, momentum=config.momentum, nesterov=config.nesterov)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Every group's rate: `lr` times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def rate_factor(phase: Phase, position: float) -> float:
    """What the phase's peak rate is multiplied with.

    Args:
        phase: gives the curve.
        position: how much of the phase is done, in its unit; an optimizer step takes the position
            where it begins.

    The warm-up rises in a straight line from a tenth (mmaction2's), milestones count from the
    beginning of the phase, the cosine runs from the end of the warm-up to the end of the phase
    (arXiv:1608.03983, eq. 5 without restarts).
    """
    if position < phase.warmup:
        return WARMUP_START + (1 - WARMUP_START) * position / phase.warmup
    if phase.schedule == "cosine":
        share = (position - phase.warmup) / (phase.length - phase.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return float(0.1 ** sum(position >= mark for mark in phase.schedule))


def clip_gradients(module: nn.Module, limit: float) -> Tensor:
    """Scales the gradient to a total norm of at most `limit`, 0: any.

    Returns:
        The norm before, ().
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    return nn.utils.clip_grad_norm_(trained, limit or math.inf)


def freeze(
    model: VideoModel,
    stages: Sequence[str] = (),
    norms: str = "none",
) -> tuple[str, ...]:
    """Keeps parts as they are. To be called after every `model.train()`, which undoes half of it.

    Frozen parameters get no gradient, frozen norms neither update nor use the batch's statistics.

    Args:
        model: changed in place.
        stages: paths of backbone parts, such as `layer1`; `stem` is what comes before the stages,
            `backbone` is all.
        norms: `none`; `all_but_first` batch norm of the backbone (TSN's partial BN,
            arXiv:1608.00859, 3.2); `all`.

    Returns:
        The names of the frozen parameters.
    """
    frozen_norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    frozen_norms = {"none": [], "all_but_first": frozen_norms[1:], "all": frozen_norms}[norms]
    for norm in frozen_norms:
        norm.eval()
        norm.requires_grad_(False)
    for part in _parts(model, stages):
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
    return tuple(name for name, p in model.named_parameters() if not p.requires_grad)


def _parts(model: VideoModel, stages: Sequence[str]) -> list[nn.Module]:
    backbone = model.backbone
    assert isinstance(backbone, nn.Module)
    known = dict(backbone.named_modules())
    parts: list[nn.Module] = []
    for stage in stages:
        if stage == "backbone":
            parts.append(backbone)
        elif stage == "stem":
            first_tap = next(iter(model.backbone.tap_channels))
            names = getattr(backbone, "stem_names", (first_tap,))
            parts += [known[name] for name in names]
        elif stage in known and stage:
            parts.append(known[stage])
        else:
            choices = ["stem", "backbone", *(name for name, _ in backbone.named_children())]
            raise ValueError(
                f"freeze: {model.spec.name} has no part {stage!r}{suggest(stage, choices)}; "
                f"it has {', '.join(choices)}"
            )
    return parts


def average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """The update of an exponential moving average whose decay warms up to `decay`.

    After n averages the old value keeps min(decay, (1 + n) / (10 + n)) of its weight (the rule of
    TensorFlow's ExponentialMovingAverage). With `decay` from the start, the averages of a short run
    would be mostly the fresh weights.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        keep = min(decay, (1 + float(count)) / (10 + float(count)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), 1 - keep)
            else:
                old.copy_(new)

    return update
