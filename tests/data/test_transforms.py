"""Crops, mirrors and colours on small arrays whose answers can be written down."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.data.transforms import (
    Augment,
    Box,
    area_box,
    center_box,
    eval_transform,
    five_boxes,
    jitter,
    mirror,
    multiscale_box,
    resize,
    resize_short,
    stack_channels,
    three_boxes,
    train_transform,
)
from kinema.types import EvalProtocol, InputSpec

SPEC = InputSpec(frames=4, resize=32, crop=24)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def frames(height: int = 32, width: int = 40, count: int = 4, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = count, channels, height, width
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("crop", ["multiscale", "random_resized", "random", "center"])
@pytest.mark.parametrize("size", [(32, 40), (40, 32), (32, 32), (9, 7), (100, 60)])
def test_training_crops_have_the_models_size(crop: str, size: tuple[int, int]) -> None:
    transform = train_transform(SPEC, Augment(crop=crop, brightness=0.3))
    for seed in range(5):
        clips = transform(frames(*size), "rgb", rng(seed))
        assert clips.shape == (1, 4, 3, 24, 24)
        assert clips.dtype == torch.uint8


def test_one_draw_for_all_frames_of_a_clip() -> None:
    still = frames(count=1).expand(4, -1, -1, -1)
    augment = Augment(crop="random_resized", brightness=0.5, contrast=0.5, saturation=0.5)
    (clip,) = train_transform(SPEC, augment)(still, "rgb", rng())
    assert all(torch.equal(clip[0], frame) for frame in clip)


def test_multiscale_has_ten_shapes_and_thirteen_places() -> None:
    scales = (1.0, 0.875, 0.75, 0.66)
    boxes = {multiscale_box(256, 340, 224, scales, rng(seed)) for seed in range(3000)}
    shapes = {(box.height, box.width) for box in boxes}
    sides = [256, 224, 192, 168]
    near = {(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1}
    assert shapes == near
    places = {(box.top, box.left) for box in boxes if (box.height, box.width) == (192, 192)}
    down, right = (256 - 192) // 4, (340 - 192) // 4
    assert len(places) == 13
    assert places == {
        (i * down, j * right)
        for i, j in [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (0, 2), (4, 2), (2, 0), (2, 4)]
        + [(1, 1), (1, 3), (3, 1), (3, 3)]
    }


def test_multiscale_takes_a_side_near_the_crops_as_the_crops() -> None:
    # int(256 * 0.87) = 222 is within three pixels of 224
    boxes = {multiscale_box(256, 256, 224, (0.87,), rng(seed)) for seed in range(50)}
    assert {(box.height, box.width) for box in boxes} == {(224, 224)}


def test_area_crops_keep_their_promises() -> None:
    for seed in range(300):
        box = area_box(120, 160, (0.2, 0.5), (0.8, 1.25), rng(seed))
        assert 0 <= box.top <= 120 - box.height
        assert 0 <= box.left <= 160 - box.width
        assert 0.18 < box.height * box.width / (120 * 160) < 0.52
        assert 0.75 < box.width / box.height < 1.3
    assert area_box(10, 1000, (0.9, 1.0), (0.9, 1.1), rng()) == Box(0, 494, 10, 11)


def test_center_three_and_five_boxes() -> None:
    assert center_box(32, 41, 24) == Box(4, 8, 24, 24)
    assert three_boxes(256, 341, 256) == [
        Box(0, 0, 256, 256),
        Box(0, 84, 256, 256),
        Box(0, 42, 256, 256),
    ]
    assert [box.top for box in three_boxes(341, 256, 256)] == [0, 84, 42]
    corners = [(box.top, box.left) for box in five_boxes(40, 48, 32)]
    assert corners == [(0, 0), (0, 16), (8, 0), (8, 16), (4, 8)]


def test_protocol_crops() -> None:
    x = frames(32, 48)
    center = eval_transform(SPEC, EvalProtocol())(x, "rgb", rng())
    assert torch.equal(center[0], x[..., 4:28, 12:36])
    three = eval_transform(SPEC, EvalProtocol(crop="three"))(x, "rgb", rng())
    assert torch.equal(three, torch.stack([x[..., 0:32], x[..., 16:48], x[..., 8:40]]))
    ten = eval_transform(SPEC, EvalProtocol(crop="ten"))(x, "rgb", rng())
    assert ten.shape == (10, 4, 3, 24, 24)
    assert torch.equal(ten[0], x[..., :24, :24])
    assert torch.equal(ten[1::2], ten[0::2].flip(-1))


def test_portrait_pictures_are_cut_from_top_to_bottom() -> None:
    x = frames(48, 32)
    three = eval_transform(SPEC, EvalProtocol(crop="three"))(x, "rgb", rng())
    assert torch.equal(three, torch.stack([x[..., 0:32, :], x[..., 16:48, :], x[..., 8:40, :]]))


def test_mirror_turns_flow_round() -> None:
    flow = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(1, 4, 1, 1).expand(2, 4, 3, 5)
    turned = mirror(flow, "flow", channels=1)
    assert turned[0, :, 0, 0].tolist() == [245, 20, 225, 40]
    x = frames()
    assert torch.equal(mirror(x, "rgb", channels=1), x.flip(-1))
    assert torch.equal(mirror(mirror(flow, "flow", channels=1), "flow", channels=1), flow)


def test_ten_crops_of_flow_turn_round() -> None:
    flow = frames(channels=2)
    ten = eval_transform(SPEC, EvalProtocol(crop="ten"))(flow, "flow", rng())
    assert torch.equal(ten[1, :, 0], 255 - ten[0, :, 0].flip(-1))
    assert torch.equal(ten[1, :, 1], ten[0, :, 1].flip(-1))


def test_jitter_by_hand() -> None:
    pixel = torch.tensor([100, 50, 200], dtype=torch.uint8).view(1, 3, 1, 1)
    assert jitter(pixel, 1.0, 1.0, 1.0).flatten().tolist() == [100, 50, 200]
    assert jitter(pixel, 0.5, 1.0, 1.0).flatten().tolist() == [50, 25, 100]
    grey = round(0.299 * 100 + 0.587 * 50 + 0.114 * 200)
    assert jitter(pixel, 1.0, 1.0, 0.0).flatten().tolist() == [grey] * 3
    two = torch.tensor([0, 100], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert jitter(two, 1.0, 0.5, 1.0)[0, 0, 0].tolist() == [25, 75]
    assert jitter(two, 1.0, 9.0, 1.0)[0, 0, 0].tolist() == [0, 255]


def test_colours_of_flow_stay() -> None:
    augment = Augment(crop="center", brightness=1.0, contrast=1.0, saturation=1.0)
    flow = frames(channels=2)
    (clip,) = train_transform(SPEC, augment)(flow, "flow", rng())
    assert torch.equal(clip, flow[..., 4:28, 8:32])
    (coloured,) = train_transform(SPEC, augment)(frames(), "rgb", rng())
    assert not torch.equal(coloured, frames()[..., 4:28, 8:32])


def test_resize_is_antialiased_and_leaves_a_fitting_size_alone() -> None:
    stripes = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 200
    small = resize(stripes, 8, 8)
    assert (small.int() - 100).abs().max() <= 15
    assert resize(stripes, 32, 32) is stripes
    assert resize_short(frames(30, 45), 20).shape[-2:] == (20, 30)
    assert resize_short(frames(45, 30), 60).shape[-2:] == (90, 60)


def test_stack_channels_by_hand() -> None:
    x = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1)
    merged = stack_channels(x, (2, 3, 2), "flow")
    assert merged.shape == (2, 3, 2, 1, 1)
    assert merged[1, 2].flatten().tolist() == [10, 11]
    levels = torch.tensor([0, 255, 10, 10], dtype=torch.uint8).view(4, 1, 1, 1)
    assert stack_channels(levels, (1, 2, 2), "rgb_diff").flatten().tolist() == [255, 128]
    assert stack_channels(levels.flip(0), (1, 2, 2), "rgb_diff").flatten().tolist() == [128, 0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"scales": ()}, "augment.scales"),
        ({"scales": (1.2,)}, r"augment.scales=\(1.2,\) must be"),
        ({"area": (0.5, 0.2)}, "augment.area"),
        ({"ratio": (0.0, 1.0)}, "augment.ratio"),
        ({"brightness": 1.5}, "augment.brightness=1.5 must be from 0"),
        ({"mixup": -1.0}, "augment.mixup=-1.0 must be 0"),
    ],
)
def test_augment_checks_itself(bad: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment(**bad)
