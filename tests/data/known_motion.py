"""Pictures of one texture before and after a motion that is known everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WAVES = 60
FINEST = 12  # periods of the finest wave across the picture


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Of a whole picture around its middle: first turned and enlarged, then moved.

    Attributes:
        right: pixels.
        down: pixels.
        degrees: clockwise.
        zoom: 1.02 is 2 % larger.
    """

    right: float = 0.0
    down: float = 0.0
    degrees: float = 0.0
    zoom: float = 1.0


MOTIONS = {
    "shift by 0.25, 0.5": Motion(right=0.25, down=0.5),
    "shift by -2.5, 1.25": Motion(right=-2.5, down=1.25),
    "shift by 6, -4": Motion(right=6, down=-4),
    "rotation by 2 degrees": Motion(degrees=2),
    "zoom by 3 %": Motion(zoom=1.03),
}


def pictures(motion: Motion, size: int, count: int = 2, seed: int = 0) -> NDArray[np.uint8]:
    """Grey pictures (count, size, size); each is the one before after the motion.

    The texture is a sum of waves, so that it has a value between pixels too, and on a torus: what
    a shift moves out comes in on the other side.
    """
    rng = np.random.default_rng(seed)
    u, v = rng.integers(-FINEST, FINEST + 1, size=(2, WAVES))
    phase = rng.uniform(0, 2 * math.pi, WAVES)
    weight = 1 / np.maximum(1, np.hypot(u, v))
    found = []
    y, x = np.mgrid[:size, :size].astype(float)
    for _ in range(count):
        angles = 2 * math.pi * (np.multiply.outer(u, x) + np.multiply.outer(v, y)) / size
        texture = np.einsum("k,kij->ij", weight, np.cos(angles + phase[:, None, None]))
        found.append(np.clip(127.5 + 25 * texture, 0, 255).round().astype(np.uint8))
        x, y = _before(motion, x, y, size)
    return np.stack(found)


def truth(motion: Motion, size: int) -> NDArray[np.float64]:
    """Where every pixel of a picture goes: (size, size, 2) pixels to the right and down."""
    y, x = np.mgrid[:size, :size].astype(float)
    middle, turned = (size - 1) / 2, _turn(math.radians(motion.degrees))
    dx, dy = x - middle, y - middle
    after_x = motion.zoom * (turned[0] * dx - turned[1] * dy) + motion.right
    after_y = motion.zoom * (turned[1] * dx + turned[0] * dy) + motion.down
    return np.stack([after_x - dx, after_y - dy], axis=-1)


def end_point_error(found: NDArray[np.floating], motion: Motion, margin: int = 12) -> float:
    """Mean distance in pixels between flow (S, S, 2) and the truth, without the margin.

    What leaves the picture has no place to be found at.
    """
    inside = slice(margin, -margin)
    off = (found - truth(motion, len(found)))[inside, inside]
    return float(np.hypot(off[..., 0], off[..., 1]).mean())


def _before(
    motion: Motion, x: NDArray[np.float64], y: NDArray[np.float64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where that which is at (x, y) was before the motion."""
    middle, turned = (size - 1) / 2, _turn(-math.radians(motion.degrees))
    dx, dy = x - middle - motion.right, y - middle - motion.down
    return (
        middle + (turned[0] * dx - turned[1] * dy) / motion.zoom,
        middle + (turned[1] * dx + turned[0] * dy) / motion.zoom,
    )


def _turn(radians: float) -> tuple[float, float]:
    return math.cos(radians), math.sin(radians)
