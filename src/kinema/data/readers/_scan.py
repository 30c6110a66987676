"""The slow way to a frame: everything from the start of the file, with an eye on damage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import av
from torch import Tensor

from ._packets import PacketIndex, StampError, VideoPacket
from ._scaler import Scaler
from ._stream import OpenStream, reason


def scan(
    file: OpenStream, index: PacketIndex, missing: Sequence[int], scaler: Scaler
) -> tuple[dict[int, Tensor], str]:
    """Decodes everything up to the last of the missing frames.

    After damage no frame counts until the next key frame: a decoder may go on, but with pictures
    put together from others. A frame is sound if its packet was fed in between.

    Args:
        file: at its start, decoded by one thread: several report errors late, so that they name no
            packet.
        index: of the file.
        missing: positions in the index, ascending.
        scaler: makes tensors of frames.

    Returns:
        The frames that were found, by position; why others were not.

    Raises:
        StampError: where frames come in another order than their stamps say.
        VideoError: when time is up.
    """
    found: dict[int, Tensor] = {}
    by_stamp = {int(index.stamps[position]): position for position in missing}
    context = file.stream.codec_context
    context.skip_frame = "DEFAULT"
    sound: set[int] = set()
    count, cause = 0, ""
    previous: int | None = None
    key: int | None = None
    broken = leading = False
    for packet in chain(file.packets(), [None]):
        if packet is not None and packet.is_keyframe:
            # frames shown before this key frame refer to the damaged ones
            leading, broken, key = broken, False, packet.pts
        decoded, hurt = _decode(context, packet)
        if hurt:
            broken, cause = True, cause or f"cannot be decoded ({count} frames can): {hurt}"
        elif packet is not None and packet.pts is not None and not broken:
            sound |= set() if leading and key is not None and packet.pts < key else {packet.pts}
        for frame in decoded:
            position = None
            if not index.trusted:
                position = None if broken else count
            elif frame.pts is not None and (previous is None or frame.pts > previous):
                position = by_stamp.get(frame.pts) if frame.pts in sound else None
            elif not cause:
                raise StampError
            if position in missing and position is not None and not frame.is_corrupt:
                found[position] = scaler(frame)
            count, previous = count + 1, frame.pts
            file.expect(file.expected)
        if missing[-1] in found or (cause and not index.trusted):
            break
    return found, cause or f"the decoder did not give this frame ({count} frames decoded)"


def damaged(packet: VideoPacket | None, frames: Sequence[av.VideoFrame]) -> bool:
    """What container and decoder know; frames filled in from their neighbours are among it."""
    return (packet is not None and packet.is_corrupt) or any(f.is_corrupt for f in frames)


def _decode(
    context: av.VideoCodecContext, packet: VideoPacket | None
) -> tuple[list[av.VideoFrame], str]:
    """The frames that a packet completes, and what is wrong with them; "": nothing is known."""
    try:
        decoded = context.decode(packet)
    except av.FFmpegError as error:
        return [], reason(error)
    return decoded, "the decoder notices damage" if damaged(packet, decoded) else ""
