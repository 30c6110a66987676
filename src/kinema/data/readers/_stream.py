"""An open video file: its best video stream, told to report damage, read against the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ._packets import VideoPacket
from ._protocol import VideoError
from ._source import source

FRAME_THREADS = 1280 * 720  # pixels; of smaller pictures, handing them over costs what it brings
REPORT_DAMAGE = {"err_detect": "explode"}  # an error, where the decoder would fill in and go on


class OpenStream:
    """The best video stream of a file.

    Args:
        path: the file.
        threads: of the decoder; 0 lets it choose.
        patience: seconds from `expect` until reading gives up.

    Attributes:
        expected: the frame that is waited for; None: the file is being opened.

    Raises:
        VideoError: for a file that is missing, empty or without video.
    """

    container: InputContainer
    stream: VideoStream
    expected: int | None

    def __init__(self, path: Path, threads: int, patience: float) -> None:
        self.path, self._threads, self._patience = path, threads, patience
        self.expect(None)
        if not path.is_file():
            raise VideoError(path, None, "no such file")
        if path.stat().st_size == 0:
            raise VideoError(path, None, "the file is empty")
        self._open(threads)

    def expect(self, frame: int | None) -> None:
        """Starts the clock: this frame, or the file's opening, is waited for from now on."""
        self.expected, self._deadline = frame, time.monotonic() + self._patience

    def check_clock(self) -> None:
        """Ends the waiting.

        Raises:
            VideoError: when time is up.
        """
        if time.monotonic() > self._deadline:
            raise VideoError(
                self.path,
                self.expected,
                f"nothing came within patience={self._patience:g} s; the file is damaged or too "
                "large for this machine: kinema data transcode makes a smaller copy",
            )

    @property
    def tick(self) -> float:
        """Seconds of one tick of the stamps."""
        return float(self.stream.time_base or 0)

    @property
    def reordered(self) -> bool:
        """Whether frames are stored in another order than they are shown."""
        return bool(self.stream.codec_context.has_b_frames)

    def packets(self) -> Iterator[VideoPacket]:
        """From here on, without the empty one at the end. Cut files just end earlier."""
        try:
            for packet in self.container.demux(self.stream):
                self.check_clock()
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            self.check_clock()  # FFmpeg's own word for it would not say what was waited for
            if not isinstance(error, av.EOFError | av.InvalidDataError):
                raise VideoError(self.path, self.expected, reason(error)) from error

    def seek(self, stamp: int) -> None:
        """Goes to the key frame at or before a stamp, or to the start where that cannot be done."""
        try:
            self.container.seek(stamp, stream=self.stream)
        except av.FFmpegError:
            self.rewind()

    def rewind(self, threads: int | None = None) -> None:
        """Opens the file anew.

        Args:
            threads: of the decoder from now on; None: as before.
        """
        self.container.close()
        self._open(self._threads if threads is None else threads)

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def _open(self, threads: int) -> None:
        try:
            # FFmpeg itself asks the clock while it reads
            container = av.open(
                source(self.path), "r", timeout=self._patience, metadata_errors="replace"
            )
        except (av.FFmpegError, OSError) as error:
            self.check_clock()
            raise VideoError(self.path, None, f"cannot be opened: {reason(error)}") from error
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            container.close()
            raise VideoError(self.path, None, "has no video stream")
        context = stream.codec_context
        context.thread_count = threads
        if threads != 1 and context.width * context.height >= FRAME_THREADS:
            context.thread_type = "FRAME"  # by themselves they share slices: most files have one
        context.options = dict(REPORT_DAMAGE)
        self.container, self.stream = container, stream


def reason(error: Exception) -> str:
    """What FFmpeg says of an error."""
    return str(getattr(error, "strerror", None) or error)
