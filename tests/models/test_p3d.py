"""How blocks put space and time together, what longer clips do, and where weights come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from golden.rule import rule_state
from kinema import convert, create_model, profile
from kinema.layers.resnet import Site
from kinema.models.p3d import P3DBlock
from kinema.published import export_state_dict
from kinema.types import InputSpec

CAFFE, VISION = "ZhaofanQiu/pseudo-3d-residual-networks", "pytorch/vision"
SITE = Site(
    stage=2, index=0, depth=4, ordinal=3, name="layer2.0", in_channels=16, width=8, stride=2
)


def block(kind: Any, **options: Any) -> P3DBlock:
    torch.manual_seed(0)
    made = P3DBlock(SITE, kind, **options)
    made.reset_parameters()
    return made.eval()


def same_weights(made: nn.Module, like: nn.Module) -> None:
    own = made.state_dict()
    made.load_state_dict(own | {k: x for k, x in like.state_dict().items() if k in own})


@pytest.mark.parametrize("kind", ["A", "B", "C"])
@pytest.mark.parametrize("stride_in", ["reduce", "space"])
def test_blocks_by_hand(kind: str, stride_in: Any) -> None:
    made = block(kind, time_init="random", stride_in=stride_in)
    x = torch.randn(2, 16, 5, 8, 8)
    with torch.no_grad():
        r = made.bn1(made.conv1(x)).relu()
        s = made.bn2(made.conv2(r)).relu()
        into = r if kind == "B" else s
        into = into[..., ::2, ::2] if kind == "B" and stride_in == "space" else into
        t = made.bn3(nn.functional.conv3d(into, made.conv3.weight, padding=(1, 0, 0)))
        core = {"A": t.relu(), "B": (s + t).relu(), "C": (0.5 * s + 0.5 * t).relu()}[kind]
        wanted = (made.bn4(made.conv4(core)) + made.downsample(x)).relu()
        assert torch.allclose(made(x), wanted, atol=1e-5)


@pytest.mark.parametrize("stride_in", ["reduce", "space"])
def test_the_full_block_by_hand(stride_in: Any) -> None:
    made = block("3D", stride_in=stride_in)
    x = torch.randn(2, 16, 5, 8, 8)
    stride = (1, 2, 2) if stride_in == "space" else 1
    with torch.no_grad():
        r = made.bn1(made.conv1(x)).relu()
        weight = made.get_parameter("conv2.weight")
        assert weight.shape == (8, 8, 3, 3, 3)
        s = made.bn2(nn.functional.conv3d(r, weight, stride=stride, padding=1)).relu()
        wanted = (made.bn4(made.conv4(s)) + made.downsample(x)).relu()
        assert torch.allclose(made(x), wanted, atol=1e-5)


def test_the_full_network_has_the_same_skeleton_and_three_times_the_space() -> None:
    with torch.device("meta"):
        full = create_model("p3d_full_resnet50", num_classes=101)
        image = create_model("p3d_resnet50", num_classes=101, kinds=["2D"])
        mixed = create_model("p3d_resnet50", num_classes=101)
    blocks_of = (3 * 64**2, 4 * 128**2, 6 * 256**2)  # stages 1 to 3: blocks x channels squared
    assert [type(m) for m in full.modules()].count(nn.Conv3d) == 3 + 4 + 6
    costs = {name: profile(model, (3, 16, 160, 160)) for name, model in
             (("2D", image), ("mixed", mixed), ("full", full))}  # fmt: skip
    assert costs["full"].params == costs["2D"].params + 18 * sum(blocks_of)
    # maps of 8x40x40, 4x20x20 and 2x10x10 places
    places = (8 * 40**2, 4 * 20**2, 2 * 10**2)
    work = [blocks * count for blocks, count in zip(blocks_of, places, strict=True)]
    assert costs["full"].macs == costs["2D"].macs + 18 * sum(work)
    assert costs["mixed"].macs == costs["2D"].macs + 3 * sum(work)


def test_full_kernels_start_from_image_weights() -> None:
    image = create_model("tsn_resnet50", num_classes=7, width=8)
    published = export_state_dict(image, source=VISION)
    video = convert(published, source=VISION, model="p3d_full_resnet50", width=8, stride_in="space")
    a = image.get_parameter("backbone.layer3.1.conv2.weight")
    b = video.get_parameter("backbone.layer3.1.conv2.weight")
    assert torch.allclose(b.sum(2), a, atol=1e-6)
    assert torch.equal(b[:, :, 0], b[:, :, 2])


@pytest.mark.parametrize("kinds", [[], ["A", "D"], "AB2"])
def test_unknown_kinds_are_named(kinds: Any) -> None:
    with pytest.raises(ValueError, match=r"kinds=\[.*\] must be some of A, B, C, 2D, 3D, in turn"):
        create_model("p3d_resnet50", num_classes=5, width=8, kinds=kinds)


@pytest.mark.parametrize("kind", ["A", "C"])
def test_with_identity_over_time_a_block_is_the_image_networks(kind: str) -> None:
    made, image = block(kind, time_init="identity"), block("2D")
    same_weights(image, made)
    x = torch.randn(2, 16, 5, 8, 8)
    with torch.no_grad():
        assert torch.allclose(made(x), image(x), atol=1e-4)
        different = block(kind)
        same_weights(image, different)
        assert not torch.allclose(different(x), image(x), atol=1e-2)


def test_blocks_take_turns_through_three_stages() -> None:
    with torch.device("meta"):
        model = create_model("p3d_resnet152", num_classes=5)
    kinds = "".join(m.kind[0] for m in model.modules() if isinstance(m, P3DBlock))
    assert kinds == "ABC" * 15 + "AB" + "222"


def test_longer_clips_are_averaged_over_what_is_left_of_time() -> None:
    model = create_model("p3d_resnet50", num_classes=5, width=8).eval()
    clip = torch.randn(1, 3, 64, 32, 32)
    with torch.no_grad():
        out = model.run(clip, ["layer4"])
        assert out.features["layer4"].shape[2] == 4
        assert torch.allclose(out.embedding, out.features["layer4"].mean((2, 3, 4)), atol=1e-6)
        assert model.run(clip[:, :, :16], ["layer4"]).features["layer4"].shape[2] == 1
        assert model(clip[:, :, :3]).shape == (1, 5)


def test_the_port_needs_its_sixteen_frames() -> None:
    model = create_model("p3d_resnet50", num_classes=5, width=8, semantics="port").eval()
    assert model(torch.randn(1, 3, 16, 32, 32)).shape == (1, 5)
    with pytest.raises(ValueError, match="needs clips of 16 frames"):
        model(torch.randn(1, 3, 8, 32, 32))


@pytest.mark.parametrize("option", ["semantics", "stride_in", "time_init"])
def test_unknown_choices_are_named(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}='other' must be one of"):
        create_model("p3d_resnet50", num_classes=5, width=8, **{option: "other"})


def test_time_starts_as_published() -> None:
    torch.manual_seed(0)
    model = create_model("p3d_resnet50", num_classes=5, width=16)
    weight = model.get_parameter("backbone.layer3.1.conv3.weight")
    assert float(weight.detach().std()) == pytest.approx(0.001, rel=0.05)
    spatial = model.get_parameter("backbone.layer3.1.conv2.weight")
    assert float(spatial.detach().std()) > 0.01


def test_caffe_weights_bring_their_input_and_their_order_of_colours() -> None:
    model = create_model("p3d_resnet152", num_classes=5, width=8)
    model.load_state_dict(rule_state({k: tuple(x.shape) for k, x in model.state_dict().items()}))
    published = export_state_dict(model.eval(), source=CAFFE)
    assert published["conv1.0"].shape == (8, 3, 1, 7, 7)
    assert torch.equal(
        published["conv1.0"][:, 0, 0], model.get_parameter("backbone.conv1.weight")[:, 2]
    )
    for name in ("res4b35_branch2b_t.0", "bn4b35_branch2b_t.3", "res5c_branch2b.0", "fc.1"):
        assert name in published
    fc = {
        "fc_kinetics.0": published.pop("fc.0")[None, None],
        "fc_kinetics.1": published.pop("fc.1"),
    }
    back = convert(published | fc, source=CAFFE, model="p3d_resnet152", width=8, num_classes=5)
    clip = torch.randn(1, 3, 16, 32, 32)
    with torch.no_grad():
        assert torch.allclose(back(clip), model(clip), rtol=1e-4)
    grey = torch.full((1, 3, 1, 2, 2), 200, dtype=torch.uint8)
    pixels = back.spec.input.to_input(grey)[0, :, 0, 0, 0]
    assert pixels.tolist() == pytest.approx([77, 83, 96], abs=1e-3)


def test_image_weights_fill_all_but_time() -> None:
    torch.manual_seed(0)
    image = create_model("tsn_resnet50", num_classes=7, width=8)
    published = export_state_dict(image, source=VISION)
    video = convert(published, source=VISION, model="p3d_a_resnet50", width=8, stride_in="space")
    pairs = {"conv3": "conv4", "bn3": "bn4", "conv2": "conv2", "downsample.0": "downsample.0"}
    for theirs, ours in pairs.items():
        a = image.get_parameter(f"backbone.layer2.0.{theirs}.weight")
        assert torch.equal(a, video.get_parameter(f"backbone.layer2.0.{ours}.weight"))


def test_flow_takes_two_channels_and_its_own_mean() -> None:
    spec = InputSpec(modality="flow", frames=16)
    model = create_model("p3d_resnet50", num_classes=5, width=8, input=spec)
    published = export_state_dict(model, source=CAFFE)
    back = convert(
        published, source=CAFFE, model="p3d_resnet50", width=8, input=replace(spec, frames=16)
    )
    still = torch.full((1, 2, 1, 2, 2), 128, dtype=torch.uint8)
    assert back.spec.input.to_input(still).abs().max() < 1e-3
