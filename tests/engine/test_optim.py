"""Groups, curves, frozen parts, moving averages."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from kinema.engine.config import Optim, ParamRule, Phase
from kinema.engine.optim import (
    TSM_FLOW_RULES,
    TSM_RULES,
    average,
    build_optimizer,
    clip_gradients,
    freeze,
    group_parameters,
    rate_factor,
    roles,
    set_rate,
)
from kinema.losses import CrossEntropyConfig, Objective
from kinema.models import create_model

ROLES = ("stem", "stem_bias", "weight", "bias", "norm", "head_weight", "head_bias")


@pytest.fixture
def small():
    return create_model("tsm_resnet18", num_classes=3, width=8)


@pytest.mark.parametrize("name", ["tsn_resnet50", "tsm_resnet50"])
def test_tensors_per_role_are_those_of_the_authors(name):
    model = create_model(name, num_classes=7, width=8)
    found = list(roles(model, model).values())
    assert [found.count(role) for role in ROLES] == [1, 0, 52, 0, 106, 1, 1]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (TSM_RULES, {"stem": (1, 1), "weight": (1, 1), "norm": (1, 0)}),
        (TSM_FLOW_RULES, {"stem": (5, 1), "weight": (1, 1), "norm": (1, 0)}),
    ],
)
def test_multipliers_are_those_of_the_authors(small, rules, expected):
    groups = group_parameters(small, small, rules)
    found = {g.role: (g.lr, g.decay) for g in groups}
    assert found == {**expected, "head_weight": (5, 1), "head_bias": (10, 0)}


def test_a_linear_layer_inside_the_network_is_no_classifier():
    model = create_model("tsm_resnet18", num_classes=3, width=8)
    model.backbone.layer1[0].temporal = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    found = roles(model, model)
    assert found["backbone.layer1.0.temporal.0.weight"] == "weight"
    assert found["backbone.layer1.0.temporal.0.bias"] == "bias"
    assert found["backbone.layer1.0.temporal.1.weight"] == "norm"


def test_the_first_matching_rule_counts(small):
    rules = (
        ParamRule(pattern=r"layer4\.", lr=3.0),
        ParamRule(role="norm", decay=0.0),
        ParamRule(lr=0.5),
    )
    by_name = {n: g for g in group_parameters(small, small, rules) for n in g.names}
    assert (by_name["backbone.layer4.0.bn1.weight"].lr, by_name["backbone.bn1.weight"].lr) == (3, 1)
    assert by_name["backbone.bn1.weight"].decay == 0
    assert by_name["backbone.conv1.weight"].lr == 0.5


def test_old_weights_learn_slower(small):
    objective = Objective(small, [CrossEntropyConfig().build(small)])
    old = [n for n, _ in small.named_parameters() if n.startswith("backbone.")]
    groups = group_parameters(objective, small, TSM_RULES, old=old, old_lr=0.1)
    rate = {n: g.lr for g in groups for n in g.names}
    assert rate["model.backbone.conv1.weight"] == pytest.approx(0.1)
    assert rate["model.head.fc.weight"] == 5


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimizer_uses_scaled_rates_and_decays(small, name):
    config = Optim(name=name, weight_decay=0.01, momentum=0.8, betas=(0.7, 0.9))
    groups = group_parameters(small, small, TSM_RULES)
    optimizer = build_optimizer(small, groups, config)
    set_rate(optimizer, 0.2)
    for group, made in zip(groups, optimizer.param_groups, strict=True):
        assert made["lr"] == pytest.approx(0.2 * group.lr)
        assert made["weight_decay"] == pytest.approx(0.01 * group.decay)
        assert made["betas" if name == "adamw" else "momentum"] == (
            (0.7, 0.9) if name == "adamw" else 0.8
        )
    count = sum(len(g["params"]) for g in optimizer.param_groups)
    assert count == len(list(small.parameters()))


def curve(phase: Phase, steps_per_epoch: int = 1) -> list[float]:
    unit = steps_per_epoch if phase.epochs else 1
    return [rate_factor(phase, s / unit) for s in range(phase.length * unit)]


def test_milestones_divide_by_ten():
    phase = Phase(frames=8, epochs=6, schedule=(2, 4))
    assert curve(phase) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert curve(phase, 2) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, *[0.01] * 4])


def test_cosine_goes_from_one_towards_zero():
    phase = Phase(frames=8, steps=4)
    expected = [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)]
    assert curve(phase) == pytest.approx(expected)
    assert rate_factor(phase, 4) == pytest.approx(0)


def test_warmup_rises_from_a_tenth_and_the_cosine_starts_behind_it():
    phase = Phase(frames=8, epochs=4, warmup=2.0)
    assert curve(phase) == pytest.approx([0.1, 0.55, 1, 0.5])
    assert curve(phase, 2) == pytest.approx(
        [0.1, 0.325, 0.55, 0.775, 1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)]
    )
    milestones = Phase(frames=8, epochs=4, warmup=1.0, schedule=(2,))
    assert curve(milestones) == pytest.approx([0.1, 1, 0.1, 0.1])


def test_clipping_scales_the_total_norm(small):
    for parameter in small.parameters():
        parameter.grad = torch.ones_like(parameter)
    count = sum(p.numel() for p in small.parameters())
    assert float(clip_gradients(small, 2.0)) == pytest.approx(math.sqrt(count))
    after = math.sqrt(sum(float(p.grad.square().sum()) for p in small.parameters()))
    assert after == pytest.approx(2.0, rel=1e-4)
    assert float(clip_gradients(small, 0)) == pytest.approx(2.0, rel=1e-4)
    unclipped = math.sqrt(sum(float(p.grad.square().sum()) for p in small.parameters()))
    assert unclipped == pytest.approx(after)


def norms(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm3d)}


def test_partial_bn_keeps_all_but_the_first(small):
    small.train()
    freeze(small, norms="all_but_first")
    first, *rest = norms(small)
    assert first == "backbone.bn1"
    assert norms(small)[first].training
    assert norms(small)[first].weight.requires_grad
    assert len(rest) == 19
    for name in rest:
        assert not norms(small)[name].training
        assert not norms(small)[name].weight.requires_grad
        assert not norms(small)[name].bias.requires_grad
    before = {k: v.clone() for k, v in small.state_dict().items() if "running" in k}
    small(torch.randn(2, 3, 4, 32, 32))
    changed = {k for k, v in before.items() if not torch.equal(small.state_dict()[k], v)}
    assert changed == {"backbone.bn1.running_mean", "backbone.bn1.running_var"}
    groups = group_parameters(small, small, TSM_RULES)
    assert [len(g.names) for g in groups if g.role == "norm"] == [2]


def test_all_norms(small):
    small.train()
    freeze(small, norms="all")
    assert not any(m.training for m in norms(small).values())


@pytest.mark.parametrize("name", ["tsm_resnet18", "tsm_mobilenetv2"])
def test_frozen_stages_do_not_move(name):
    model = create_model(name, num_classes=3, width=8)
    stage = "layer1" if name == "tsm_resnet18" else "features.1"
    model.train()
    frozen = freeze(model, ("stem", stage))
    assert frozen
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = build_optimizer(model, group_parameters(model, model), Optim(weight_decay=0.1))
    set_rate(optimizer, 0.1)
    model(torch.randn(2, 3, 4, 32, 32)).square().sum().backward()
    optimizer.step()
    after = model.state_dict()
    stem = ("backbone.conv1", "backbone.bn1") if name == "tsm_resnet18" else "backbone.features.0"
    for key, value in before.items():
        kept = key.startswith(stem) or key.startswith(f"backbone.{stage}.")
        assert torch.equal(after[key], value) == kept, key


def test_frozen_backbone_leaves_the_head(small):
    freeze(small, ("backbone",))
    assert {g.role for g in group_parameters(small, small)} == {"head_weight", "head_bias"}


def test_freeze_names_what_there_is(small):
    with pytest.raises(ValueError, match=r"no part 'layer5' \(did you mean layer4"):
        freeze(small, ("layer5",))


def test_nothing_left_to_train(small):
    small.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        group_parameters(small, small)


def test_the_decay_of_the_average_warms_up():
    model = nn.BatchNorm1d(1)
    ema = AveragedModel(model, multi_avg_fn=average(0.5), use_buffers=True)
    values = []
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            model.weight.fill_(value)
            model.running_mean.fill_(value)
            model.num_batches_tracked += 1
        ema.update_parameters(model)
        values.append(ema.module.weight.item())
    second = 1 * 2 / 11 + 2 * 9 / 11
    assert values == pytest.approx([1.0, second, second * 3 / 12 + 4 * 9 / 12])
    assert float(ema.module.running_mean) == pytest.approx(values[-1])
    assert int(ema.module.num_batches_tracked) == 3
    late = [torch.tensor([0.0])], [torch.tensor([1.0])], 1000
    average(0.9)(*late)
    assert float(late[0][0]) == pytest.approx(0.1)
