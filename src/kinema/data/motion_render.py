"""One motion video: its path on the torus, its pictures, its file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST, LARGEST = 0.5, 1.0  # diameter of the sprite over the side of the picture
TEXTURE = 128  # side of the sprite's own picture; fine enough to be read without interpolation
SWING = 0.3  # how far the events of the orderings go, in rounds
EDGE = 12.0  # steepness of the sprite's edge
NOISE = 3.0  # grey levels
TINT, GRAIN = 20.0, 10.0  # of the ground, grey levels
DARK, BRIGHT = (0, 90), (170, 255)  # of the sprite's colours, grey levels
CODEC = {"crf": "20", "preset": "veryfast", "g": "1", "threads": "1"}

X, Y, ANGLE, SIZE = range(4)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What one clip is made from.

    Attributes:
        label: its class.
        key: seed, split, class, index: the source of everything random in it.
        size: side in pixels.
        frames: how many.
        fps: frames per second.
        speed: slowest and fastest, in rounds per clip.
        own_ground: chance that the ground is that of the class.
        ground: which ground belongs to the class.
        grounds: how many grounds there are.
    """

    label: str
    key: tuple[int, int, int, int]
    size: int
    frames: int
    fps: int
    speed: tuple[float, float]
    own_ground: float
    ground: int
    grounds: int


def states(clip: Clip) -> Floats:
    """The sprite's way: (frames, 4) of x, y, angle and size, each in [0, 1) and wrapping.

    x runs to the right, y down, the angle clockwise, the size from small to large. With the same
    key the two classes of a reversal pair give the same rows in opposite order.
    """
    rng = np.random.default_rng((*clip.key, 0))
    start, speed, turn = rng.random(4), rng.uniform(*clip.speed), rng.random()
    return np.asarray((start + _way(clip, speed, turn)) % 1.0)


def _way(clip: Clip, speed: float, turn: float) -> Floats:
    """Displacements (frames, 4) of a class; `turn` in [0, 1) is the direction of an oscillation."""
    n = clip.frames
    line = np.arange(n) / n * speed
    match clip.label:
        case "right":
            return _along(n, {X: line})
        case "left":
            return _along(n, {X: line})[::-1]
        case "down":
            return _along(n, {Y: line})
        case "up":
            return _along(n, {Y: line})[::-1]
        case "clockwise":
            return _along(n, {ANGLE: line})
        case "counterclockwise":
            return _along(n, {ANGLE: line})[::-1]
        case "grow":
            return _along(n, {SIZE: line})
        case "shrink":
            return _along(n, {SIZE: line})[::-1]
        case "shake_then_nod":
            return _then(n, X, Y, speed)
        case "nod_then_shake":
            return _then(n, X, Y, speed)[::-1]
        case "twist_then_swell":
            return _then(n, ANGLE, SIZE, speed)
        case "swell_then_twist":
            return _then(n, ANGLE, SIZE, speed)[::-1]
        case "oscillate_slow":
            return _swing(n, 1, turn)
        case "oscillate_fast":
            return _swing(n, 3, turn)
    raise ValueError(f"motion class {clip.label!r} is not known")


def _along(n: int, moves: dict[int, Floats]) -> Floats:
    way = np.zeros((n, 4))
    for coordinate, values in moves.items():
        way[:, coordinate] = values
    return way


def _then(n: int, first: int, second: int, speed: float) -> Floats:
    """There and back along one coordinate, then along the other; each event is its own reversal."""
    half = n // 2
    event = SWING * min(speed, 1.0) * np.sin(np.pi * np.arange(half) / (half - 1)) ** 2
    way = np.zeros((n, 4))
    way[:half, first] = event
    way[n - half :, second] = event
    return way


def _swing(n: int, periods: int, turn: float) -> Floats:
    """To and fro along a line in the picture.

    Phases are steps of 1/n of a round, so one and three periods visit the same states in another
    order, as long as n is no multiple of three.
    """
    phase = 2 * np.pi * periods * np.arange(n) / n
    reach = 0.2 * np.sin(phase)
    return _along(n, {X: reach * np.cos(2 * np.pi * turn), Y: reach * np.sin(2 * np.pi * turn)})


