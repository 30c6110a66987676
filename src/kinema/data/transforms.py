"""From frames to clips: resize, crop, mirror, colour; on uint8, one draw for all frames of a clip.

A transform turns (T, C, H, W) into (S, T, C, h, w) with S crops. Mirroring in training is not part
of it, because it changes the label of some classes: the data set decides it and calls `mirror`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import Crop, EvalProtocol, InputSpec, Modality

GREY = (0.299, 0.587, 0.114)  # weights of R, G, B in ITU-R BT.601 luma
AREA_ATTEMPTS = 10
SNAP_PIXELS = 3  # TSM: a side this close to the crop's is taken as the crop's


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What training does to a clip.

    Attributes:
        crop: `multiscale`: TSN's fixed scales and 13 positions; `random_resized`: any part of the
            picture of `area` and `ratio`; `random`: any square of the crop's size; `center`.
        scales: sides of `multiscale` crops, relative to the short side.
        area: smallest and largest share of the picture that a `random_resized` crop covers.
        ratio: its smallest and largest width over height.
        flip: mirror half of the clips, where the labels allow it.
        brightness: colour is multiplied by a factor from 1 - b to 1 + b; 0: off.
        contrast: the same for the distance from the mean grey.
        saturation: the same for the distance from the pixel's grey.
        mixup: alpha of the Beta distribution of mixup (arXiv:1710.09412); 0: off.
        cutmix: alpha of the Beta distribution of CutMix (arXiv:1905.04899); 0: off. Where both are
            on, each batch draws one of them.
    """

    crop: Literal["multiscale", "random_resized", "random", "center"] = "multiscale"
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueError(f"augment.scales={self.scales} must be one or more numbers in (0, 1]")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"augment.area={self.area} must be 0 < smallest <= largest <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"augment.ratio={self.ratio} must be 0 < smallest <= largest")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name}={getattr(self, name)} must be from 0 (off) to 1")
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment.{name}={getattr(self, name)} must be 0 (off) or more")


class Transform(Protocol):
    """Cuts what a model sees out of frames."""

    @property
    def short_side(self) -> int:
        """The short side, in pixels, that frames should be read with."""
        ...

    def __call__(self, frames: Tensor, modality: Modality, rng: np.random.Generator) -> Tensor:
        """(T, C, H, W) uint8 -> (S, T, C, h, w) uint8."""
        ...


@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, frames: Tensor) -> Tensor:
        """(..., H, W) -> (..., height, width); a view."""
        rows = slice(self.top, self.top + self.height)
        return frames[..., rows, self.left : self.left + self.width]


@dataclass(frozen=True)
class TrainTransform:
    """One random crop, scaled to the model's size, with random colours."""

    spec: InputSpec
    augment: Augment

    @property
    def short_side(self) -> int:
        """The model's."""
        return self.spec.resize

    def __call__(self, frames: Tensor, modality: Modality, rng: np.random.Generator) -> Tensor:
        """(T, C, H, W) uint8 -> (1, T, C, crop, crop) uint8."""
        frames = resize_short(frames, self.short_side)
        height, width = frames.shape[-2:]
        box = self._box(height, width, rng)
        clip = resize(box.cut(frames), self.spec.crop, self.spec.crop)
        a = self.augment
        if modality == "rgb" and (a.brightness or a.contrast or a.saturation):
            factors = [1 + s * rng.uniform(-1, 1) for s in (a.brightness, a.contrast, a.saturation)]
            clip = jitter(clip, *factors)
        return clip[None]

    def _box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        size, augment = self.spec.crop, self.augment
        if augment.crop == "multiscale":
            return multiscale_box(height, width, size, augment.scales, rng)
        if augment.crop == "random_resized":
            return area_box(height, width, augment.area, augment.ratio, rng)
        if augment.crop == "random":
            top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
            return Box(int(top), int(left), size, size)
        return center_box(height, width, size)


@dataclass(frozen=True)
class EvalTransform:
    """The crops of a test protocol, the same at every call.

    Attributes:
        short_side: pixels frames are read with.
        size: side of the crops.
        crop: `center`; `three`: left, right, centre of a landscape picture (top, bottom, centre of
            a portrait one; Deviation: TSM cuts three equal crops there); `ten`: the four corners
            and the centre, each followed by its mirror image. Mirrored crops keep the label, so
            `ten` is not for classes that a mirror changes.
    """

    short_side: int
    size: int
    crop: Crop

    def __call__(self, frames: Tensor, modality: Modality, rng: np.random.Generator) -> Tensor:
        """(T, C, H, W) uint8 -> (S, T, C, size, size) uint8; the generator is not used."""
        frames = resize_short(frames, self.short_side)
        height, width = frames.shape[-2:]
        if self.crop == "center":
            return center_box(height, width, self.size).cut(frames)[None]
        if self.crop == "three":
            boxes = three_boxes(height, width, self.size)
            return torch.stack([box.cut(frames) for box in boxes])
        views = []
        for box in five_boxes(height, width, self.size):
            clip = box.cut(frames)
            views += [clip, mirror(clip, modality, channels=1)]
        return torch.stack(views)


def train_transform(spec: InputSpec, augment: Augment) -> Transform:
    """The random crop and colours of training. Mirroring, mixup and cutmix happen later."""
    return TrainTransform(spec, augment)


