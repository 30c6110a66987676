"""Every kind of file that is known to break readers, made here: the frame's number is in it twice.

`CASES` maps a name to a function that writes the file, `FLIPPED` does so for the files whose bytes
are flipped. `hard_outcomes` tries the readers on them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from torch import Tensor

COUNT, WIDTH, HEIGHT, BITS = 48, 96, 64, 8
DARK, LIGHT = 40, 215
SLACK = 60  # grey levels around DARK and LIGHT


def coded_frames(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(count, height, width, 3) uint8: number, complement, and moving texture for the encoder."""
    bar = np.arange(width) * BITS // width
    lit = (np.arange(count)[:, None] >> bar) & 1  # (count, width)
    grey = np.where(lit, LIGHT, DARK).astype(np.uint8)[:, None, :, None]
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 4 + 1, 3))
    texture = np.kron(coarse.astype(np.uint8), np.ones((4, 4, 1), np.uint8))
    out = np.empty((count, height, width, 3), np.uint8)
    quarter = height // 4
    out[:, :quarter] = grey
    out[:, quarter : 2 * quarter] = 255 - grey
    for n in range(count):
        out[n, 2 * quarter :] = np.roll(texture, 3 * n, axis=1)[: height - 2 * quarter, :width]
    return out


def number_in(frame: Tensor) -> int | None:
    """What a frame (3, H, W) says; None where number and complement do not match."""
    grey = frame.float().mean(0).numpy()
    quarter = grey.shape[0] // 4
    number, complement = _word(grey[:quarter]), _word(grey[quarter : 2 * quarter])
    return number if None not in (number, complement) and number ^ complement == 255 else None


def _word(rows: np.ndarray) -> int | None:
    edges = np.linspace(0, rows.shape[1], BITS + 1).astype(int)
    word, margin = 0, max(1, rows.shape[0] // 4)
    for bit, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        patch = rows[margin:-margin, a + (b - a) // 3 : b - (b - a) // 3]
        if (abs(patch - LIGHT) < SLACK).all():
            word |= 1 << bit
        elif not (abs(patch - DARK) < SLACK).all():
            return None
    return word


def encode(
    path: Path,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    frames: np.ndarray | None = None,
    stamps: Sequence[int] | None = None,
    full_range: bool = False,
    audio: bool = False,
    small_first: bool = False,
    **options: str,
) -> Path:
    """Writes the coded frames at 25 per second; `stamps` in ticks of a frame."""
    frames = coded_frames() if frames is None else frames
    settings = {"g": "12", "bf": "2"} if codec == "libx264" else {"g": "12"}
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono") if audio else None
        small: Any = container.add_stream("libx264", rate=25) if small_first else None
        if small:
            small.width, small.height, small.pix_fmt = 32, 32, "yuv420p"
            small.disposition = av.stream.Disposition(0)
        stream: Any = container.add_stream(
            codec, rate=25, options={"threads": "1", **settings, **options}
        )
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.disposition = av.stream.Disposition.default
        if full_range:
            stream.codec_context.color_range = av.video.reformatter.ColorRange.JPEG
        if sound:
            silence = np.zeros((1, 1024), np.float32)
            piece = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            piece.sample_rate = 16000
            container.mux([*sound.encode(piece), *sound.encode(None)])
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            if full_range:
                frame = frame.reformat(format=pixels, dst_color_range="JPEG")
            if stamps is not None:
                frame.pts = stamps[index]
            container.mux(stream.encode(frame))
            if small:
                black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                container.mux(small.encode(black))
        container.mux(stream.encode(None))
        if small:
            container.mux(small.encode(None))
    return path


def copied_from(path: Path, seconds: float) -> Path:
    """Cuts without decoding, as `ffmpeg -ss -c copy` does: frames before the cut stay, unshown."""
    source = encode(path.with_name("whole-" + path.name), g="24")
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        video = old.streams.video[0]
        stream = new.add_stream_from_template(video)
        old.seek(0)
        offset = round(seconds / float(video.time_base))
        for packet in old.demux(video):
            if packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                packet.stream = stream
                new.mux(packet)
    return path


def turned(path: Path) -> Path:
    """Upright pictures, stored lying and turned by the display matrix as a phone would."""
    lying = np.rot90(coded_frames(), 1, (1, 2))
    content = bytearray(encode(path, frames=np.ascontiguousarray(lying)).read_bytes())
    at = content.index(b"tkhd")
    matrix = at + 4 + (52 if content[at + 4] else 40)
    one, unit = 0x10000, 0x40000000
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, unit)
    path.write_bytes(content)
    return path


def without_index(path: Path) -> Path:
    """An mp4 of which only the beginning arrived, its index (moov) being at the end."""
    content = encode(path).read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    return path


def cut(path: Path, share: float = 0.6, **options: str) -> Path:
    """The first part of a file whose index, if it has one, is at its beginning."""
    content = encode(path, **options).read_bytes()  # type: ignore[arg-type]
    path.write_bytes(content[: int(len(content) * share)])
    return path


def front_cut(path: Path) -> Path:
    """An mp4 with its index in front, cut in the middle."""
    source = encode(path.with_name("whole-" + path.name))
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])
    return path


