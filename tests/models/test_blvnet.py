"""Lengths that do not come in pairs, and what an odd one does."""

from __future__ import annotations

import pytest
import torch

from kinema import create_model
from kinema.types import InputSpec

INPUT = InputSpec(frames=4, resize=64, crop=64)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    model = create_model("blvnet_tam_resnet50", num_classes=5, input=INPUT, width=8).eval()
    torch.nn.init.normal_(model.head.fc.weight, std=0.5)  # type: ignore[union-attr]
    for name, parameter in model.named_parameters():
        if name.endswith("bn3.weight"):  # blocks start as their shortcuts
            torch.nn.init.ones_(parameter)
    return model


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_the_last_frame_of_an_odd_clip_stands_for_its_pair(
    model: torch.nn.Module, frames: int
) -> None:
    clip = torch.randn(2, 3, frames, 64, 64)
    with torch.no_grad():
        paired = model(torch.cat((clip, clip[:, :, -1:]), 2))
        assert torch.allclose(model(clip), paired, atol=1e-6)


def test_both_branches_and_the_order_of_a_pair_count(model: torch.nn.Module) -> None:
    clip = torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        wanted = model(clip)
        for frame in range(4):
            other = clip.clone()
            other[:, :, frame] += 1
            assert (model(other) - wanted).abs().max() > 1e-4
        assert (model(clip[:, :, [1, 0, 3, 2]]) - wanted).abs().max() > 1e-4


def test_a_sum_over_more_frames_than_the_clip_has() -> None:
    model = create_model("blvnet_tam_resnet50", num_classes=5, input=INPUT, width=8, tam_r=7).eval()
    assert model(torch.randn(1, 3, 2, 64, 64)).isfinite().all()


def test_does_not_run_frame_by_frame(model: torch.nn.Module) -> None:
    with pytest.raises(TypeError, match="cannot run frame by frame"):
        model.step(torch.randn(1, 3, 1, 64, 64))  # type: ignore[operator]


def test_a_width_that_branches_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="width=12 must be a multiple of 8"):
        create_model("blvnet_tam_resnet50", num_classes=5, width=12)
