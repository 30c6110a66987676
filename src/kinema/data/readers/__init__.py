"""Frames by index from video files, folders of pictures and arrays.

Nothing is opened at import, and a reader belongs to the process that opened it: open, read, close
for every sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ...types import Modality, Record
from ._array import ARRAY_NAME, ArrayReader
from ._flow import (
    BOUND,
    FLOW_METHODS,
    METHOD,
    STILL,
    FlowEstimator,
    FlowMethod,
    FlowReader,
    check_pairs,
    load_opencv,
    quantise,
)
from ._images import TIMES_FILE, ImagesReader, is_flow_folder, is_frame_folder
from ._index_cache import PACKETS_FILE, IndexCache, IndexEntry, write_indexes
from ._protocol import PATIENCE, VIDEO_ENDINGS, Reader, VideoError
from ._pyav import PyAVReader, pyav_version
from ._source import naming
from ._torchcodec import TorchcodecReader, load_torchcodec, torchcodec_version

__all__ = [
    "ARRAY_NAME",
    "BOUND",
    "DECODERS",
    "FLOW_METHODS",
    "METHOD",
    "PACKETS_FILE",
    "STILL",
    "TIMES_FILE",
    "VIDEO_ENDINGS",
    "ArrayReader",
    "Decoder",
    "FlowEstimator",
    "FlowMethod",
    "FlowReader",
    "IndexCache",
    "IndexEntry",
    "Reader",
    "VideoError",
    "check_decoder",
    "check_pairs",
    "decoder_version",
    "index_cache",
    "is_flow_folder",
    "is_frame_folder",
    "load_opencv",
    "open_reader",
    "quantise",
    "write_indexes",
]

Decoder: TypeAlias = Literal["pyav", "torchcodec"]
"""What reads video files: `pyav` is always there; `torchcodec` is an extra, `kinema[fast]`."""

DECODERS: tuple[Decoder, ...] = get_args(Decoder)


def check_decoder(decoder: str) -> None:
    """Makes sure that a decoder can be used, before a run begins with it.

    Raises:
        ImportError: where torchcodec is asked for and does not load, saying why.
        ValueError: for a name that is no decoder's.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder={decoder!r} must be one of {', '.join(DECODERS)}")
    if decoder == "torchcodec":
        load_torchcodec()


def decoder_version(decoder: Decoder = "pyav") -> str:
    """Name and version of a decoder, for the card of a result; torchcodec's packets are PyAV's."""
    return pyav_version() if decoder == "pyav" else f"{torchcodec_version()}, {pyav_version()}"


def index_cache(file: Path | None = None) -> IndexCache:
    """Packet indexes that go with this decoder.

    Args:
        file: written by `write_indexes`, as by `kinema data check`; None: in memory only.
    """
    return IndexCache(file, pyav_version())


def open_reader(
    record: Record,
    modality: Modality = "rgb",
    *,
    short_side: int | None = None,
    threads: int = 1,
    decoder: Decoder = "pyav",
    patience: float = PATIENCE,
    cache: IndexCache | None = None,
) -> Reader:
    """Opens the frames of a record.

    Args:
        record: a video file or a folder of pictures, and the stretch of it that counts.
        modality: `flow` reads pairs of pictures from a folder that has them, and computes the flow
            of other folders and of videos (see `FlowReader`); `rgb_diff` reads RGB frames, from
            which `stack_channels` takes the differences.
        short_side: pixels the short side is scaled to; None keeps the size.
        threads: of the decoder and of OpenCV; 0 lets them choose.
        decoder: of video files. Both give the same frames; torchcodec's pixels differ by rounding,
            and it does not report damage.
        patience: seconds to wait for a frame.
        cache: of packet indexes, for readers that follow.

    Raises:
        ImportError: where torchcodec is asked for, or OpenCV is needed, and does not load.
        ValueError: for a decoder that does not exist.
        VideoError: naming the file and the cause.
    """
    path = record.path
    with naming(path):
        if modality == "flow" and not is_flow_folder(path):
            frames = open_reader(
                record,
                short_side=short_side,
                threads=threads,
                decoder=decoder,
                patience=patience,
                cache=cache,
            )
            return FlowReader(frames, path, threads=threads)
        if path.is_dir():
            return ImagesReader(
                path, modality, short_side=short_side, start=record.start, end=record.end
            )
        check_decoder(decoder)
        reader = PyAVReader if decoder == "pyav" else TorchcodecReader
        return reader(
            path,
            short_side=short_side,
            threads=threads,
            start=record.start,
            end=record.end,
            patience=patience,
            cache=cache,
        )
