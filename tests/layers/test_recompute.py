"""Recomputing activations changes memory and time, and no number."""

from __future__ import annotations

import pytest
import torch

from kinema.models import create_model


@pytest.mark.parametrize("name", ["tsm_resnet18", "tsm_resnet50", "tsm_mobilenetv2"])
def test_gradients_and_statistics_stay_the_same(name):
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        model = create_model(name, num_classes=3, width=8, dropout=0.0).train()
        model.backbone.recompute = again
        model(torch.randn(2, 3, 4, 32, 32)).square().sum().backward()
        found.append((model.state_dict(), [p.grad for p in model.parameters()]))
    (plain, gradients), (state, others) = found
    counts = [int(v) for k, v in plain.items() if k.endswith("num_batches_tracked")]
    assert set(counts) == {1}
    for key in plain:
        assert torch.equal(plain[key], state[key]), key
    for a, b in zip(gradients, others, strict=True):
        assert torch.equal(a, b)


def test_frozen_norms_stay_frozen():
    model = create_model("tsm_resnet18", num_classes=3, width=8).eval()
    model.backbone.recompute = True
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(torch.randn(2, 3, 4, 32, 32)).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(m.momentum == 0.1 for m in model.modules() if hasattr(m, "momentum"))
