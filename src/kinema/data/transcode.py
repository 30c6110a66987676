"""A smaller copy of a folder of videos that is quick to read: short side, frequent key frames.

Frames come from the same reader that training uses, so a copy has exactly the frames that training
on the original would have seen, at the same times; what cannot be read whole is not copied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..files import atomic
from ..types import Record
from .copies import Copied, Written, claim, copy_all, every_frame, native_side
from .readers import VIDEO_ENDINGS, Reader, VideoError, open_reader

SETTINGS_FILE = "transcode.json"
MP4_ENDINGS = frozenset((".mp4", ".m4v", ".mov"))  # kept; every other ending becomes .mp4
LIST_ENDINGS = frozenset((".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"))
TICK = Fraction(1, 360_000)  # seconds; whole numbers of it for 24, 25, 30, 50, 60 and their /1.001
SLACK = 1e-4  # seconds a time may move by; containers count in milliseconds and less


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the copies are written, as H.264 with 8 bits; sound is left out.

    Attributes:
        short_side: pixels, even; smaller videos keep their size.
        keyint: frames from one key frame to the next, at most.
        crf: quality, 0 to 51; lower is better and larger.
        preset: of x264; slower ones make smaller files.
    """

    short_side: int = 256
    keyint: int = 12
    crf: int = 20
    preset: str = "fast"

    def __post_init__(self) -> None:
        if self.short_side < 16 or self.short_side % 2:
            raise ValueError(f"short_side={self.short_side} must be an even number from 16 on")
        if self.keyint < 1:
            raise ValueError(f"keyint={self.keyint} must be at least 1")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf={self.crf} must be 0 to 51; 18 to 23 is usual")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video: where it is and where its copy goes."""

    source: Path
    target: Path
    encoding: Encoding


@dataclass(frozen=True, kw_only=True)
class Transcoded(Copied):
    """What a run did.

    Attributes:
        copied: lists and tables copied beside the videos.
        renamed: how many copies end in `.mp4` where the original did not.
    """

    copied: int
    renamed: int


def transcode(
    source: Path | str,
    out: Path | str,
    encoding: Encoding | None = None,
    *,
    workers: int | None = None,
    shown: bool = True,
) -> Transcoded:
    """Copies every video below a folder to the same place below another one.

    A run that was stopped goes on where it was; a copy is either whole or not there. Lists and
    tables (`.txt`, `.csv`, `.json`, ...) are copied as they are. Names that begin with a dot are
    passed over. Videos in containers other than MP4 get the ending `.mp4`.

    Args:
        source: the folder.
        out: made where it does not exist; not inside `source`.
        encoding: None: short side 256, a key frame every 12 frames.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Raises:
        ValueError: for folders that do not fit, or an `out` with copies of another encoding.
    """
    source, out, encoding = Path(source), Path(out), encoding or Encoding()
    if not source.is_dir():
        raise ValueError(f"{source} must be a folder with videos")
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out} must not lie inside {source}, whose videos it is a copy of")
    files = list(_files(source))
    jobs = _jobs(source, out, encoding, files)
    if not jobs:
        raise ValueError(f"{source} holds no videos ({', '.join(sorted(VIDEO_ENDINGS))})")
    claim(encoding, out / SETTINGS_FILE, "videos of another encoding")
    copied = sum(_copy(source / name, out / name) for name in files if _is_list(name))
    done = copy_all("transcode", _write, jobs, workers=workers, shown=shown)
    return Transcoded(
        written=done.written,
        skipped=done.skipped,
        copied=copied,
        renamed=sum(job.source.name != job.target.name for job in jobs),
    )


def _files(root: Path) -> Iterator[Path]:
    """Names relative to the root, sorted, without hidden ones."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder).relative_to(root)
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def _is_list(name: Path) -> bool:
    return name.suffix.lower() in LIST_ENDINGS


def _jobs(source: Path, out: Path, encoding: Encoding, files: list[Path]) -> list[Job]:
    taken: dict[Path, Path] = {}
    jobs = []
    for name in files:
        ending = name.suffix.lower()
        if ending not in VIDEO_ENDINGS:
            continue
        target = name if ending in MP4_ENDINGS else name.with_suffix(".mp4")
        if target in taken:
            raise ValueError(
                f"{source / taken[target]} and {source / name} would both become {out / target}; "
                "rename one of them"
            )
        taken[target] = name
        jobs.append(Job(source=source / name, target=out / target, encoding=encoding))
    return jobs


def _copy(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
    return True


def _write(job: Job) -> Written:
    """The work of one process."""
    try:
        with atomic(job.target) as temporary:
            frames = _encode(job, temporary)
            after = temporary.stat().st_size
    except (VideoError, av.FFmpegError, OSError) as error:
        return Written(source=job.source, error=str(error))
    before = job.source.stat().st_size
    return Written(source=job.source, frames=frames, bytes_before=before, bytes_after=after)


def _encode(job: Job, path: Path) -> int:
    """Writes the copy under a temporary name and makes sure of its frames; returns their number."""
    record, encoding = Record(job.source.name, job.source, None), job.encoding
    short_side = min(encoding.short_side, native_side(record) // 2 * 2)
    with (
        closing(open_reader(record, short_side=short_side)) as reader,
        av.open(str(path), "w", format="mp4") as container,
    ):
        rate = Fraction(reader.fps).limit_denominator(1001)
        options = {"crf": str(encoding.crf), "preset": encoding.preset, "threads": "1"}
        stream = container.add_stream(
            "libx264", rate=rate, options={**options, "g": str(encoding.keyint)}
        )
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TICK
        times = reader.times(range(len(reader)))
        stamps = np.round((times - times[0]) / float(TICK)).astype(np.int64)
        for frame, stamp in zip(_frames(reader), stamps, strict=True):
            if stamp == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base = int(stamp), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with closing(open_reader(Record(job.target.name, path, None))) as copy:
        if len(copy) != len(times) or np.abs(copy.times(range(len(copy))) - times).max() > SLACK:
            cause = f"the copy has {len(copy)} frames at other times, the original {len(times)}"
            raise VideoError(job.source, None, cause)
    return len(times)


def _frames(reader: Reader) -> Iterator[av.VideoFrame]:
    """All frames, with even sides: an odd last row or column is left out, as H.264 needs."""
    for pixels in every_frame(reader):  # (C, H, W)
        height, width = (side // 2 * 2 for side in pixels.shape[1:])
        picture = pixels[:, :height, :width].permute(1, 2, 0).contiguous().numpy()
        yield av.VideoFrame.from_ndarray(picture, format="rgb24")