def spoilt(path: Path, **options: Any) -> Path:
    """64 bytes in the middle of the coded pictures are something else."""
    content = bytearray(encode(path, **options).read_bytes())
    middle = len(content) * 2 // 5
    content[middle : middle + 64] = np.random.default_rng(1).bytes(64)
    path.write_bytes(content)
    return path


def raw(path: Path, content: bytes) -> Path:
    """Exactly these bytes."""
    path.write_bytes(content)
    return path


@dataclass(frozen=True)
class Case:
    """A file and what may come of it.

    Attributes:
        file: its name.
        write: makes it.
        count: frames it has; None: it cannot be opened; -1: some number.
        first: number painted into frame 0.
        damaged: frames may be refused.
        both: False: torchcodec refuses some or all frames, where PyAV does not.
    """

    file: str
    write: Callable[[Path], Path]
    count: int | None = COUNT
    first: int = 0
    damaged: bool = False
    both: bool = True


X265 = {"codec": "libx265", "x265-params": "log-level=none"}
VARIABLE = [n + 3 * (n // 5) + 40 * (n // 30) for n in range(COUNT)]

CASES = {
    "no frame count in the header": Case("v.mkv", encode),
    "rotation metadata": Case("v.mp4", turned),
    "variable frame rate": Case("v.mp4", lambda p: encode(p, stamps=VARIABLE)),
    "B-frames": Case("v.mp4", lambda p: encode(p, bf="3", g="250")),
    "open groups": Case("v.mp4", lambda p: encode(p, **{"x264-params": "open-gop=1"})),
    "edit list": Case("v.mp4", lambda p: copied_from(p, 0.4), COUNT - 10, 10, both=False),
    "HEVC": Case("v.mp4", lambda p: encode(p, **X265)),
    "AV1": Case("v.mkv", lambda p: encode(p, codec="libsvtav1")),
    "VP9": Case("v.webm", lambda p: encode(p, codec="libvpx-vp9", b="500k")),
    "MPEG-4 in AVI": Case("v.avi", lambda p: encode(p, codec="mpeg4", b="2M")),
    "MPEG-4 in AVI with B-frames": Case(
        "v.avi", lambda p: encode(p, codec="mpeg4", b="2M", bf="2"), both=False
    ),
    "MPEG-2 in a program stream": Case(
        "v.mpg", lambda p: encode(p, codec="mpeg2video", b="2M", bf="2"), both=False
    ),
    "H.264 in a transport stream": Case("v.ts", encode, both=False),
    "H.264 without a container": Case("v.h264", encode, both=False),
    "H.264 10 bit": Case("v.mp4", lambda p: encode(p, pixels="yuv420p10le")),
    "HEVC 10 bit": Case("v.mp4", lambda p: encode(p, pixels="yuv420p10le", **X265)),
    "full range": Case("v.mp4", lambda p: encode(p, pixels="yuvj420p", full_range=True)),
    "full range, 10 bit": Case("v.mp4", lambda p: encode(p, pixels="yuv420p10le", full_range=True)),
    "4:4:4": Case("v.mp4", lambda p: encode(p, pixels="yuv444p")),
    "several video streams": Case("v.mp4", lambda p: encode(p, small_first=True)),
    "audio first": Case("v.mp4", lambda p: encode(p, audio=True)),
    "odd size": Case(
        "v.mp4", lambda p: encode(p, pixels="yuv444p", frames=coded_frames(COUNT, 97, 67))
    ),
    "one frame": Case("v.mp4", lambda p: encode(p, frames=coded_frames(1)), 1),
    "zero bytes": Case("v.mp4", lambda p: raw(p, b""), None),
    "no video at all": Case("v.mp4", lambda p: raw(p, b"this is text " * 400), None),
    "no moov atom": Case("v.mp4", without_index, None),
    "cut in the middle, mp4": Case("v.mp4", front_cut, -1, damaged=True),
    "cut in the middle, mkv": Case("v.mkv", cut, -1, damaged=True),
    "cut in the middle, avi": Case(
        "v.avi", lambda p: cut(p, codec="mpeg4", b="2M"), -1, damaged=True
    ),
    "corrupt bytes in the middle, mp4": Case("v.mp4", spoilt, damaged=True),
    "corrupt bytes in the middle, mkv": Case("v.mkv", spoilt, -1, damaged=True),
    "wrong extension": Case("v.avi", lambda p: p.write_bytes(_plain(p)) and p),
    "spaces and other letters in the name": Case("h\u00fcpf \u8df3 \u00f1 (1).mp4", encode),
}


def _plain(path: Path) -> bytes:
    return encode(path.with_suffix(".mp4")).read_bytes()


FLIPPED: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "H.264, mp4": ("v.mp4", encode),
    "H.264, mkv": ("v.mkv", encode),
    "H.264 without CABAC, mp4": ("v.mp4", lambda p: encode(p, coder="0")),
    "MPEG-4, avi": ("v.avi", lambda p: encode(p, codec="mpeg4", b="2M")),
    "MPEG-2, mpg": ("v.mpg", lambda p: encode(p, codec="mpeg2video", b="2M")),
    "HEVC, mp4": ("v.mp4", lambda p: encode(p, **X265)),
    "VP9, webm": ("v.webm", lambda p: encode(p, codec="libvpx-vp9", b="500k")),
    "AV1, mkv": ("v.mkv", lambda p: encode(p, codec="libsvtav1")),
}
