"""Video files through PyAV, whose wheels carry FFmpeg.

A frame is found by its presentation time stamp and by nothing else: one pass over the packets
(nothing is decoded) gives the sorted stamps of all frames, so the number of frames does not come
from a header, and a frame that is not where its stamp says is an error instead of a neighbour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from ._protocol import VideoError, check_indices, stretch
from ._scaler import Scaler
from ._source import source

PACKED_DUMMY_BYTES = 8  # MPEG-4 in AVI: a packet this small only says "shown already"
WALK_PACKETS = 64  # up to here reading over packets is cheaper than asking the file to seek


def decoder_version() -> str:
    """Name and version of the decoder, for the card of a result."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"pyav {av.__version__} (libavcodec {codec})"


@dataclass(frozen=True)
class PacketIndex:
    """Where the frames of a stream are, in the order they are shown.

    Attributes:
        stamps: (n,) presentation time stamps in ticks, ascending.
        keys: (k,) ascending positions in `stamps` at which decoding can begin.
        begin: stamp of the first key frame, which may lie before the first frame that is shown.
        trusted: False: the stamps of decoded frames do not follow the order of showing, so that
            frames have to be counted from the start of the file.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    begin: int
    trusted: bool


VideoPacket: TypeAlias = "Packet[VideoStream]"


class _OrderError(Exception):
    """Decoded frames came with falling stamps."""


class PyAVReader:
    """Frames of one video file, exact by index.

    Args:
        path: the file.
        short_side: pixels; None keeps the size.
        threads: of the decoder; 0 lets it choose. Keep 1 where several processes read.
        start: seconds; frames before it do not exist for this reader.
        end: seconds; frames from there on do not exist for this reader.

    Raises:
        VideoError: for a file that is missing, empty, without video or not decodable.
    """

    def __init__(
        self,
        path: Path,
        *,
        short_side: int | None = None,
        threads: int = 1,
        start: float = 0.0,
        end: float | None = None,
    ) -> None:
        self.path = path
        self._threads = threads
        self._scaler = Scaler(short_side)
        if not path.is_file():
            raise VideoError(path, None, "no such file")
        if path.stat().st_size == 0:
            raise VideoError(path, None, "the file is empty")
        self._container, self._stream = self._open()
        try:
            self._index = self._read_index()
            ticks = self._index.stamps - self._index.stamps[0]
            seconds = np.asarray(ticks * self._tick, dtype=np.float64)
            first, last = stretch(path, seconds, start, end)
        except BaseException:
            self.close()
            raise
        self._first = first
        self._seconds = seconds[first:last]
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else self._mean_rate(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Seconds from the first frame of the file, by the stamps: also for variable rates."""
        check_indices(self.path, indices, len(self))
        return self._seconds[np.asarray(indices, dtype=np.int64)]

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8 in one pass forward through the file."""
        check_indices(self.path, indices, len(self))
        if not len(indices):
            raise VideoError(self.path, None, "no frame was asked for")
        wanted = sorted({int(i) for i in indices})
        try:
            frames = self._collect(wanted)
        except _OrderError:
            self._index = self._count_frames()
            frames = self._collect(wanted)
        return torch.stack([frames[int(i)] for i in indices])

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    @property
    def _tick(self) -> float:
        return float(self._stream.time_base or 0)

    @staticmethod
    def _mean_rate(seconds: NDArray[np.float64]) -> float:
        span = float(seconds[-1] - seconds[0])
        return (len(seconds) - 1) / span if span > 0 else 1.0

    def _open(self) -> tuple[InputContainer, VideoStream]:
        try:
            container = av.open(source(self.path), "r")
        except (av.FFmpegError, OSError) as error:
            raise VideoError(self.path, None, f"cannot be opened: {_reason(error)}") from error
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            container.close()
            raise VideoError(self.path, None, "has no video stream")
        stream.codec_context.thread_count = self._threads
        return container, stream

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = self._open()

    def _packets(self) -> Iterator[VideoPacket]:
        """Packets of the stream, without the empty one at its end. Cut files just end earlier."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            if not isinstance(error, av.EOFError | av.InvalidDataError):
                raise VideoError(self.path, None, _reason(error)) from error

    def _read_index(self) -> PacketIndex:
        stamps: list[int | None] = []
        keys: list[int | None] = []
        packed = False
        for packet in self._packets():
            if packet.is_keyframe:
                keys.append(packet.pts)
            if not packet.is_discard:
                stamps.append(packet.pts)
                packed |= packet.size < PACKED_DUMMY_BYTES
        if not stamps:
            raise VideoError(self.path, None, "the video stream has no frames")
        known = sorted(s for s in stamps if s is not None)
        if len(known) < len(stamps) or len(set(known)) < len(known):
            return self._count_frames()
        order = np.asarray(known, dtype=np.int64)
        starts = np.asarray(sorted({k for k in keys if k is not None}), dtype=np.int64)
        packed = packed and self._stream.codec_context.name == "mpeg4"
        # a key before the first shown frame (edit lists) serves that frame
        positions = np.unique(np.searchsorted(order, starts))
        begin = int(starts[0]) if len(starts) else known[0]
        positions = positions[positions < len(order)]
        return PacketIndex(order, positions, begin, trusted=not packed)

    def _count_frames(self) -> PacketIndex:
        """The index of a stream whose stamps cannot be used: every frame is decoded once."""
        self._reopen()
        try:
            count = sum(1 for _ in self._container.decode(self._stream))
        except av.FFmpegError as error:
            raise VideoError(self.path, None, f"cannot be decoded: {_reason(error)}") from error
        self._reopen()
        if not count:
            raise VideoError(self.path, None, "the video stream has no frames")
        rate = float(self._stream.average_rate or 25)
        stamps = np.round(np.arange(count) / rate / self._tick).astype(np.int64)
        return PacketIndex(stamps, np.zeros(1, dtype=np.int64), 0, trusted=False)

    def _collect(self, wanted: Sequence[int]) -> dict[int, Tensor]:
        """The wanted frames (ascending), scaled. A miss is tried again from the file's start."""
        frames: dict[int, Tensor] = {}
        shown = [self._first + i for i in wanted]
        if self._index.trusted:
            self._walk(shown, frames)
        missing = [position for position in shown if position not in frames]
        if missing:
            self._reopen()
            cause = self._scan(missing, frames)
            for position in missing:
                if position not in frames:
                    raise VideoError(self.path, position - self._first, cause)
        return {position - self._first: frame for position, frame in frames.items()}

    def _walk(self, shown: Sequence[int], frames: dict[int, Tensor]) -> None:
        """One way forward: decode from key frames, leave out what lies between, seek if it is long.

        What it does not find (a container that seeks too far, a damaged stretch) is left out.
        """
        stamps = self._index.stamps
        wanted = {int(stamps[position]): position for position in shown}
        ahead = deque(shown)
        packets = self._packets_from(self._key_before(ahead[0]), at=None)
        begun = previous = None
        while ahead:
            packet = next(packets, None)
            if packet is not None and packet.is_keyframe and packet.pts is not None:
                fed = packet.pts
                begun = fed if begun is None else begun
            try:
                decoded = self._feed(packet, wanted)
            except av.FFmpegError:
                return
            for frame in decoded:
                previous = self._keep(frame, previous, begun, wanted, frames)
                while ahead and stamps[ahead[0]] <= previous:
                    ahead.popleft()
            if packet is None or begun is None:
                return
            if ahead and stamps[key := self._key_before(ahead[0])] > fed:
                at = int(np.searchsorted(stamps, fed if previous is None else previous))
                packets = self._packets_from(key, at=at)
                begun = previous = None

    def _key_before(self, position: int) -> int:
        """Position of the last key frame at or before a frame; 0 where there is none."""
        keys = self._index.keys
        at = int(np.searchsorted(keys, position, side="right")) - 1
        return int(keys[at]) if at >= 0 else 0

    def _packets_from(self, key: int, *, at: int | None) -> Iterator[VideoPacket]:
        """Packets from a key frame on.

        Args:
            key: position of the frame.
            at: position the file is read at; None: anywhere.
        """
        self._stream.codec_context.flush_buffers()
        begin = int(self._index.stamps[key]) if key else self._index.begin
        if at is None or key - at > WALK_PACKETS:
            try:
                self._container.seek(begin, stream=self._stream)
            except av.FFmpegError:  # a format without seeking is read from its start
                self._reopen()
        packets = self._packets()
        return dropwhile(lambda p: not p.is_keyframe or p.pts is None or p.pts < begin, packets)

    def _feed(self, packet: VideoPacket | None, wanted: Collection[int]) -> list[av.VideoFrame]:
        """Decodes a packet; None gives what the decoder still holds."""
        context = self._stream.codec_context
        if context.name == "h264" and self._threads == 1:
            # frames that no other refers to and nobody wants need no decoding
            needed = packet is None or packet.pts in wanted
            context.skip_frame = "DEFAULT" if needed else "NONREF"
        return context.decode(packet)

    def _keep(
        self,
        frame: av.VideoFrame,
        previous: int | None,
        begun: int | None,
        wanted: dict[int, int],
        frames: dict[int, Tensor],
    ) -> int:
        """Stores a frame that is wanted; returns its stamp.

        Frames shown before the key frame that decoding began with lack what they refer to.
        """
        if frame.pts is None or (previous is not None and frame.pts <= previous):
            raise _OrderError
        whole = not frame.is_corrupt and (begun is None or frame.pts >= begun)
        if whole and frame.pts in wanted:
            frames[wanted[frame.pts]] = self._scaler(frame)
        return frame.pts

    def _scan(self, missing: Sequence[int], frames: dict[int, Tensor]) -> str:
        """Decodes everything up to the last missing frame; returns why one may still be missing."""
        by_stamp = {int(self._index.stamps[m]): m for m in missing}
        count, previous = 0, None
        self._stream.codec_context.skip_frame = "DEFAULT"
        try:
            for frame in self._container.decode(self._stream):
                if self._index.trusted:
                    previous = self._keep(frame, previous, None, by_stamp, frames)
                elif count in missing and not frame.is_corrupt:
                    frames[count] = self._scaler(frame)
                count += 1
                if missing[-1] in frames:
                    break
        except av.FFmpegError as error:
            return f"cannot be decoded ({count} frames can): {_reason(error)}"
        return f"the decoder did not give this frame intact ({count} frames decoded)"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
