"""Folders of numbered pictures: RGB frames, or optical flow as pairs of grey pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...types import Modality
from ._protocol import VIDEO_ENDINGS, VideoError, check_indices, stretch
from ._scaler import Scaler
from ._source import source

FRAME_FOLDER_FPS = 30.0  # a folder does not say; only `start`, `end` and time spans depend on it

RGB_NAMES = re.compile(r"(?:img_|image_|frame_|frame)?(\d+)\.(?:jpe?g|png)", re.IGNORECASE)
FLOW_NAMES = (
    re.compile(r"(?:flow_)?x_(\d+)\.(?:jpe?g|png)", re.IGNORECASE),
    re.compile(r"(?:flow_)?y_(\d+)\.(?:jpe?g|png)", re.IGNORECASE),
)


def is_frame_folder(path: Path) -> bool:
    """Whether the folder is a clip: it holds numbered pictures, and neither videos nor folders."""
    if not path.is_dir():
        return False
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if any(entry.suffix.lower() in VIDEO_ENDINGS or entry.is_dir() for entry in entries):
        return False
    return any(p.fullmatch(entry.name) for entry in entries for p in (RGB_NAMES, *FLOW_NAMES))


class ImagesReader:
    """A folder of frames: `img_00001.jpg`, `00001.jpg`, `frame_00001.jpg`, from 0 or from 1.

    For `flow`, pairs `flow_x_00001.jpg` and `flow_y_00001.jpg` (or `x_`, `y_`) become two channels.
    The number in the name orders the frames; a gap in the numbers is an error.

    Args:
        path: the folder.
        modality: `flow` reads the pairs, anything else the RGB pictures.
        short_side: pixels; None keeps the size.
        start: seconds, at 30 frames per second.
        end: seconds, at 30 frames per second.
    """

    def __init__(
        self,
        path: Path,
        modality: Modality = "rgb",
        *,
        short_side: int | None = None,
        start: float = 0.0,
        end: float | None = None,
    ) -> None:
        self.path, self.fps = path, FRAME_FOLDER_FPS
        self._scaler = Scaler(short_side)
        if not path.is_dir():
            raise VideoError(path, None, "no such folder")
        patterns = FLOW_NAMES if modality == "flow" else (RGB_NAMES,)
        planes = [self._numbered(pattern) for pattern in patterns]
        if len({len(plane) for plane in planes}) > 1:
            raise VideoError(path, None, f"has {len(planes[0])} x and {len(planes[1])} y pictures")
        frames = list(zip(*planes, strict=True))
        if not frames:
            names = "flow_x_00001.jpg" if modality == "flow" else "img_00001.jpg or 00001.jpg"
            raise VideoError(path, None, f"the folder has no pictures named like {names}")
        seconds = np.arange(len(frames)) / self.fps
        first, last = stretch(path, seconds, start, end)
        self._frames, self._seconds = frames[first:last], seconds[first:last]

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8; flow: (len(indices), 2, H, W)."""
        check_indices(self.path, indices, len(self))
        frames = {int(i): self._picture(int(i)) for i in set(indices)}
        shapes = {i: frame.shape for i, frame in frames.items()}
        for i, shape in shapes.items():
            if shape != shapes[int(indices[0])]:
                raise VideoError(self.path, i, f"has shape {tuple(shape)}, unlike the others")
        return torch.stack([frames[int(i)] for i in indices])

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Seconds at the nominal 30 frames per second."""
        check_indices(self.path, indices, len(self))
        return self._seconds[np.asarray(indices, dtype=np.int64)]

    def close(self) -> None:
        """Nothing to give back: each picture is opened, read and closed."""

    def _numbered(self, pattern: re.Pattern[str]) -> list[Path]:
        numbers: dict[int, Path] = {}
        for entry in self.path.iterdir():
            match = pattern.fullmatch(entry.name)
            if not match:
                continue
            number = int(match.group(1))
            if number in numbers:
                names = f"{numbers[number].name} and {entry.name}"
                raise VideoError(self.path, None, f"{names} carry the same number")
            numbers[number] = entry
        for index, number in enumerate(order := sorted(numbers)):
            if number != order[0] + index:
                raise VideoError(self.path, index, f"no picture has the number {order[0] + index}")
        return [numbers[number] for number in order]

    def _picture(self, index: int) -> Tensor:
        planes = [self._decode(file, index) for file in self._frames[index]]
        return planes[0] if len(planes) == 1 else torch.cat([plane[:1] for plane in planes])

    def _decode(self, file: Path, index: int) -> Tensor:
        try:
            with av.open(source(file), "r") as container:
                return self._scaler(next(container.decode(video=0)))
        except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
            cause = getattr(error, "strerror", None) or error or "holds no picture"
            raise VideoError(file, index, f"cannot be decoded: {cause}") from error
