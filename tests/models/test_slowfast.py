"""SlowFast and C3D: costs, frames of the slow path, other lengths and sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinema import create_model, profile
from kinema.engine.optim import freeze, roles
from kinema.engine.start import start_from
from kinema.layers.time_conv import TimeConv
from kinema.models.slowfast import Join, slow_index
from kinema.types import InputSpec

EIGHT = {"alpha": 4, "fusion_kernel": 7}
MMACTION2 = {"lateral_norm": False, "slow_frames": "every"}
# (model, options, classes, frames, side, parameters, multiply-adds); parameters of the rows with
# mmaction2's options, of slowonly and of C3D with 101 classes are those of its metafile.yml.
COSTS = [
    ("c3d", {}, 487, 16, 112, 79_991_015, 38_548_959_232),
    ("c3d", {}, 101, 16, 112, 78_409_573, 38_547_378_176),
    ("slowonly_resnet50", {}, 400, 4, 224, 32_454_096, 20_870_823_936),
    ("slowonly_resnet50", {}, 400, 8, 256, 32_454_096, 54_518_382_592),
    ("slowonly_resnet101", {}, 400, 8, 256, 60_359_120, 111_560_916_992),
    ("slowfast_resnet50", {}, 400, 32, 224, 34_480_216, 27_638_665_216),
    ("slowfast_resnet50", {}, 400, 32, 256, 34_480_216, 36_099_198_976),
    ("slowfast_resnet50", EIGHT, 400, 32, 224, 34_566_488, 50_308_583_424),
    ("slowfast_resnet50", EIGHT, 400, 32, 256, 34_566_488, 65_708_888_064),
    ("slowfast_resnet50", MMACTION2, 400, 32, 256, 34_479_288, 36_099_198_976),
    ("slowfast_resnet50", EIGHT | MMACTION2, 400, 32, 256, 34_565_560, 65_708_888_064),
    ("slowfast_resnet101", EIGHT | MMACTION2, 400, 32, 256, 62_912_312, 126_316_580_864),
]


@pytest.mark.parametrize(("name", "options", "classes", "frames", "side", "params", "macs"), COSTS)
def test_costs_are_exact(
    name: str, options: Any, classes: int, frames: int, side: int, params: int, macs: int
) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, **options)
    cost = profile(model, (3, frames, side, side))
    assert (cost.params, cost.macs) == (params, macs)
    assert sum(stage.macs for stage in cost.stages) == macs


def small(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return create_model(name, num_classes=5, width=8, **options).eval()


@pytest.mark.parametrize("alpha", [4, 8])
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 6, 8])
def test_the_slow_path_sees_the_authors_frames_where_alpha_divides_t(
    alpha: int, groups: int
) -> None:
    frames = alpha * groups
    theirs = torch.linspace(0, frames - 1, groups, dtype=torch.float64).long()
    assert slow_index(frames, alpha, "spread").tolist() == theirs.tolist()
    assert slow_index(frames, alpha, "every").tolist() == list(range(0, frames, alpha))


def test_the_slow_frames_of_32() -> None:
    assert slow_index(32, 8, "spread").tolist() == [0, 10, 20, 31]
    assert slow_index(32, 4, "spread").tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slow_index(32, 8, "every").tolist() == [0, 8, 16, 24]


@pytest.mark.parametrize("rule", ["spread", "every"])
def test_other_lengths_give_as_many_slow_frames_as_the_lateral_convolutions(rule: Any) -> None:
    for alpha, kernel in ((8, 5), (4, 7), (1, 1)):
        lateral = TimeConv(2, 4, kernel, stride=alpha)
        for frames in (1, 2, 7, 8, 9, 15, 17, 33):
            index = slow_index(frames, alpha, rule)
            assert len(index) == lateral(torch.zeros(1, 2, frames, 3, 3)).shape[2]
            assert 0 <= int(index.min()) <= int(index.max()) < frames


def test_a_strided_convolution_over_time_is_conv3d() -> None:
    conv = TimeConv(3, 6, 5, stride=4)
    x = torch.randn(2, 3, 11, 5, 7)
    wanted = F.conv3d(x, conv.weight, stride=(4, 1, 1), padding=(2, 0, 0))
    assert torch.allclose(conv(x), wanted, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 5, 16])
def test_the_head_sees_the_mean_of_each_path(frames: int) -> None:
    slow, fast = torch.randn(2, 6, 3, 2, 2), torch.randn(2, 4, frames, 2, 2)
    wanted = torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1)
    assert torch.allclose(Join()(slow, fast).mean((2, 3, 4)), wanted, atol=1e-6)


def test_both_paths_and_the_way_from_fast_to_slow_matter() -> None:
    model = small("slowfast_resnet50", alpha=4, zero_init=False)
    nn.init.normal_(model.head.fc.weight)
    x = torch.randn(1, 3, 8, 64, 64)
    seen = slow_index(8, 4, "spread").tolist()
    unseen = next(t for t in range(8) if t not in seen)
    changed = x.clone()
    changed[:, :, unseen] += 1.0
    with torch.no_grad():
        before = model.run(x, ["slow.maxpool", "fast.maxpool", "slow.layer4"]).features
        after = model.run(changed, ["slow.maxpool", "fast.maxpool", "slow.layer4"]).features
    assert torch.equal(before["slow.maxpool"], after["slow.maxpool"])
    assert not torch.equal(before["fast.maxpool"], after["fast.maxpool"])
    assert not torch.allclose(before["slow.layer4"], after["slow.layer4"])


def test_both_stems_are_stems() -> None:
    model = small("slowfast_resnet50")
    stems = [name for name, role in roles(model, model).items() if role == "stem"]
    assert stems == ["backbone.slow.conv1.weight", "backbone.fast.conv1.weight"]
    frozen = freeze(model, stages=("stem",))
    assert {name.split(".")[1] for name in frozen} == {"slow", "fast"}
    assert set(stems) <= set(frozen)


def test_there_are_no_image_weights_for_two_paths() -> None:
    for name in ("slowfast_resnet50", "c3d"):
        with pytest.raises(ValueError, match=f"there are no ImageNet weights for {name}"):
            start_from(small(name), "imagenet")


def test_blocks_start_as_their_shortcut_unless_asked() -> None:
    zero, he = small("slowfast_resnet50"), small("slowfast_resnet50", zero_init=False)
    for path in ("slow", "fast"):
        assert not getattr(zero.backbone, path).layer3[2].bn3.weight.any()
        assert (getattr(he.backbone, path).layer3[2].bn3.weight == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "width=12 must be a multiple of 8"),
        ({"alpha": 0}, "alpha=0 must be at least 1"),
        ({"fusion_kernel": 4}, "steps=4 .* must be odd"),
        ({"slow_frames": "linspace"}, "slow_frames='linspace' must be one of spread, every"),
    ],
)
def test_options_without_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("slowfast_resnet50", **{"width": 8, **options})


def test_c3d_flattens_the_usual_map_as_it_is() -> None:
    model = small("c3d", input=InputSpec(frames=16, resize=128, crop=112))
    with torch.no_grad():
        found = model.run(torch.randn(1, 3, 16, 112, 112), ["pool5", "fc6"]).features
        assert found["pool5"].shape[2:] == (1, 4, 4)
        fc6 = model.backbone.fc6(found["pool5"].flatten(1)).relu()
    assert torch.equal(fc6, found["fc6"].flatten(1))


def test_c3d_takes_short_long_and_odd_clips() -> None:
    model = small("c3d")
    for frames, height, width, steps in ((1, 32, 32, 1), (3, 50, 71, 1), (33, 112, 150, 3)):
        with torch.no_grad():
            out = model.run(torch.randn(1, 3, frames, height, width), ["pool5"])
        assert out.features["pool5"].shape[2] == steps
        assert out.logits.shape == (1, 5)
        assert out.embedding.shape == (1, 64 * 8)


def test_a_narrow_c3d_does_not_start_fainter() -> None:
    clip = torch.randn(2, 3, 4, 32, 32)
    sizes = []
    for width in (8, 64):
        torch.manual_seed(0)
        with torch.no_grad():
            sizes.append(float(create_model("c3d", width=width).eval().run(clip).embedding.std()))
    assert sizes[0] > sizes[1] / 2
