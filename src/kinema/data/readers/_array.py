"""Frames that are in memory already."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._protocol import VideoError, check_indices
from ._scaler import Scaler

ARRAY_NAME = "[frames in memory]"


class ArrayReader:
    """A video given as an array.

    Args:
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames per second.
        short_side: pixels; None keeps the size.
    """

    def __init__(
        self, frames: NDArray[np.uint8], fps: float, short_side: int | None = None
    ) -> None:
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise ValueError(
                f"frames of shape {frames.shape} and type {frames.dtype} must be (T, H, W, 3) uint8"
            )
        if fps <= 0:
            raise ValueError(f"fps={fps} must be above 0")
        if not frames.size:
            raise VideoError(ARRAY_NAME, None, f"shape {frames.shape} holds no frames")
        self.frames, self.fps = frames, float(fps)
        self._scaler = Scaler(short_side)

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8."""
        check_indices(ARRAY_NAME, indices, len(self))
        scaled = {int(i): self._scale(int(i)) for i in set(indices)}
        return torch.stack([scaled[int(i)] for i in indices])

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Index over frames per second."""
        return np.asarray(indices, dtype=np.float64) / self.fps

    def close(self) -> None:
        """Nothing to give back."""

    def _scale(self, index: int) -> Tensor:
        pixels = np.ascontiguousarray(self.frames[index])
        return self._scaler(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
