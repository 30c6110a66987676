"""The objective: weighted sum of terms over one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from kinema.losses import (
    BinaryCrossEntropyConfig,
    CrossEntropyConfig,
    Objective,
    activation_of,
)
from kinema.losses.objective import distribution
from kinema.models import create_model
from kinema.types import Outputs


class TapMean(nn.Module):
    name = "tap_mean"

    def __init__(self, tap: str, channels: int) -> None:
        super().__init__()
        self.taps, self.weight = (tap,), 0.5
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, out: Outputs, target: Tensor) -> Tensor:
        return (out.features[self.taps[0]].mean((0, 2, 3, 4)) * self.scale).mean()


@dataclass(frozen=True, kw_only=True)
class TapMeanConfig:
    kind: Literal["tap_mean"] = "tap_mean"
    tap: str = "layer2"

    def build(self, model) -> TapMean:
        return TapMean(self.tap, model.backbone.tap_channels[self.tap])


@pytest.fixture
def model():
    return create_model("tsm_resnet18", num_classes=3, width=8).eval()


@pytest.fixture
def clip():
    return torch.randn(4, 3, 4, 32, 32)


def test_cross_entropy_is_minus_mean_log_probability(model, clip):
    objective = Objective(model, [CrossEntropyConfig().build(model)])
    target = torch.tensor([0, 1, 2, 1])
    report = objective(clip, target)
    expected = -model(clip).log_softmax(1)[torch.arange(4), target].mean()
    torch.testing.assert_close(report.total, expected)
    torch.testing.assert_close(report.logits, model(clip))
    assert not report.logits.requires_grad
    assert report.total.requires_grad


def test_smoothing_mixes_the_target_with_the_uniform_distribution(model, clip):
    target = torch.tensor([0, 1, 2, 1])
    smooth = Objective(model, [CrossEntropyConfig(smoothing=0.3).build(model)])(clip, target)
    soft = 0.7 * nn.functional.one_hot(target, 3).float() + 0.1
    plain = Objective(model, [CrossEntropyConfig().build(model)])(clip, soft)
    torch.testing.assert_close(smooth.total, plain.total)
    by_hand = -(soft * model(clip).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(smooth.total, by_hand)


def test_terms_are_weighted_and_reported_unweighted(model, clip):
    terms = [CrossEntropyConfig(weight=2.0).build(model), TapMeanConfig().build(model)]
    objective = Objective(model, terms)
    report = objective(clip, torch.tensor([0, 1, 2, 1]))
    assert list(report.parts) == ["cross_entropy", "tap_mean"]
    expected = 2 * report.parts["cross_entropy"] + 0.5 * report.parts["tap_mean"]
    torch.testing.assert_close(report.total.detach(), expected)
    report.total.backward()
    assert objective.terms["tap_mean"].scale.grad is not None


def test_terms_parameters_stay_out_of_the_model(model):
    before = set(model.state_dict())
    objective = Objective(model, [CrossEntropyConfig().build(model), TapMeanConfig().build(model)])
    assert set(model.state_dict()) == before
    assert "terms.tap_mean.scale" in objective.state_dict()


def test_an_unknown_tap_is_named(model):
    term = TapMeanConfig().build(model)
    term.taps = ("layer9",)
    with pytest.raises(ValueError, match=r"tap_mean asks for the taps \['layer9'\].*tsm_resnet18"):
        Objective(model, [term])


@pytest.mark.parametrize("count", [0, 2])
def test_each_term_once(model, count):
    with pytest.raises(ValueError, match="at least one, each name once"):
        Objective(model, [CrossEntropyConfig().build(model)] * count)


def test_smoothing_out_of_range():
    with pytest.raises(ValueError, match=r"smoothing=1.0 must be at least 0 and below 1"):
        CrossEntropyConfig(smoothing=1.0)


def test_several_labels_share_the_target(model, clip):
    target = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0.3, 0.7]])
    shares = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [1 / 3] * 3, [0, 0.3, 0.7]])
    report = Objective(model, [CrossEntropyConfig().build(model)])(clip, target)
    by_hand = -(shares * model(clip).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(report.total, by_hand)


def test_shares_of_two_clips_are_taken_as_they_are(model, clip):
    """Where they add up to one the target is not touched, to the last bit."""
    for share in torch.rand(200).tolist():
        target = torch.tensor([[share, 0.0, 1 - share]])
        assert torch.equal(distribution(target), target)


def test_binary_cross_entropy_asks_for_each_class(model, clip):
    term = BinaryCrossEntropyConfig(weight=3.0).build(model)
    logits = model(clip)
    many = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 0], [0.3, 0, 0.7]])
    report = Objective(model, [term])(clip, many)
    by_hand = -(many * logits.sigmoid().log() + (1 - many) * (-logits).sigmoid().log()).mean()
    torch.testing.assert_close(report.parts["binary_cross_entropy"], by_hand.detach())
    torch.testing.assert_close(report.total, 3 * by_hand)
    one = torch.tensor([0, 2, 1, 1])
    rows = nn.functional.one_hot(one, 3).float()
    torch.testing.assert_close(
        Objective(model, [term])(clip, one).total, Objective(model, [term])(clip, rows).total
    )


def test_the_terms_decide_what_makes_probabilities():
    assert activation_of([CrossEntropyConfig(), TapMeanConfig()]) == "softmax"
    assert activation_of([TapMeanConfig(), BinaryCrossEntropyConfig()]) == "sigmoid"
    with pytest.raises(ValueError, match="cross_entropy makes the labels compete"):
        activation_of([CrossEntropyConfig(), BinaryCrossEntropyConfig()])
