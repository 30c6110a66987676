"""What every reader promises, and the one error all of them raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VIDEO_ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp")
    + (".ts", ".mts", ".ogv")
)

PATIENCE = 120.0  # seconds to wait for a frame; shorter than a loader waits for a batch


class VideoError(RuntimeError):
    """A video that cannot give what was asked of it.

    Args:
        path: the file or folder; the text in brackets for frames in memory.
        frame: index of the frame that was wanted, counted from the start of the record; None where
            no frame is meant.
        cause: what went wrong, and the remedy where there is one.
    """

    def __init__(self, path: Path | str, frame: int | None, cause: str) -> None:
        self.path, self.frame, self.cause = str(path), frame, cause
        super().__init__(f"{path}{'' if frame is None else f', frame {frame}'}: {cause}")

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, int | None, str]]:
        """Crosses the border between processes with all its parts."""
        return type(self), (self.path, self.frame, self.cause)


class Reader(Protocol):
    """Frames of one record by index; frame 0 is the first one of the record's stretch.

    Attributes:
        fps: mean frames per second.
    """

    fps: float

    def __len__(self) -> int:
        """How many frames the stretch has."""
        ...

    def read(self, indices: Sequence[int]) -> Tensor:
        """Exactly these frames, in this order, repeated as asked: (len(indices), C, H, W) uint8.

        Raises:
            VideoError: for an index outside the stretch or a frame that cannot be decoded.
        """
        ...

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """When each of these frames is shown, in seconds from the start of the video: (n,)."""
        ...

    def close(self) -> None:
        """Gives the file back. A closed reader reads no more."""
        ...


def check_indices(path: Path | str, indices: Sequence[int], count: int) -> None:
    """Raises VideoError for the first index that is not in 0..count-1."""
    for index in indices:
        if not 0 <= index < count:
            raise VideoError(path, int(index), f"the video has {count} frames, 0 to {count - 1}")


def stack_frames(path: Path | str, frames: Mapping[int, Tensor], indices: Sequence[int]) -> Tensor:
    """The frames (C, H, W) of these indices, one after the other: (len(indices), C, H, W).

    Raises:
        VideoError: for a frame of another size than the first.
    """
    shape = frames[int(indices[0])].shape
    for index, frame in frames.items():
        if frame.shape != shape:
            cause = f"has shape {tuple(frame.shape)}, unlike the others: {tuple(shape)}"
            raise VideoError(path, index, cause)
    return torch.stack([frames[int(i)] for i in indices])


def stretch(
    path: Path | str, times: NDArray[np.float64], start: float, end: float | None
) -> tuple[int, int]:
    """First and one-past-last frame shown in start <= t < end; `times` (n,) are sorted seconds.

    Raises:
        VideoError: when no frame is shown in that stretch.
    """
    slack = 1e-6  # time stamps are rounded to ticks of the container
    first = int(np.searchsorted(times, start - slack))
    last = len(times) if end is None else int(np.searchsorted(times, end - slack))
    if last <= first:
        length = f"{len(times)} frames up to {times[-1]:.3f} s" if len(times) else "no frames"
        where = f"from {start:g} s to {'its end' if end is None else f'{end:g} s'}"
        raise VideoError(path, None, f"has no frame {where}; it has {length}")
    return first, last
