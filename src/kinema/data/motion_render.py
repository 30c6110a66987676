"""One motion video: its pictures and its file."""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .motion_paths import Clip, Floats, states

SMALLEST, LARGEST = 0.5, 1.0  # diameter of the sprite over the side of the picture
TEXTURE = 128  # side of the sprite's own picture; fine enough to be read without interpolation
EDGE = 12.0  # steepness of the sprite's edge
NOISE = 3.0  # grey levels
TINT = 20.0  # of the ground, grey levels
GRAIN = 10.0  # height of the ground's texture, grey levels
DARK, BRIGHT = (0, 90), (170, 255)  # of the sprite's colours, grey levels
CODEC = {"crf": "20", "preset": "veryfast", "g": "1", "threads": "1"}


def render(clip: Clip) -> NDArray[np.uint8]:
    """The pictures: (frames, size, size, 3) uint8 RGB."""
    rng = np.random.default_rng((*clip.key, 1))
    which = clip.ground if rng.random() < clip.own_ground else int(rng.integers(clip.grounds))
    ground = _ground(clip, which, rng)  # (H, W, 3)
    colours, mask = _sprite(rng)  # (S, S, 3), (S, S)
    texture = np.concatenate([colours * mask[..., None], mask[..., None]], axis=-1)
    noise = NOISE * rng.standard_normal((clip.frames, clip.size, clip.size, 1), dtype=np.float32)
    pictures = np.empty((clip.frames, clip.size, clip.size, 3), dtype=np.float32)
    for picture, grains, state in zip(pictures, noise, states(clip), strict=True):
        layer = _place(texture, state, clip.size)  # (H, W, 4): colour times cover, cover
        np.add(ground, grains, out=picture)
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


def _ground(clip: Clip, which: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A wrapping texture (H, W, 3); `which` of the grounds sets its hue and its grain."""
    size, grounds = clip.size, clip.grounds
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
