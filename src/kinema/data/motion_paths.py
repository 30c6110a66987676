"""The way of a motion clip: a sprite on a torus of four dimensions.

The sprite's state is x, y, angle and size (on a logarithmic scale), each wrapping round. Its start
is uniform on the torus, so every single frame has the same law whatever the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Range = tuple[float, float]

X, Y, ANGLE, SIZE = range(4)
FORWARD = {"right": X, "down": Y, "clockwise": ANGLE, "grow": SIZE}
BACKWARD = {"left": X, "up": Y, "counterclockwise": ANGLE, "shrink": SIZE}
EVENTS = {"shake": X, "nod": Y, "twist": ANGLE, "swell": SIZE}
PERIODS = {"oscillate_slow": 1, "oscillate_fast": 3}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What one clip is made from.

    Attributes:
        label: its class: a direction (`left`); two at once (`left_and_up`); two events one
            after the other (`shake_then_nod`); or `oscillate_slow`, `oscillate_fast`.
        key: seed, split, class, index: the source of everything random in it.
        size: side in pixels.
        frames: how many.
        fps: frames per second.
        speed: slowest and fastest, in rounds per clip.
        own_ground: chance that the ground is that of the class.
        ground: which ground belongs to the class.
        grounds: how many grounds there are.
        event: length of each of two events, as a share of the clip.
        swing: how far an event goes at most, in rounds.
        gap: shortest and longest rest between them, as a share of the time they leave.
        before: shortest and longest rest before the first, as a share of what then is left.
    """

    label: str
    key: tuple[int, int, int, int]
    size: int
    frames: int
    fps: int
    speed: Range
    own_ground: float
    ground: int
    grounds: int
    event: float = 0.5
    swing: float = 0.3
    gap: Range = (1.0, 1.0)
    before: Range = (0.0, 0.0)


def states(clip: Clip) -> Floats:
    """Where the sprite is in each frame.

    x runs to the right, y down, the angle clockwise, the size from small to large. With the same
    key the two classes of a reversal pair give the same rows in opposite order.

    Returns:
        (frames, 4): x, y, angle and size, each in [0, 1) and wrapping.
    """
    rng = np.random.default_rng((*clip.key, 0))
    start, speed, turn = rng.random(4), rng.uniform(*clip.speed), rng.random()
    gap, before = rng.uniform(*clip.gap), rng.uniform(*clip.before)
    n = clip.frames
    if clip.label in PERIODS:
        way = _swing(n, PERIODS[clip.label], turn)
    elif "_then_" in clip.label:
        first, second = (EVENTS[name] for name in clip.label.split("_then_"))
        length, reach = int(n * clip.event), clip.swing * min(speed, 1.0)
        if first < second:
            way = _then(n, first, second, length, reach, gap, before)
        else:
            way = _then(n, second, first, length, reach, gap, 1.0 - before)[::-1]
    else:
        way = sum((_line(n, part, speed) for part in clip.label.split("_and_")), np.zeros((n, 4)))
    return np.asarray((start + way) % 1.0)


def _line(n: int, direction: str, speed: float) -> Floats:
    """Displacements (n, 4) of a steady motion; opposite directions have the same in turn."""
    if direction not in FORWARD and direction not in BACKWARD:
        raise ValueError(f"motion class {direction!r} is not known")
    way = np.zeros((n, 4))
    way[:, (FORWARD | BACKWARD)[direction]] = np.arange(n) / n * speed
    return way if direction in FORWARD else way[::-1]


def _then(
    n: int, first: int, second: int, length: int, reach: float, gap: float, before: float
) -> Floats:
    """There and back along one coordinate, then along the other; each event is its own reversal."""
    free = n - 2 * length
    rest = round(gap * free)
    at = round(before * (free - rest))
    event = reach * np.sin(np.pi * np.arange(length) / (length - 1)) ** 2
    way = np.zeros((n, 4))
    way[at : at + length, first] = event
    at += length + rest
    way[at : at + length, second] = event
    return way


def _swing(n: int, periods: int, turn: float) -> Floats:
    """To and fro along a line in the picture; `turn` in [0, 1) is its direction.

    Phases are steps of 1/n of a round, so one and three periods visit the same states in another
    order, as long as n is no multiple of three.
    """
    reach = 0.2 * np.sin(2 * np.pi * periods * np.arange(n) / n)
    way = np.zeros((n, 4))
    way[:, X] = reach * np.cos(2 * np.pi * turn)
    way[:, Y] = reach * np.sin(2 * np.pi * turn)
    return way
