"""TDRL and TEINet: sizes, where the modules stand, what the options build."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema import create_model, profile
from kinema.layers.enhancement import MotionEnhancement, ProgressiveEnhancement
from kinema.layers.interaction import TemporalInteraction
from kinema.layers.shift import TemporalShift
from kinema.layers.shuffle import VideoShuffle
from kinema.models import VideoModel

PLAIN = 24_327_632  # ResNet-50 with 400 classes
TIM = 39_360  # three weights for each of the 13,120 channels that enter its 16 blocks


def built(name: str, **options: object) -> VideoModel:
    with torch.device("meta"):
        return create_model(name, **options)  # type: ignore[arg-type]


def parameters(model: VideoModel) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("reduction", "maps", "scalar", "channel", "unbiased"),
    [
        (4, 11_966_688, 6_576, 1_994_448, 11_953_568),
        (8, 5_989_904, 3_296, 499_432, 5_976_784),
        (16, 3_001_512, 1_656, 125_268, 2_988_392),
    ],
)
def test_what_pem_adds_to_a_resnet50(reduction, maps, scalar, channel, unbiased) -> None:
    def added(**options: object) -> int:
        model = built("tdrl_resnet50", temporal="tsm", reduction=reduction, **options)
        return parameters(model) - PLAIN

    assert added() == maps + scalar
    assert added(gate="channel") == maps + channel
    assert added(pem_bias=False) == unbiased


def test_sizes_of_the_others() -> None:
    assert parameters(built("teinet_resnet50")) == PLAIN + 5_989_904 + TIM == 30_356_896
    assert parameters(built("tdrl_resnet50")) == PLAIN + 5_989_904 + 3_296 + TIM
    assert parameters(built("tdrl_resnet50", temporal="none", pem_position="none")) == PLAIN
    assert parameters(built("tdrl_resnet50", temporal="mem", pem_position="none")) == (
        PLAIN + 5_989_904
    )


def test_a_view_costs_what_the_paper_says() -> None:
    """33 G for 8 frames."""
    macs = profile(built("tdrl_resnet50"), (3, 8, 224, 224)).macs
    assert 32.7e9 < macs < 33.1e9


def test_every_block_begins_with_pem_and_then_the_temporal_module() -> None:
    model = built("tdrl_resnet50")
    parts = [list(block.temporal.named_children()) for block in blocks(model)]
    assert len(parts) == 16
    for (first, pem), (second, tim) in parts:
        assert (first, second) == ("pem", "tim")
        assert isinstance(pem, ProgressiveEnhancement)
        assert isinstance(tim, TemporalInteraction)
    after = built("tdrl_resnet18", pem_position="after")
    assert all(list(dict(b.temporal.named_children())) == ["tim", "pem"] for b in blocks(after))
    teinet = built("teinet_resnet18")
    assert all(list(dict(b.temporal.named_children())) == ["mem", "tim"] for b in blocks(teinet))


def blocks(model: VideoModel) -> list[nn.Module]:
    return [b for s in (1, 2, 3, 4) for b in model.get_submodule(f"backbone.layer{s}").children()]


def test_the_shuffle_stands_in_the_last_block_of_every_stage_and_is_undone() -> None:
    model = built("tdrl_resnet50", temporal="vsn", pem_position="none")
    last = [2, 2 + 4, 2 + 4 + 6, 2 + 4 + 6 + 3]
    for place, block in enumerate(blocks(model)):
        exchange = block.temporal.vsn
        assert isinstance(exchange, VideoShuffle if place in last else TemporalShift)
        assert isinstance(block.tail, VideoShuffle if place in last else nn.Identity)


@pytest.mark.parametrize("temporal", ["tim", "tsm", "mem", "vsn", "none"])
@pytest.mark.parametrize("position", ["before", "after", "none"])
def test_every_combination_runs(temporal, position) -> None:
    model = create_model(
        "tdrl_resnet18", num_classes=3, width=8, temporal=temporal, pem_position=position
    ).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 3, 32, 32)).shape == (1, 3)
    kinds = {
        "tim": TemporalInteraction, "tsm": TemporalShift, "mem": MotionEnhancement,
        "vsn": VideoShuffle, "none": type(None),
    }  # fmt: skip
    assert temporal == "none" or any(isinstance(m, kinds[temporal]) for m in model.modules())


def test_without_a_temporal_module_it_is_tsn_and_with_tim_alone_it_starts_as_tsm() -> None:
    clip = torch.randn(1, 3, 4, 32, 32)
    for options, twin in (({"temporal": "none"}, "tsn_resnet18"), ({}, "tsm_resnet18")):
        ours = create_model("tdrl_resnet18", num_classes=3, width=8, pem_position="none", **options)
        theirs = create_model(twin, num_classes=3, width=8)
        theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if "temporal" not in k})
        torch.testing.assert_close(ours.eval()(clip), theirs.eval()(clip))


def test_pem_looks_at_other_frames() -> None:
    model = create_model("tdrl_resnet18", num_classes=3, width=8, temporal="none").eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    clip = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert (model(clip) - model(clip.flip(2))).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temporal": "tam"}, r"temporal='tam' must be one of tim, tsm, mem, vsn, none"),
        ({"pem_position": "behind"}, r"pem_position='behind' must be one of before, after, none"),
        ({"gate": "both"}, r"gate='both' must be one of scalar, channel"),
    ],
)
def test_options_are_checked(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("tdrl_resnet18", num_classes=3, width=8, **options)
