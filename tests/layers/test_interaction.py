"""TIM and the video shuffle."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinema.layers.interaction import TemporalInteraction
from kinema.layers.shift import TemporalShift
from kinema.layers.shuffle import VideoShuffle, shuffle, shuffle_by_index
from kinema.layers.streaming import step


def clip(channels: int = 16, steps: int = 5) -> Tensor:
    x = torch.randn(2, channels, steps, 3, 4)
    return x.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(("channels", "div"), [(16, 8), (20, 8), (7, 8), (9, 3)])
def test_tim_starts_as_the_shift(channels, div) -> None:
    x = clip(channels)
    torch.testing.assert_close(TemporalInteraction(channels, div)(x), TemporalShift(div)(x))
    torch.testing.assert_close(TemporalInteraction(channels, div, init="identity")(x), x)


def test_tim_is_a_convolution_over_time_per_channel() -> None:
    tim, x = TemporalInteraction(16), clip()
    nn.init.normal_(tim.weight)
    conv = nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0), groups=16, bias=False)
    conv.weight.data.copy_(tim.weight[..., None, None])
    torch.testing.assert_close(tim(x), conv(x))
    assert tim(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_tim_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="tim_init='random' must be one of shift, identity"):
        TemporalInteraction(8, init="random")
    with pytest.raises(ValueError, match="shift_div=1 must be at least 2"):
        TemporalInteraction(8, 1)


def test_a_hand_written_shuffle() -> None:
    x = torch.arange(1.0, 11.0).view(1, 5, 2, 1, 1)  # channel c, frame t: 2c + t + 1
    # Two groups: channels 0, 1 and channels 2, 3; channel 4 stays.
    assert shuffle(x).view(5, 2).tolist() == [[1, 5], [3, 7], [2, 6], [4, 8], [9, 10]]


@pytest.mark.parametrize(("channels", "steps"), [(16, 4), (16, 5), (3, 4), (8, 1)])
def test_the_shuffle_undoes_itself(channels, steps) -> None:
    x = clip(channels, steps)
    assert torch.equal(shuffle(shuffle(x)), x)
    assert torch.equal(shuffle_by_index(x), shuffle(x))
    assert shuffle(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_the_shuffle_exports_with_dynamic_batch_and_time() -> None:
    batch, steps = torch.export.Dim("batch", max=64), torch.export.Dim("steps", min=2, max=64)
    dynamic = {"x": {0: batch, 2: steps}}
    program = torch.export.export(VideoShuffle(), (clip(16, 4),), dynamic_shapes=dynamic)
    for length in (6, 16, 20):
        other = torch.randn(3, 16, length, 3, 4)
        assert torch.equal(program.module()(other), shuffle(other))


@pytest.mark.parametrize("module", [TemporalInteraction(16), VideoShuffle()])
def test_neither_runs_frame_by_frame(module) -> None:
    with pytest.raises(TypeError, match=f"{type(module).__name__} cannot run frame by frame"):
        step(module, clip(steps=1), None)