def render(clip: Clip) -> NDArray[np.uint8]:
    """The pictures: (frames, size, size, 3) uint8 RGB."""
    rng = np.random.default_rng((*clip.key, 1))
    which = clip.ground if rng.random() < clip.own_ground else int(rng.integers(clip.grounds))
    ground = _ground(clip.size, which, clip.grounds, rng)  # (H, W, 3)
    colours, mask = _sprite(rng)  # (S, S, 3), (S, S)
    texture = np.concatenate([colours * mask[..., None], mask[..., None]], axis=-1)
    noise = NOISE * rng.standard_normal((clip.frames, clip.size, clip.size, 1), dtype=np.float32)
    pictures = ground + noise  # (T, H, W, 3)
    for picture, state in zip(pictures, states(clip), strict=True):
        layer = _place(texture, state, clip.size)  # (H, W, 4): colour times cover, cover
        picture -= ground * layer[..., 3:]
        picture += layer[..., :3]
    return pictures.clip(0, 255, out=pictures).round().astype(np.uint8)


def write_clip(clip: Clip, path: Path) -> None:
    """Encodes the clip as H.264 in MP4, every frame a key frame."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=clip.fps, options=CODEC)
        stream.width = stream.height = clip.size
        stream.pix_fmt = "yuv420p"
        for picture in render(clip):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _place(texture: NDArray[np.float32], state: Floats, size: int) -> NDArray[np.float32]:
    """The sprite's picture, turned, scaled and moved over a ground that wraps round."""
    x, y, angle, grade = (float(value) for value in state)  # keeps the arrays in float32
    diameter = SMALLEST * (LARGEST / SMALLEST) ** grade
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size
    dx = (pixels - x + 0.5) % 1.0 - 0.5  # nearest copy of the sprite
    dy = (pixels - y + 0.5) % 1.0 - 0.5
    cos, sin = math.cos(2 * math.pi * angle), math.sin(2 * math.pi * angle)
    side = texture.shape[0]
    u = (cos * dx + sin * dy[:, None]) * (side / diameter) + side / 2
    v = (cos * dy[:, None] - sin * dx) * (side / diameter) + side / 2
    inside = np.flatnonzero((u >= 0) & (v >= 0) & (u < side) & (v < side))
    cells = v.ravel()[inside].astype(np.intp) * side + u.ravel()[inside].astype(np.intp)
    layer = np.zeros((size * size, 4), dtype=np.float32)
    layer[inside] = texture.reshape(-1, 4)[cells]
    return layer.reshape(size, size, 4)


def _sprite(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours (S, S, 3) and cover (S, S) of a shape without symmetry, so that turning shows."""
    axis = (np.arange(TEXTURE) + 0.5) / TEXTURE * 2 - 1
    u, v = np.meshgrid(axis, axis)
    radius, bearing = np.hypot(u, v), np.arctan2(v, u)
    outline = np.full_like(radius, 0.56)
    for wave, height in ((1, 0.18), (2, 0.16), (3, 0.08)):
        outline += height * np.cos(wave * bearing + 2 * np.pi * rng.random())
    mask = np.clip((outline - radius) * EDGE, 0, 1)
    base, other = rng.uniform(*BRIGHT, (2, 3))
    first, second = rng.permutation(3)[:2]  # each half lacks another primary colour
    base[first], other[second] = rng.uniform(*DARK, 2)
    tilt = 2 * np.pi * rng.random()
    halves = 1 / (1 + np.exp(-8 * (u * np.cos(tilt) + v * np.sin(tilt) + rng.uniform(-0.2, 0.2))))
    grain = _waves(u, v, rng, waves=3, frequency=2.5)
    colours = base + (other - base) * halves[..., None] + 10 * grain[..., None]
    return colours.clip(0, 255).astype(np.float32), mask.astype(np.float32)


def _ground(size: int, which: int, grounds: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A wrapping texture (H, W, 3); `which` of the grounds sets its hue and its grain."""
    hue = which / grounds + rng.normal(0, 0.15 / grounds)
    colour = 110 + TINT * np.cos(2 * np.pi * (hue + np.arange(3) / 3)) + rng.uniform(-8, 8)
    axis = np.arange(size) / size
    x, y = np.meshgrid(axis, axis)
    pattern = np.zeros((size, size))
    run = np.pi * which / grounds
    for _ in range(4):
        length, lean = rng.uniform(1.5, 5.0), run + rng.normal(0, 0.3)
        fx, fy = round(length * np.cos(lean)), round(length * np.sin(lean))
        pattern += np.cos(2 * np.pi * (fx * x + fy * y + rng.random())) / 2
    tint = rng.uniform(0.6, 1.0, 3)
    return (colour + GRAIN * pattern[..., None] * tint).clip(0, 255).astype(np.float32)


def _waves(
    u: Floats, v: Floats, rng: np.random.Generator, *, waves: int, frequency: float
) -> Floats:
    total = np.zeros_like(u)
    for _ in range(waves):
        fu, fv = rng.normal(0, frequency, 2)
        total += np.cos(np.pi * (fu * u + fv * v) + 2 * np.pi * rng.random())
    return total / waves