def eval_transform(spec: InputSpec, protocol: EvalProtocol) -> Transform:
    """The crops of a test protocol for a model with this input."""
    short_side, size = protocol.sides(spec)
    return EvalTransform(short_side, size, protocol.crop)


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """(T, C, H, W) uint8 -> (T, C, height, width) uint8, bilinear with antialiasing."""
    if frames.shape[-2:] == (height, width):
        return frames
    return F.interpolate(
        frames, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )


def resize_short(frames: Tensor, short_side: int) -> Tensor:
    """Brings frames to a short side; those from our readers have it already, and stay untouched."""
    height, width = frames.shape[-2:]
    if min(height, width) == short_side:
        return frames
    scale = short_side / min(height, width)
    sides = [max(short_side, int(side * scale + 0.5)) for side in (height, width)]
    return resize(frames, sides[0], sides[1])


def center_box(height: int, width: int, size: int) -> Box:
    """The square in the middle."""
    return Box((height - size) // 2, (width - size) // 2, size, size)


def three_boxes(height: int, width: int, size: int) -> list[Box]:
    """Both ends and the middle of the long side, at TSM's quarter steps."""
    down, right = (height - size) // 4, (width - size) // 4
    ends = [(0, 2), (4, 2)] if height > width else [(2, 0), (2, 4)]
    steps = [*ends, (2, 2)]
    return [Box(i * down, j * right, size, size) for i, j in steps]


def five_boxes(height: int, width: int, size: int) -> list[Box]:
    """Upper left, upper right, lower left, lower right and middle, at TSM's quarter steps."""
    down, right = (height - size) // 4, (width - size) // 4
    steps = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    return [Box(i * down, j * right, size, size) for i, j in steps]


def multiscale_box(
    height: int, width: int, size: int, scales: tuple[float, ...], rng: np.random.Generator
) -> Box:
    """TSN's crop: two neighbouring scales for the sides, one of 13 positions.

    The positions are the corners, the centre, the middles of the edges and the centres of the
    quarters. Deviation: the authors cut from frames as they are stored, here their short side is
    the model's `resize`.
    """
    base = min(height, width)
    sides = [int(base * scale) for scale in scales]
    sides = [size if abs(side - size) < SNAP_PIXELS and size <= base else side for side in sides]
    pairs = [(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1]
    crop_height, crop_width = pairs[int(rng.integers(len(pairs)))]
    down, right = (height - crop_height) // 4, (width - crop_width) // 4
    steps = [(i, j) for i in range(5) for j in range(5) if (i + j) % 2 == 0]
    i, j = steps[int(rng.integers(len(steps)))]
    return Box(i * down, j * right, crop_height, crop_width)


def area_box(
    height: int,
    width: int,
    area: tuple[float, float],
    ratio: tuple[float, float],
    rng: np.random.Generator,
) -> Box:
    """Inception's crop: a share of the area, a ratio (log-uniform), any place.

    Where ten draws do not fit into the picture, the largest centred part of an allowed ratio.
    """
    for _ in range(AREA_ATTEMPTS):
        pixels = height * width * rng.uniform(*area)
        aspect = float(np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1]))))
        w, h = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
            return Box(int(top), int(left), h, w)
    w = min(width, max(1, round(height * ratio[1])))
    h = min(height, max(1, round(width / ratio[0])))
    return Box((height - h) // 2, (width - w) // 2, h, w)


def mirror(clips: Tensor, modality: Modality, *, channels: int) -> Tensor:
    """Swaps left and right. Flow to the right becomes flow to the left: x components turn round.

    Args:
        clips: (..., H, W) uint8 with the channels at dimension `channels`.
        modality: `flow` has x and y components by turns; 255 - x negates around the middle.
        channels: dimension of the channels.
    """
    clips = clips.flip(-1)
    if modality == "flow":
        even = torch.arange(0, clips.shape[channels], 2)
        clips.index_copy_(channels, even, 255 - clips.index_select(channels, even))
    return clips


def jitter(clip: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Multiplies colours: (T, 3, H, W) uint8 -> the same shape; a factor of 1 changes nothing."""
    x = clip.float() * brightness
    luma = torch.tensor(GREY)[:, None, None]
    mean = (x * luma).sum(-3).mean()
    x = (x - mean) * contrast + mean
    grey = (x * luma).sum(-3, keepdim=True)
    x = (x - grey) * saturation + grey
    return x.round_().clamp_(0, 255).byte()


def stack_channels(frames: Tensor, shape: tuple[int, int, int], modality: Modality) -> Tensor:
    """Merges the frames read at each time step into channels.

    Args:
        frames: (V*T*K, C, H, W) uint8.
        shape: V, T and K.
        modality: `rgb_diff` takes the K-1 differences of neighbours, halved around 128 so that
            they fit into a byte; the others put the K frames one after the other.

    Returns:
        (V, T, K*C, H, W) uint8; `rgb_diff`: (V, T, (K-1)*C, H, W).
    """
    steps = frames.reshape(*shape, *frames.shape[1:])  # (V, T, K, C, H, W)
    if modality == "rgb_diff":
        change = steps[:, :, 1:].short() - steps[:, :, :-1].short()
        steps = torch.div(change + 256, 2, rounding_mode="floor").byte()
    return steps.flatten(2, 3)
