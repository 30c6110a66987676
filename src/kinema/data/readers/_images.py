"""Folders of numbered pictures: RGB frames, or optical flow as pairs of grey pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...types import Modality
from ._flow import check_pairs, rescale
from ._protocol import VIDEO_ENDINGS, VideoError, check_indices, stack_frames, stretch
from ._scaler import Scaler
from ._stream import REPORT_DAMAGE

FRAME_FOLDER_FPS = 30.0  # where a folder does not say
PNG = b"\x89PNG"  # how such a file begins
TIMES_FILE = "times.json"  # in a folder of flow: when each frame of the video is shown

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


def is_flow_folder(path: Path) -> bool:
    """Whether the folder holds pictures of flow."""
    return path.is_dir() and any(FLOW_NAMES[0].fullmatch(entry.name) for entry in path.iterdir())


class ImagesReader:
    """A folder of frames: `img_00001.jpg`, `00001.jpg`, `frame_00001.jpg`, from 0 or from 1.

    For `flow`, pairs `flow_x_00001.jpg` and `flow_y_00001.jpg` (or `x_`, `y_`) become two channels.
    The number in the name orders the frames; a gap in the numbers is an error.

    A folder of flow that `kinema data flow` wrote has `times.json`: `{"fps": 25.0, "seconds":
    [...]}` with the time of each of the N frames that the N - 1 pairs are of. Then times are those
    of the video, a pair belongs to a stretch with both of its frames, and flow that is scaled to
    another size is in the pixels it is read with: all as where flow is computed in reading. Other
    folders count as 30 frames per second, and values of flow stay as they are, whatever the size
    (as TSN's authors have it).

    Args:
        path: the folder.
        modality: `flow` reads the pairs, anything else the RGB pictures.
        short_side: pixels; None keeps the size.
        start: seconds.
        end: seconds.
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
        self._flow, self._ours = modality == "flow", False
        self._scaler = Scaler(short_side)
        # One for all pictures: opening each as a file of its own took five times as long.
        self._decoders: dict[str, av.VideoCodecContext] = {}
        if not path.is_dir():
            raise VideoError(path, None, "no such folder")
        patterns = FLOW_NAMES if self._flow else (RGB_NAMES,)
        planes = [self._numbered(pattern) for pattern in patterns]
        if len({len(plane) for plane in planes}) > 1:
            raise VideoError(path, None, f"has {len(planes[0])} x and {len(planes[1])} y pictures")
        frames = list(zip(*planes, strict=True))
        if not frames:
            names = "flow_x_00001.jpg" if self._flow else "img_00001.jpg or 00001.jpg"
            held = "; it holds flow" if is_flow_folder(path) else ""
            raise VideoError(path, None, f"the folder has no pictures named like {names}{held}")
        seconds = self._stored_times(len(frames)) if self._flow else None
        if seconds is None:
            seconds = np.arange(len(frames)) / self.fps
            first, last = stretch(path, seconds, start, end)
        else:
            self._ours = True
            first, after = stretch(path, seconds, start, end)  # of the video's frames
            check_pairs(path, after - first)
            last = after - 1
        self._frames, self._seconds = frames[first:last], seconds[first:last]

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8; flow: (len(indices), 2, H, W)."""
        check_indices(self.path, indices, len(self))
        frames = {int(i): self._picture(int(i)) for i in sorted(set(indices))}
        return stack_frames(self.path, frames, indices)

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Seconds as the folder says, or at 30 frames per second."""
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

    def _stored_times(self, flows: int) -> NDArray[np.float64] | None:
        """When the frames that the flow is of are shown, and their rate; None: not known."""
        file = self.path / TIMES_FILE
        if not file.is_file():
            return None
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            rate, seconds = float(stored["fps"]), np.asarray(stored["seconds"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise VideoError(file, None, f"is not what kinema data flow writes: {error}") from None
        if rate <= 0 or seconds.shape != (flows + 1,) or np.any(np.diff(seconds) <= 0):
            cause = f"must give a rate and rising times of {flows + 1} frames, there are {flows} "
            raise VideoError(file, None, f"{cause}pairs of pictures")
        self.fps = rate
        return seconds

    def _picture(self, index: int) -> Tensor:
        planes = [self._decode(file, index) for file in self._frames[index]]
        if not self._flow:
            return planes[0]
        if planes[0].shape != planes[1].shape:
            shapes = " and ".join(str(tuple(plane.shape[1:])) for plane in planes)
            raise VideoError(self.path, index, f"its x and y pictures have the shapes {shapes}")
        return torch.cat([plane[:1] for plane in planes])

    def _decode(self, file: Path, index: int) -> Tensor:
        try:
            picture = file.read_bytes()
            codec: Literal["png", "mjpeg"] = "png" if picture.startswith(PNG) else "mjpeg"
            if codec not in self._decoders:
                self._decoders[codec] = av.CodecContext.create(codec, "r")
                self._decoders[codec].options = REPORT_DAMAGE
            (frame,) = self._decoders[codec].decode(av.Packet(picture))
        except (av.FFmpegError, OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or "holds no picture"
            raise VideoError(file, index, f"cannot be decoded: {cause}") from error
        pixels = self._scaler(frame)
        if not self._ours:
            return pixels
        return rescale(pixels, min(pixels.shape[1:]) / min(frame.height, frame.width))
