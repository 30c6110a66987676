"""Which frames of a video are looked at: index arithmetic, nothing else.

Two conventions exist for segments, the TSM authors' and mmaction2's; they differ for videos with
fewer frames than segments only. Both are kept, index for index; mmaction2's is the default.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..types import InputSpec

Indices = NDArray[np.int64]
Rule = Literal["mmaction2", "tsm", "shared"]


class Draws(Protocol):
    """What a sampler asks of a random generator; `np.random.Generator` is one."""

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Indices:
        """Whole numbers in [0, low), or in [low, high)."""
        ...


class Sampler(Protocol):
    """Chooses frames of a video."""

    def __call__(self, num_frames: int, rng: Draws) -> Indices:
        """Indices (V, T) into a video of `num_frames`; every index is valid."""
        ...


@dataclass(frozen=True)
class SegmentSampler:
    """One frame from each of T equal parts of the video (TSN, arXiv:1608.00859).

    Training (`jitter`) draws a frame in each part. Testing takes the middle of each part; two views
    are the middles and the left edges (TSM's `twice_sample`); more views are spread evenly over the
    part (TANet).

    With F frames, K = `frames` and L = `stack`, d = (F-L+1)//K, short videos (d = 0) are:

    - `mmaction2`: training spreads K indices evenly, rounded, modulo F (so the last may be frame 0
      again); testing spreads them too (some repeat);
    - `tsm`: training takes frame 0 K times; so does testing with one view where F <= K+L-1 (the
      authors' validation, F = K included); more views are as in mmaction2;
    - `shared`: training draws K frames with replacement and sorts them; testing spreads evenly.

    `shared` is bLVNet's rule (arXiv:1912.00869, the authors' code): one offset for all parts, so
    that the frames are equally far apart; views shift the middle by whole frames, at most half a
    part. Deviation: the authors test short videos on seeded random frames, here they are spread.

    Attributes:
        frames: K, indices per view.
        views: clips per video; more than one only without jitter.
        jitter: draw in the parts instead of taking fixed points.
        rule: see above.
        stack: L, neighbours that will be read from each index on.
    """

    frames: int
    _: KW_ONLY
    views: int = 1
    jitter: bool = False
    rule: Rule = "mmaction2"
    stack: int = 1

    def __post_init__(self) -> None:
        _check(self.frames, self.views, self.jitter, stack=self.stack)

    def __call__(self, num_frames: int, rng: Draws) -> Indices:
        """Indices (V, T) into a video of `num_frames` frames."""
        _check_length(num_frames)
        if not self.jitter:
            return np.clip(self._fixed(num_frames), 0, num_frames - 1)
        if self.rule == "shared":
            return self._shared_offset(num_frames, rng)[None]
        return self._drawn(num_frames, rng)[None]

    def _drawn(self, num_frames: int, rng: Draws) -> Indices:
        usable, k = num_frames - self.stack + 1, self.frames
        part = max(usable, 0) // k
        if part:
            return np.asarray(np.arange(k) * part + rng.integers(part, size=k))
        if num_frames > max(k, self.stack):  # only a stack makes a part this short
            return np.sort(rng.integers(usable, size=k))
        if self.rule == "tsm":
            return np.zeros(k, dtype=np.int64)
        return np.around(np.arange(k) * max(usable, 0) / k).astype(np.int64) % num_frames

    def _shared_offset(self, num_frames: int, rng: Draws) -> Indices:
        usable, k = max(num_frames - self.stack + 1, 1), self.frames
        if usable < k:
            return np.sort(rng.integers(usable, size=k))
        part = usable // k
        return np.arange(k) * part + int(rng.integers(part))

    def _fixed(self, num_frames: int) -> Indices:
        tick = (num_frames - self.stack + 1) / self.frames
        edges = np.arange(self.frames) * tick  # (T,)
        if self.rule == "shared":
            shifts = np.arange(-self.views // 2 + 1, self.views // 2 + 1).clip(-tick / 2, tick / 2)
            return (edges + tick / 2 + shifts[:, None]).astype(np.int64)
        if self.views > 2:
            starts = np.linspace(0, max(tick - 1, 0), self.views).astype(np.int64)
            return (edges + starts[:, None]).astype(np.int64) % num_frames
        if self.views == 1 and self.rule == "tsm" and num_frames <= self.frames + self.stack - 1:
            return np.zeros((1, self.frames), dtype=np.int64)
        return np.stack([edges + tick / 2, edges][: self.views]).astype(np.int64)


@dataclass(frozen=True)
class DenseSampler:
    """Neighbours a fixed number of frames apart: the window of 3D networks and of TSM's dense mode.

    Training draws the start of the window; testing spreads `views` starts from the first possible
    one to the last, and one view stands in the middle. A video shorter than the window begins
    again (indices modulo the number of frames). The drawn start never is the last possible one, as
    in the published code.

    Deviation: the TSM authors draw the start in validation too; here testing is repeatable, with
    the middle start of TANet.

    Attributes:
        frames: T, indices per view.
        stride: distance of neighbours, in frames.
        views: clips per video; more than one only without jitter.
        jitter: draw the start.
    """

    frames: int
    stride: int
    _: KW_ONLY
    views: int = 1
    jitter: bool = False

    def __post_init__(self) -> None:
        _check(self.frames, self.views, self.jitter, stride=self.stride)

    def __call__(self, num_frames: int, rng: Draws) -> Indices:
        """Indices (V, T) into a video of `num_frames` frames."""
        _check_length(num_frames)
        places = max(1, 1 + num_frames - self.frames * self.stride)
        if self.jitter:
            starts = np.asarray([0 if places == 1 else int(rng.integers(0, places - 1))])
        elif self.views == 1:
            starts = np.asarray([places // 2])
        else:
            starts = np.linspace(0, places - 1, self.views).astype(np.int64)
        return np.asarray((starts[:, None] + np.arange(self.frames) * self.stride) % num_frames)


def make_sampler(spec: InputSpec, *, views: int = 1, jitter: bool = False) -> Sampler:
    """The sampler an input specification names.

    Args:
        spec: what the model expects.
        views: clips per video in testing.
        jitter: draw at random (training).
    """
    if spec.sampling == "dense":
        return DenseSampler(spec.frames, spec.stride, views=views, jitter=jitter)
    rules: dict[str, Rule] = {"segments": "mmaction2", "segments_tsm": "tsm", "shared": "shared"}
    return SegmentSampler(
        spec.frames,
        views=views,
        jitter=jitter,
        rule=rules[spec.sampling],
        stack=frames_per_step(spec),
    )


def frames_per_step(spec: InputSpec) -> int:
    """Source frames one time step is made of: `stack`, and one more where they are subtracted."""
    return spec.stack + 1 if spec.modality == "rgb_diff" else spec.stack


def expand_stack(anchors: Indices, stack: int, num_frames: int) -> Indices:
    """The frames to read at each anchor: (V, T) -> (V, T, stack) neighbours.

    Past the end the last frame is repeated, as the TSN and TSM authors do for flow.
    """
    return np.minimum(anchors[..., None] + np.arange(stack), num_frames - 1)


def _check(frames: int, views: int, jitter: bool, **others: int) -> None:
    for name, value in {"frames": frames, "views": views, **others}.items():
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    if jitter and views > 1:
        raise ValueError(f"views={views} needs jitter=False: training looks at one view of a video")


def _check_length(num_frames: int) -> None:
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames} must be at least 1")
