"""Video files through torchcodec, where it is installed and asked for.

Which frames there are, and when they are shown, is PyAV's packet index here too; a frame that
torchcodec returns with another time is an error. The frames go through the same scaler, with one
difference: torchcodec gives RGB, so that colours are rounded before they are scaled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from types import ModuleType

import av
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ._index_cache import IndexCache
from ._protocol import PATIENCE, VideoError, check_indices, stack_frames
from ._pyav import PyAVReader
from ._scaler import Scaler
from ._source import source

NEEDED = "pip install 'kinema[fast]', and FFmpeg 4 to 8 as shared libraries"
REMEDY = "decoder=pyav may read it"
SLACK = 1e-5  # seconds; stamps are rounded


def load_torchcodec() -> ModuleType:
    """The package `torchcodec.decoders`.

    Raises:
        ImportError: saying why it does not load and what to install.
    """
    try:
        import torchcodec.decoders as decoders
    except Exception as error:  # a build for another torch or FFmpeg raises OSError, RuntimeError
        raise ImportError(
            f"decoder=torchcodec cannot be loaded ({type(error).__name__}: {_first_line(error)}); "
            f"it needs: {NEEDED}; or use decoder=pyav"
        ) from error
    return decoders


class TorchcodecReader:
    """Frames of one video file, the same ones as PyAV's.

    torchcodec fills in damaged pictures and does not say so: of a damaged file it may give a frame
    where PyAV gives an error. `kinema data check` finds such files.

    Args:
        path: the file.
        short_side: pixels; None keeps the size.
        threads: of the decoder; 0 lets it choose.
        start: seconds; frames before it do not exist for this reader.
        end: seconds; frames from there on do not exist for this reader.
        patience: seconds that finding the frames may take; decoding cannot be cut short.
        cache: gives and gets the packet index.

    Raises:
        ImportError: where torchcodec does not load.
        VideoError: for a file that is missing, empty, without video, not decodable, or that does
            not say when its frames are shown.
    """

    def __init__(
        self,
        path: Path,
        *,
        short_side: int | None = None,
        threads: int = 1,
        start: float = 0.0,
        end: float | None = None,
        patience: float = PATIENCE,
        cache: IndexCache | None = None,
    ) -> None:
        decoders = load_torchcodec()
        self.path = path
        self._scaler = Scaler(short_side)
        with closing(
            PyAVReader(path, start=start, end=end, patience=patience, cache=cache)
        ) as packets:
            stamps = packets.stamps(range(len(packets)))
            self._times, self.fps = packets.times(range(len(packets))), packets.fps
        if stamps is None:
            cause = "torchcodec finds frames by their time stamps, and this file has none to trust"
            raise VideoError(path, None, f"{cause}; {REMEDY}")
        self._stamps = stamps
        try:
            self._decoder = decoders.VideoDecoder(source(path), num_ffmpeg_threads=threads)
        except (RuntimeError, ValueError) as error:
            cause = f"torchcodec cannot open it ({_first_line(error)}); {REMEDY}"
            raise VideoError(path, None, cause) from error

    def __len__(self) -> int:
        return len(self._stamps)

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Seconds from the first frame of the file, by the stamps."""
        check_indices(self.path, indices, len(self))
        return self._times[np.asarray(indices, dtype=np.int64)]

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8."""
        check_indices(self.path, indices, len(self))
        if not len(indices):
            raise VideoError(self.path, None, "no frame was asked for")
        frames = {i: self._frame(i) for i in sorted({int(i) for i in indices})}
        return stack_frames(self.path, frames, indices)

    def close(self) -> None:
        """Closes the file."""
        del self._decoder

    def _frame(self, index: int) -> Tensor:
        stamp = float(self._stamps[index])
        try:
            frame = self._decoder.get_frame_played_at(stamp + SLACK)
        except (RuntimeError, IndexError, ValueError) as error:
            cause = f"torchcodec cannot decode it ({_first_line(error)}); {REMEDY}"
            raise VideoError(self.path, index, cause) from error
        if abs(float(frame.pts_seconds) - stamp) > SLACK:
            cause = (
                f"torchcodec gives the frame at {float(frame.pts_seconds):.3f} s for {stamp:.3f} s"
            )
            raise VideoError(self.path, index, f"{cause}; {REMEDY}")
        pixels = np.ascontiguousarray(frame.data.permute(1, 2, 0).numpy())  # (H, W, 3)
        return self._scaler(av.VideoFrame.from_ndarray(pixels, format="rgb24"))


def torchcodec_version() -> str:
    """Name and version of the reader, for the card of a result."""
    return f"torchcodec {metadata.version('torchcodec')}"


def _first_line(error: Exception) -> str:
    """What torchcodec says, without the place in its own source."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    return re.sub(r"^\w+, \S+:\d+, ", "", line)
