"""The pyramid's flows, its changes between time steps, and what it refuses."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from kinema import create_model
from kinema.layers.heads import ClipHead
from kinema.layers.temporal_pyramid import Flow, Level, TemporalPyramid, pool_by, pool_to

FLOWS = get_args(Flow)
LEVELS = (Level("layer3", 16, 1), Level("layer4", 32, 0))


def neck(flow: Any = "parallel", levels: Any = LEVELS, **steps: Any) -> TemporalPyramid:
    made = TemporalPyramid(
        levels, flow=flow, channels=8, fused_channels=12, out_channels=20,
        **(steps or {"lengths": (2, 1)}),
    )  # fmt: skip
    return made.double().eval()


def maps(steps: int = 8, side: int = 6) -> dict[str, Tensor]:
    shallow = torch.randn(2, 16, steps, side, side, dtype=torch.float64)
    deep = torch.randn(2, 32, steps, (side + 1) // 2, (side + 1) // 2, dtype=torch.float64)
    return {"layer3": shallow, "layer4": deep}


def test_pooling_takes_the_largest_of_each_window() -> None:
    x = torch.tensor([3.0, 1, 4, 1, 5]).view(1, 1, 5, 1, 1)
    assert pool_by(x, 2).flatten().tolist() == [3, 4, 5]  # the last window has one frame
    assert pool_to(x, 2).flatten().tolist() == [4, 5]  # the windows share the middle frame
    assert pool_to(x[:, :, :4], 2).flatten().tolist() == [3, 4]
    assert pool_to(x[:, :, :1], 2).flatten().tolist() == [3, 3]


def test_the_flows_are_those_of_the_paper() -> None:
    levels = [torch.randn(1, 8, steps, 2, 2, dtype=torch.float64) for steps in (2, 1)]
    shallow, deep = levels
    found = {flow: neck(flow).flowed(levels) for flow in FLOWS}
    assert found["isolation"] == {"isolation": levels}
    down = [shallow + deep, deep]  # one step is the nearest of every step
    for flow in ("top_down", "parallel", "cascade"):
        for x, y in zip(found[flow]["top_down"], down, strict=True):
            torch.testing.assert_close(x, y)
    for flow, source in (("bottom_up", levels), ("parallel", levels), ("cascade", down)):
        made = neck(flow)
        up = made.flowed(levels)["bottom_up"]
        torch.testing.assert_close(up[0], source[0])
        step = made.bottom_up[0](source[0]).amax(2, keepdim=True)
        torch.testing.assert_close(up[1], source[1] + step)
    assert set(found["top_down"]) == {"top_down"}
    assert set(found["bottom_up"]) == {"bottom_up"}


STEPS: list[dict[str, Any]] = [
    {"lengths": (2, 1)},
    {"lengths": (1, 3)},
    {"rates": (4, 8)},
    {"rates": (3, 8)},
    {"rates": (8, 2)},
]


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("steps", STEPS, ids=str)
@pytest.mark.parametrize("frames", [8, 11])
def test_any_rates_and_flow_give_one_map(flow: str, steps: Any, frames: int) -> None:
    made = neck(flow, **steps)
    y = made(maps(frames))
    last = steps["lengths"][-1] if "lengths" in steps else -(-frames // steps["rates"][-1])
    assert y.shape == (2, 20, last, 3, 3)


def test_rates_and_lengths_agree_where_they_mean_the_same() -> None:
    by_rates, by_lengths = neck(rates=(4, 8)), neck(lengths=(2, 1))
    by_lengths.load_state_dict(by_rates.state_dict())
    features = maps()
    torch.testing.assert_close(by_rates(features), by_lengths(features))


def test_a_level_keeps_its_speed_apart() -> None:
    """Two steps of the shallow level tell halves of the clip apart, one step does not."""
    first, swapped = maps(), maps()
    swapped["layer4"] = first["layer4"]
    swapped["layer3"] = first["layer3"].roll(4, dims=2)
    for lengths, same in (((1, 1), True), ((2, 1), False)):
        made = neck("isolation", lengths=lengths)
        made.temporal[0] = nn.Conv3d(32, 8, 1).double()  # sees no neighbour across the seam
        levels = [made.modulated([x["layer3"], x["layer4"]])[0] for x in (first, swapped)]
        assert torch.equal(*levels) is same


def test_spatial_modulation_brings_shallow_stages_to_the_deepest() -> None:
    made = neck(levels=(Level("layer1", 8, 2), Level("layer4", 32, 0)))
    features = {"layer1": torch.randn(1, 8, 8, 9, 9), "layer4": torch.randn(1, 32, 8, 3, 3)}
    y = made({name: x.double() for name, x in features.items()})
    assert y.shape == (1, 20, 1, 3, 3)
    assert [unit.conv.out_channels for unit in made.spatial[0]] == [16, 32]


ABLATIONS: list[dict[str, Any]] = [
    {"stages": ["res2", "res3", "res4", "res5"]},
    {"stages": ["res3", "res5"], "lengths": [4, 1]},
    {"stages": ["res5"]},
    {"stages": ["res5", "res5"]},
    {"stages": ["res5", "res5", "res5"], "rates": [1, 2, 4]},
    {"stages": ["res3", "res4"]},
    {"flow": "isolation"},
    {"flow": "parallel", "lengths": [2, 1]},
]


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_every_ablation_is_plain_data(options: dict[str, Any]) -> None:
    model = create_model("tpn_tsn_resnet50", num_classes=3, width=4, **options).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 4, 40, 40)).shape == (1, 3)


def test_time_steps_of_the_released_models_are_the_default() -> None:
    wanted = {"tpn_slowonly_resnet50": (1, 1), "tpn_slowonly_resnet101": (2, 1),
              "tpn_tsn_resnet50": (1, 1), "tpn_tsm_resnet50": (1, 1)}  # fmt: skip
    for name, lengths in wanted.items():
        with torch.device("meta"):
            made = create_model(name, width=4).neck
        assert isinstance(made, TemporalPyramid)
        assert (made.lengths, made.rates, made.flow) == (lengths, (), "cascade")
    with torch.device("meta"):
        single = create_model("tpn_slowonly_resnet50", width=4, stages=["res5"] * 3).neck
    assert isinstance(single, TemporalPyramid)
    assert single.lengths == (4, 2, 1)
    assert single.taps == ("layer4",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "sideways"}, "flow='sideways' must be one of isolation, top_down, bottom_up"),
        ({"stages": [4, 5]}, "stages: there is no 4; there are res2"),
        ({"stages": ["res6"]}, r"stages: there is no 'res6' \(did you mean .*; there are res2"),
        ({"stages": ["res5", "res4"]}, "must name one or more .* from shallow to deep"),
        ({"stages": []}, "must name one or more of res2"),
        ({"lengths": [2]}, "must be one number from 1 on for each of the stages res4, res5"),
        ({"rates": [0, 8]}, "must be one number from 1 on"),
        ({"rates": [4, 8], "lengths": [2, 1]}, "say the same in two ways: give one"),
    ],
)
def test_wrong_options_are_answered_with_what_works(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("tpn_tsn_resnet50", num_classes=3, width=4, **options)


def test_a_clip_too_short_for_the_rates_is_refused() -> None:
    model = create_model("tpn_tsn_resnet50", num_classes=3, width=4, rates=[4, 8]).eval()
    message = r"a clip of 4 frames is too short for rates=\[4, 8\]: give at least 8 frames or"
    with pytest.raises(ValueError, match=message):
        model(torch.randn(1, 3, 4, 32, 32))


def test_fully_convolutional_testing_is_what_the_head_does() -> None:
    """Every position classified and logits averaged: the classifier of the map's mean."""
    head = ClipHead(20, 5).double().eval()
    x = torch.randn(2, 20, 2, 8, 8, dtype=torch.float64)
    positions = nn.functional.conv3d(x, head.fc.weight[:, :, None, None, None], head.fc.bias)
    torch.testing.assert_close(head(x)[0], positions.mean((2, 3, 4)))
