"""Temporal modules plug into every network of residual blocks: frame by frame, slow-only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema import create_model
from kinema.layers.enhancement import MotionEnhancement, ProgressiveEnhancement
from kinema.layers.frame_resnet import frame_resnet
from kinema.layers.interaction import TemporalInteraction
from kinema.layers.resnet import Bottleneck, ResNet, Site
from kinema.layers.shift import TemporalShift
from kinema.layers.shuffle import VideoShuffle
from kinema.layers.slow_resnet import INFLATED_STAGES, SlowBottleneck
from kinema.layers.streaming import step
from kinema.models.gsm import GateShift
from kinema.models.tanet import TemporalAdaptive
from kinema.models.tea import MotionExcitation

Plug = dict[str, Callable[[Site], nn.Module]]
PLUGS: dict[str, Plug] = {
    "shift": {"temporal": lambda site: TemporalShift()},
    "PEM": {"temporal": lambda site: ProgressiveEnhancement(site.in_channels)},
    "MEM": {"temporal": lambda site: MotionEnhancement(site.in_channels)},
    "TIM": {"temporal": lambda site: TemporalInteraction(site.in_channels)},
    "video shuffle": {"temporal": lambda s: VideoShuffle(), "tail": lambda s: VideoShuffle()},
    "TEA's excitation": {"inner": lambda site: MotionExcitation(site.width)},
    "gate shift": {"temporal": lambda site: GateShift(site.in_channels)},
    "TANet": {"inner": lambda site: TemporalAdaptive(site.width, frames=4)},
}


def resnet18(plug: Plug) -> nn.Module:
    return frame_resnet(18, width=8, **plug)


def slow_only(plug: Plug) -> nn.Module:
    """The slow pathway with one block per stage."""

    def block(site: Site) -> nn.Module:
        kind = SlowBottleneck if site.stage in INFLATED_STAGES else Bottleneck
        return kind(site, **{place: make(site) for place, make in plug.items()})

    return ResNet((1, 1, 1, 1), block=block, width=8)


def noise(channels: int = 8, steps: int = 4) -> Tensor:
    x = torch.randn(2, channels, steps, 3, 5)
    return x.contiguous(memory_format=torch.channels_last_3d)


def moved(module: nn.Module) -> nn.Module:
    """In eval mode, with weights that are not those of the start."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.eval()


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("network", [resnet18, slow_only])
@pytest.mark.parametrize("name", PLUGS)
def test_it_builds_runs_and_learns_in(name: str, network: Callable[[Plug], nn.Module]) -> None:
    backbone = network(PLUGS[name])
    y = backbone(torch.randn(2, 3, 4, 32, 32).contiguous(memory_format=torch.channels_last_3d))
    assert y.shape == (2, backbone.out_channels, 4, 1, 1)
    y.square().sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


@pytest.mark.parametrize("kind", [MotionExcitation, GateShift, TemporalAdaptive])
def test_maps_keep_shape_and_layout_and_steps_are_refused(kind) -> None:
    module = moved(kind(8))
    for steps in (1, 4, 8):
        y = module(noise(steps=steps))
        assert y.shape == (2, 8, steps, 3, 5)
        assert y.is_contiguous(memory_format=torch.channels_last_3d)
    with pytest.raises(TypeError, match=f"{kind.__name__} cannot run frame by frame"):
        step(module, noise(steps=1), None)


def test_motion_excitation_is_its_formula() -> None:
    module, x = moved(MotionExcitation(32)), noise(32)
    small = module.squeeze_bn(module.squeeze(x))
    changes = [
        module.transform(small[:, :, t + 1 : t + 2]) - small[:, :, t : t + 1] for t in range(3)
    ]
    change = torch.cat([*changes, torch.zeros_like(changes[0])], dim=2).mean((3, 4), keepdim=True)
    gate = module.expand_bn(module.expand(change)).sigmoid() - 0.5
    torch.testing.assert_close(module(x), x + x * gate)


@pytest.mark.parametrize(("channels", "inner"), [(64, 4), (32, 2), (8, 1)])
def test_size_of_motion_excitation(channels: int, inner: int) -> None:
    maps = 2 * channels * inner + 9 * inner
    assert size(MotionExcitation(channels)) == maps + 2 * inner + 2 * channels


def test_gate_shift_is_its_formula() -> None:
    module, x = moved(GateShift(8)), noise()
    gate = torch.tanh(module.gate(F.relu(module.bn(x))))
    gated = torch.cat((gate[:, :1] * x[:, :4], gate[:, 1:] * x[:, 4:]), dim=1)
    none = torch.zeros_like(x[:, :4, :1])
    ahead = torch.cat((gated[:, :4, 1:], none), dim=2)
    back = torch.cat((none, gated[:, 4:, :-1]), dim=2)
    y = torch.cat((ahead, back), dim=1) + x - gated
    torch.testing.assert_close(module(x), y[:, [0, 2, 1, 3, 4, 6, 5, 7]])


def test_gate_shift_starts_without_a_shift() -> None:
    x = noise()
    torch.testing.assert_close(GateShift(8)(x), x[:, [0, 2, 1, 3, 4, 6, 5, 7]])
    torch.testing.assert_close(GateShift(8, interleave=False)(x), x)
    assert size(GateShift(8)) == 27 * 8 + 2 + 2 * 8
    with pytest.raises(ValueError, match="channels=6 of a gate shift must be a multiple of 4"):
        GateShift(6)


def test_adaptive_module_is_its_formula() -> None:
    module, x = moved(TemporalAdaptive(8, frames=4)), noise()
    means = x.mean((3, 4))  # (N, C, T)
    kernel = module.kernel(means.flatten(0, 1))  # (N * C, 3), one per clip and channel
    weighted = x * module.weights(means)[..., None, None]
    y = F.conv2d(
        weighted.reshape(1, 16, 4, 15), kernel[:, None, :, None], padding=(1, 0), groups=16
    )
    torch.testing.assert_close(module(x), y.view(x.shape))


def test_size_of_the_adaptive_module() -> None:
    # local 3 C C/4 + 2 C/4 + C/4 C; global T 2T + 2 2T + 2T 3
    assert size(TemporalAdaptive(64, 8)) == 3 * 64 * 16 + 32 + 16 * 64 + 128 + 32 + 48
    with torch.device("meta"):
        model = create_model("tanet_resnet50")
    assert size(model) == 25_590_320  # 25.6 M in the paper


def test_an_adaptive_module_runs_clips_of_other_lengths() -> None:
    module = moved(TemporalAdaptive(8, frames=4))
    still = torch.randn(1, 8, 1, 3, 5)
    short, long = (module(still.expand(1, 8, t, 3, 5)) for t in (5, 9))
    torch.testing.assert_close(short[:, :, 2], long[:, :, 4])
    with pytest.raises(ValueError, match="frames=0 must be at least 1"):
        TemporalAdaptive(8, frames=0)
