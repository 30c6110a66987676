"""Videos whose frames say their number: eight vertical bars are the bits of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from torch import Tensor

from kinema.data import Manifest
from kinema.types import Record

WIDTH, HEIGHT, BITS = 64, 48, 8
WriteNumbered = Callable[..., Path]


def numbered_frames(
    count: int, width: int = WIDTH, height: int = HEIGHT, first: int = 0
) -> np.ndarray:
    """(count, height, width, 3) uint8; bar b is white where bit b of the frame's number is set."""
    bar = np.arange(width) * BITS // width
    numbers = np.arange(first, first + count)
    lit = (numbers[:, None] >> bar) & 1  # (count, width)
    grey = np.where(lit, 235, 20).astype(np.uint8)
    return np.broadcast_to(grey[:, None, :, None], (count, height, width, 3)).copy()


def numbers_of(frames: Tensor) -> list[int]:
    """What frames (n, 3, H, W) say."""
    rows = frames.float().mean(dim=(1, 2)).numpy()  # (n, W)
    edges = np.linspace(0, rows.shape[1], BITS + 1).astype(int)
    middles = [
        rows[:, a + (b - a) // 4 : b - (b - a) // 4].mean(axis=1)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    return [sum(int(v > 128) << bit for bit, v in enumerate(row)) for row in np.stack(middles, 1)]


def write_video(
    path: Path,
    frames: np.ndarray,
    *,
    fps: int = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    stamps: Sequence[int] | None = None,
) -> Path:
    """Encodes (T, H, W, 3) uint8; `stamps` are presentation times in ticks of 1/fps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"threads": "1", **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if stamps is not None:
                frame.pts = stamps[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    """A file that can be opened and holds no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_pictures(
    folder: Path, frames: np.ndarray, template: str = "img_{:05d}.jpg", first: int = 1
) -> Path:
    """A folder of frames as JPEG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(frames, start=first):
        with av.open(str(folder / template.format(number)), "w", format="image2") as container:
            stream = container.add_stream("mjpeg", rate=1, options={"update": "1"})
            stream.height, stream.width = pixels.shape[:2]
            stream.pix_fmt = "yuvj420p"
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="session")
def numbered_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames at 25 per second, B-frames, key frames twelve apart."""
    path = tmp_path_factory.mktemp("numbered") / "b12.mp4"
    return write_video(path, numbered_frames(100), options={"g": "12", "bf": "2", "crf": "18"})


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two classes, five numbered clips each; clip k begins with the number 20 k."""
    root = tmp_path_factory.mktemp("toy")
    records = []
    for k in range(10):
        label = k % 2
        path = root / f"class{label}" / f"{k}.mp4"
        write_video(path, numbered_frames(16, first=20 * k), options={"g": "4"})
        records.append(Record(f"clip{k}", path, label))
    return Manifest("toy", ("class0", "class1"), tuple(records))
