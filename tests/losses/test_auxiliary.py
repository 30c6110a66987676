"""The auxiliary head: part of the objective, not of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinema import create_model, load, save
from kinema.engine.config import Phase, Recipe, load_recipe, save_recipe
from kinema.losses import AuxHeadConfig, CrossEntropyConfig, Objective
from kinema.types import InputSpec

SMALL = InputSpec(frames=2, resize=32, crop=32)


def test_it_trains_with_the_model_and_stays_out_of_its_file(tmp_path: Path) -> None:
    model = create_model("tsn_resnet50", num_classes=3, width=8, input=SMALL)
    keys = set(model.state_dict())
    term = AuxHeadConfig().build(model)
    objective = Objective(model, [CrossEntropyConfig().build(model), term])
    report = objective(torch.randn(4, 3, 2, 32, 32), torch.tensor([0, 1, 2, 1]))
    report.total.backward()
    wanted = report.parts["cross_entropy"] + 0.5 * report.parts["aux_head"]
    torch.testing.assert_close(report.total.detach(), wanted)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in term.parameters())
    assert model.backbone.layer1[0].conv1.weight.grad is not None  # type: ignore[attr-defined]
    save(model, tmp_path / "m.safetensors")
    assert set(load(tmp_path / "m.safetensors").state_dict()) == keys


def test_it_is_sized_by_the_tap() -> None:
    model = create_model("tsn_resnet50", num_classes=7, width=8, input=SMALL)
    term = AuxHeadConfig(tap="layer2").build(model)
    assert term.unit.conv.in_channels == 64
    assert term.fc.weight.shape == (7, 128)
    with pytest.raises(ValueError, match="has no tap 'res4'; its stages are maxpool, layer1"):
        AuxHeadConfig(tap="res4").build(model)


def test_several_labels_share_its_target() -> None:
    model = create_model("tsn_resnet50", num_classes=3, width=8, input=SMALL)
    term = AuxHeadConfig(dropout=0.0).build(model).eval()
    out = model.eval().run(torch.randn(2, 3, 2, 32, 32), term.taps)
    shares = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.3, 0.7]])
    by_hand = -(shares * term.logits(out.features["layer3"]).log_softmax(1)).sum(1).mean()
    several = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.3, 0.7]])
    torch.testing.assert_close(term(out, several), by_hand)


def test_a_recipe_file_names_it(tmp_path: Path) -> None:
    recipe = Recipe(
        model="tpn_tsn_resnet50",
        phases=(Phase(frames=8, epochs=1),),
        loss=(CrossEntropyConfig(), AuxHeadConfig(weight=0.3)),
    )
    save_recipe(recipe, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == recipe
