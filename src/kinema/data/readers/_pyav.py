"""Video files through PyAV, whose wheels carry FFmpeg.

A frame is found by its presentation time stamp and by nothing else: one pass over the packets
(nothing is decoded) gives the sorted stamps of all frames, so the number of frames does not come
from a header, and a frame that is not where its stamp says is an error instead of a neighbour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ._index_cache import IndexCache
from ._packets import REORDERED, PacketIndex, StampError, VideoPacket, index_packets
from ._protocol import PATIENCE, VideoError, check_indices, stack_frames, stretch
from ._scaler import Scaler
from ._scan import damaged, scan
from ._stream import OpenStream, reason

WALK_PACKETS = 64  # up to here reading over packets is cheaper than asking the file to seek


def pyav_version() -> str:
    """Name and version of the decoder, for the card of a result."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"pyav {av.__version__} (libavcodec {codec})"


class PyAVReader:
    """Frames of one video file, exact by index.

    Damage that the decoder notices is an error for the frames it concerns, and for those that are
    put together from them; it is never filled in from other frames.

    Args:
        path: the file.
        short_side: pixels; None keeps the size.
        threads: of the decoder; 0 lets it choose. Keep 1 where several processes read.
        start: seconds; frames before it do not exist for this reader.
        end: seconds; frames from there on do not exist for this reader.
        patience: seconds to wait for the next frame; what one call into FFmpeg's decoder takes
            cannot be cut short.
        cache: gives and gets the packet index.

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
        patience: float = PATIENCE,
        cache: IndexCache | None = None,
    ) -> None:
        self.path = path
        self._cache = cache
        self._scaler = Scaler(short_side)
        self._file = OpenStream(path, threads, patience)
        try:
            known = cache.get(path) if cache else None
            self._index = known or self._keep_index(self._read_index())
            ticks = self._index.stamps - self._index.stamps[0]
            seconds = np.asarray(ticks * self._file.tick, dtype=np.float64)
            first, last = stretch(path, seconds, start, end)
        except BaseException:
            self.close()
            raise
        self._first = first
        self._seconds = seconds[first:last]
        stream = self._file.stream
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else _mean_rate(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Seconds from the first frame of the file, by the stamps: also for variable rates."""
        check_indices(self.path, indices, len(self))
        return self._seconds[np.asarray(indices, dtype=np.int64)]

    def stamps(self, indices: Sequence[int]) -> NDArray[np.float64] | None:
        """Seconds by the file's own clock, which may begin anywhere: (n,).

        Returns:
            None where the file does not say when each frame is shown: AVI with frames in another
            order than they are shown, and streams whose frames have to be counted.
        """
        guessed = self._file.container.format.name == "avi" and self._file.reordered
        if guessed or not self._index.trusted:
            return None
        positions = self._first + np.asarray(indices, dtype=np.int64)
        return np.asarray(self._index.stamps[positions] * self._file.tick, dtype=np.float64)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 3, H, W) uint8 in one pass forward through the file."""
        check_indices(self.path, indices, len(self))
        if not len(indices):
            raise VideoError(self.path, None, "no frame was asked for")
        wanted = sorted({int(i) for i in indices})
        self._file.expect(wanted[0])
        try:
            frames = self._collect(wanted)
        except StampError:
            self._index = self._keep_index(self._count_frames(wanted[0]))
            check_indices(self.path, [self._first + i for i in wanted], len(self._index.stamps))
            frames = self._collect(wanted)
        return stack_frames(self.path, frames, indices)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _keep_index(self, index: PacketIndex) -> PacketIndex:
        if self._cache:
            self._cache.put(self.path, index)
        return index

    def _read_index(self) -> PacketIndex:
        index = index_packets(self._file.packets(), self._file.stream.codec_context.name)
        if index is None:
            return self._count_frames(None)
        if not len(index.stamps):
            raise VideoError(self.path, None, "the video stream has no frames")
        return index

    def _count_frames(self, wanted: int | None) -> PacketIndex:
        """The index of a stream whose stamps cannot be used: every frame is decoded once.

        Args:
            wanted: the frame that an error names; None: none, the file is being opened.
        """
        self._file.rewind()
        count = 0
        try:
            for _ in self._file.container.decode(self._file.stream):
                self._file.expect(wanted)
                count += 1
        except av.FFmpegError as error:
            self._file.check_clock()
            cause = f"cannot be decoded ({count} frames can): {reason(error)}"
            raise VideoError(self.path, wanted, cause) from error
        self._file.rewind()
        if not count:
            raise VideoError(self.path, wanted, "the video stream has no frames")
        rate = float(self._file.stream.average_rate or 25)
        stamps = np.round(np.arange(count) / rate / self._file.tick).astype(np.int64)
        return PacketIndex(stamps, np.zeros(1, dtype=np.int64), 0, trusted=False)

    def _collect(self, wanted: Sequence[int]) -> dict[int, Tensor]:
        """The wanted frames (ascending), scaled. A miss is tried again from the file's start."""
        frames: dict[int, Tensor] = {}
        shown = [self._first + i for i in wanted]
        if self._index.trusted:
            self._walk(shown, frames)
        missing = [position for position in shown if position not in frames]
        if missing:
            self._file.expect(missing[0] - self._first)
            self._file.rewind(threads=1)
            found, cause = scan(self._file, self._index, missing, self._scaler)
            frames |= found
            for position in missing:
                if position not in frames:
                    raise VideoError(self.path, position - self._first, cause)
        return {position - self._first: frame for position, frame in frames.items()}

    def _walk(self, shown: Sequence[int], frames: dict[int, Tensor]) -> None:
        """One way forward: decode from key frames, leave out what lies between, seek if it is long.

        What it does not find (a container that seeks too far, a damaged stretch) is left out.
        """
        stamps, steady = self._index.stamps, self._index.steady
        wanted = dict(zip(stamps[shown].tolist(), shown, strict=True))
        further = () if steady else (min(p + REORDERED, len(stamps) - 1) for p in shown)
        places = sorted({*shown, *further})
        ahead = deque(zip(stamps[places].tolist(), places, strict=True))
        unfed = set(wanted)
        packets = self._packets_from(self._key_before(places[0]), at=None)
        begun = previous = None
        while ahead:
            packet = next(packets, None)
            if packet is not None and packet.is_keyframe and packet.pts is not None:
                fed = packet.pts
                begun = fed if begun is None else begun
            try:
                decoded = self._feed(packet, wanted)
                if steady and packet is not None and packet.pts in unfed:
                    unfed.remove(packet.pts)
                    if not self._follows(unfed, fed):
                        decoded += self._feed(None, wanted)
            except av.FFmpegError:
                return
            if damaged(packet, decoded):
                return
            left = len(ahead)
            for frame in decoded:
                previous = self._keep(frame, previous, begun, wanted, frames)
                while ahead and ahead[0][0] <= previous:
                    ahead.popleft()
                    if ahead:
                        self._file.expect(ahead[0][1] - self._first)
            if packet is None or begun is None:
                return
            if steady and 0 < len(ahead) < left:
                key = self._key_before(ahead[0][1])
                if self._begin(key) > fed:
                    at = int(np.searchsorted(stamps, fed if previous is None else previous))
                    packets = self._packets_from(key, at=at)
                    begun = previous = None

    def _follows(self, unfed: Collection[int], fed: int) -> bool:
        """Whether a frame still to be fed follows from the key frame that was fed last.

        If none does, the decoder is asked for what it holds: by itself it would give that only
        after two or more further packets, which would have to be decoded for nobody.

        Args:
            unfed: stamps of the frames.
            fed: stamp of the key frame.
        """
        if not unfed:
            return False
        position = int(np.searchsorted(self._index.stamps, min(unfed)))
        return self._begin(self._key_before(position)) <= fed

    def _key_before(self, position: int) -> int:
        """Position of the last key frame at or before a frame; 0 where there is none."""
        keys = self._index.keys
        at = int(keys.searchsorted(position, side="right")) - 1
        return int(keys[at]) if at >= 0 else 0

    def _begin(self, key: int) -> int:
        """Stamp at which decoding begins for the frames that follow from a key frame."""
        return int(self._index.stamps[key]) if key else self._index.begin

    def _packets_from(self, key: int, *, at: int | None) -> Iterator[VideoPacket]:
        """Packets from a key frame on.

        Args:
            key: position of the frame.
            at: position the file is read at; None: anywhere.
        """
        self._file.stream.codec_context.flush_buffers()
        begin = self._begin(key)
        if at is None or key - at > WALK_PACKETS:
            self._file.seek(begin)
        packets = self._file.packets()
        return dropwhile(lambda p: not p.is_keyframe or p.pts is None or p.pts < begin, packets)

    def _feed(self, packet: VideoPacket | None, wanted: Collection[int]) -> list[av.VideoFrame]:
        """Decodes a packet; None gives what the decoder still holds."""
        context = self._file.stream.codec_context
        if context.name == "h264" and self._index.steady:
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
            raise StampError
        if frame.pts in wanted and (begun is None or frame.pts >= begun):
            frames[wanted[frame.pts]] = self._scaler(frame)
        return frame.pts


def _mean_rate(seconds: NDArray[np.float64]) -> float:
    span = float(seconds[-1] - seconds[0])
    return (len(seconds) - 1) / span if span > 0 else 1.0
