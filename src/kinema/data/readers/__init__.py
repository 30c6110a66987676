"""Frames by index from video files, folders of pictures and arrays.

Nothing is opened at import, and a reader belongs to the process that opened it: open, read, close
for every sample.
"""

from __future__ import annotations

from ...types import Modality, Record
from ._array import ArrayReader
from ._images import ImagesReader, is_frame_folder
from ._protocol import VIDEO_ENDINGS, Reader, VideoError
from ._pyav import PyAVReader, decoder_version
from ._source import naming

__all__ = [
    "VIDEO_ENDINGS",
    "ArrayReader",
    "Reader",
    "VideoError",
    "decoder_version",
    "is_frame_folder",
    "open_reader",
]


def open_reader(
    record: Record, modality: Modality = "rgb", *, short_side: int | None = None, threads: int = 1
) -> Reader:
    """Opens the frames of a record.

    Args:
        record: a video file or a folder of pictures, and the stretch of it that counts.
        modality: `flow` reads pairs of pictures from a folder; `rgb_diff` reads RGB frames, from
            which `stack_channels` takes the differences.
        short_side: pixels the short side is scaled to; None keeps the size.
        threads: of the decoder; 0 lets it choose.

    Raises:
        VideoError: naming the file and the cause.
    """
    path = record.path
    with naming(path):
        if path.is_dir():
            return ImagesReader(
                path, modality, short_side=short_side, start=record.start, end=record.end
            )
        if modality == "flow":
            cause = "flow is read from a folder of flow_x_00001.jpg and flow_y_00001.jpg pictures"
            raise VideoError(path, None, cause)
        return PyAVReader(
            path, short_side=short_side, threads=threads, start=record.start, end=record.end
        )
