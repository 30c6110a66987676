"""Where the frames of a stream are: told from its packets, of which none is decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

VideoPacket: TypeAlias = "Packet[VideoStream]"

PACKED_DUMMY_BYTES = 8  # MPEG-4 in AVI: a packet this small only says "shown already"
REORDERED = 16  # frames by which decoding and showing may differ: what H.264 and HEVC can hold
CLOSE = 0.6  # of the usual distance: a frame this near to its neighbour may have a wrong stamp
HEAD = struct.Struct("<qqqq??")  # frames, key frames, first stamp, begin, trusted, steady


class StampError(Exception):
    """Decoded frames came with falling stamps."""


@dataclass(frozen=True)
class PacketIndex:
    """Where the frames of a stream are, in the order they are shown.

    Attributes:
        stamps: (n,) presentation time stamps in ticks, ascending.
        keys: (k,) ascending positions in `stamps` at which decoding can begin.
        begin: stamp of the first key frame, which may lie before the first frame that is shown.
        trusted: False: the stamps of decoded frames do not follow the order of showing, so that
            frames have to be counted from the start of the file.
        steady: False: some stamps are so close that one may be wrong; then the frames around a
            wanted one are decoded as well, because their stamps must be seen to rise.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    begin: int
    trusted: bool = True
    steady: bool = True

    def to_bytes(self) -> bytes:
        """About 50 bytes for a constant rate."""
        first = int(self.stamps[0])
        head = (len(self.stamps), len(self.keys), first, self.begin, self.trusted, self.steady)
        gaps = np.concatenate([np.diff(self.stamps), np.diff(self.keys, prepend=0)])
        return zlib.compress(HEAD.pack(*head) + gaps.astype("<i8").tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> PacketIndex:
        """Reads what `to_bytes` wrote.

        Raises:
            ValueError: for anything else.
        """
        try:
            content = zlib.decompress(data)
            count, keys, first, begin, trusted, steady = HEAD.unpack_from(content)
            gaps = np.frombuffer(content, "<i8", offset=HEAD.size).astype(np.int64)
        except (zlib.error, struct.error) as error:
            raise ValueError(f"a packet index of {len(data)} bytes cannot be read") from error
        if count < 1 or len(gaps) != count - 1 + keys:
            raise ValueError(f"a packet index of {count} frames has {len(gaps)} distances")
        stamps = np.concatenate([[first], first + np.cumsum(gaps[: count - 1])])
        return cls(stamps, np.cumsum(gaps[count - 1 :]), begin, trusted, steady)


def index_packets(packets: Iterable[VideoPacket], codec: str) -> PacketIndex | None:
    """The index of a stream by the stamps of its packets, in the order they are stored.

    Args:
        packets: all of the stream, without the empty one at its end.
        codec: FFmpeg's name of it.

    Returns:
        None where stamps are missing, occur twice, or contradict the order of decoding, as after
        damage to the table that holds them; frames then have to be counted. An index without
        frames where there are none.
    """
    stamps: list[int | None] = []
    keys: list[int | None] = []
    key_places: list[int] = []
    packed = False
    for packet in packets:
        if packet.is_keyframe:
            keys.append(packet.pts)
        if not packet.is_discard:
            if packet.is_keyframe:
                key_places.append(len(stamps))
            stamps.append(packet.pts)
            packed |= packet.size < PACKED_DUMMY_BYTES
    known = np.asarray([s for s in stamps if s is not None], dtype=np.int64)
    order = np.unique(known)
    if len(order) < len(stamps):
        return None
    if not stamps:
        return PacketIndex(order, order, 0)
    ranks = np.searchsorted(order, known)  # place among the shown, by place among the decoded
    places = np.asarray(key_places, dtype=np.int64)
    shifted = np.abs(ranks - np.arange(len(ranks))).max() > REORDERED
    # what is decoded before a key frame is shown before it
    if shifted or (ranks[places] < places).any():
        return None
    starts = np.unique(np.asarray([k for k in keys if k is not None], dtype=np.int64))
    begin = int(starts[0]) if len(starts) else int(order[0])
    # a key before the first shown frame (edit lists) serves that frame
    positions = np.unique(np.searchsorted(order, starts))
    gaps = np.diff(order)
    return PacketIndex(
        order,
        positions[positions < len(order)].astype(np.int64),
        begin,
        trusted=not (packed and codec == "mpeg4"),
        steady=not len(gaps) or bool(gaps.min() > CLOSE * np.median(gaps)),
    )
