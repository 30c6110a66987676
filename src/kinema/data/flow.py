"""Optical flow of every video of a data set, computed once and stored as pictures.

The layout is TSN's: a folder per video with `flow_x_00001.jpg` and `flow_y_00001.jpg`, pair n from
frame n to n + 1 (counted from 1), manifests beside them. What a byte means is in `readers/_flow`.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..files import atomic, atomic_folder
from ..plain import to_plain
from ..remote import RemotePath
from ..types import Record
from .copies import Copied, Written, claim, copy_all, every_frame, native_side
from .datasets import read_parts
from .manifest import Manifest
from .readers import (
    BOUND,
    METHOD,
    STILL,
    TIMES_FILE,
    VIDEO_ENDINGS,
    FlowEstimator,
    FlowMethod,
    VideoError,
    check_pairs,
    load_opencv,
    open_reader,
    quantise,
)

SETTINGS_FILE, COUNTS_FILE, DROPPED_FILE = "flow.json", "splits.json", "dropped.csv"


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """How flow is computed and stored.

    Attributes:
        method: see `FlowMethod`.
        bound: pixels that the largest byte stands for; faster motion counts as so fast.
        short_side: pixels that flow is computed at; smaller videos keep their size.
        quality: of the JPEG files, 1 to 100.
    """

    method: FlowMethod = METHOD
    bound: float = BOUND
    short_side: int = 256
    quality: int = 95

    def __post_init__(self) -> None:
        if not (self.bound > 0 and math.isfinite(self.bound)):
            raise ValueError(f"bound={self.bound} must be above 0; 20 pixels is usual")
        if self.short_side < 16:
            raise ValueError(f"short_side={self.short_side} must be at least 16")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality={self.quality} must be 1 to 100; 95 is usual")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video: where it is and the folder its flow goes to."""

    source: Path
    target: Path
    settings: FlowSettings


@dataclass(frozen=True, kw_only=True)
class StoredFlow(Copied):
    """What a run did.

    Attributes:
        manifests: of the videos whose flow is there, by split.
        records: how many records the data have, by split.
    """

    manifests: Mapping[str, Manifest]
    records: Mapping[str, int]


def store_flow(
    source: str | Path,
    out: Path | str,
    settings: FlowSettings | None = None,
    *,
    workers: int | None = None,
    shown: bool = True,
) -> StoredFlow:
    """Computes the flow of every video of some data, for training with `input.modality=flow`.

    A run that was stopped goes on where it was; a folder of flow is either whole or not there. Ids,
    labels, groups and stretches of the records stay, so that a run on flow has the validation set,
    and the scores the names, of a run on the videos. Videos that cannot be read are reported and
    left out of the manifests; `dropped.csv` says why.

    Args:
        source: labelled videos, or folders of frames, see `load_data`.
        out: made where it does not exist; not inside `source`.
        settings: None: DIS, bound 20, short side 256, quality 95.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Raises:
        ImportError: where OpenCV is not installed.
        ValueError: for data that do not fit, or an `out` with flow of other settings or videos.
    """
    out, settings = Path(out), settings or FlowSettings()
    version = FlowEstimator(settings.method).version
    for folder in (Path(source), Path(str(source).partition(":")[2] or source)):
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{out} must not lie inside {folder}, whose flow it is to hold")
    parts = read_parts(source)
    records = [record for part in parts.values() for record in part.records]
    if not records:
        raise ValueError(f"{source} holds no videos")
    jobs = _jobs(records, out, settings)
    plain = to_plain(settings)
    assert isinstance(plain, dict)
    claim({**plain, "opencv": version}, out / SETTINGS_FILE, "flow of other settings")
    for job in jobs.values():
        _check_source(job)
    done = copy_all("flow", _write, list(jobs.values()), workers=workers, shown=shown)
    manifests = {}
    for split, part in parts.items():
        there = [record for record in part.records if jobs[record.path].target.is_dir()]
        moved = tuple(_moved(record, jobs[record.path].target) for record in there)
        manifests[split] = replace(part, records=moved, packets=None)
        manifests[split].save(out / f"{split}.jsonl")
    stored = StoredFlow(
        written=done.written,
        skipped=done.skipped,
        manifests=manifests,
        records={split: len(part) for split, part in parts.items()},
    )
    _report(stored, parts, out)
    return stored


def flow_colours(flow: Tensor) -> Tensor:
    """Flow as people see it: (n, 2, H, W) uint8 -> (n, 3, H, W) uint8 RGB.

    White is at rest; the hue is the direction (red to the right), the strength the root of the
    speed, so that slow motion is seen too.
    """
    x, y = ((flow.float() - STILL) / (255 - STILL)).unbind(1)  # (n, H, W)
    strength = torch.hypot(x, y).clamp_max(1).sqrt()
    angle = torch.atan2(y, x)
    planes = [1 - strength * (1 - torch.cos(angle - 2 * math.pi * k / 3)) / 2 for k in range(3)]
    return (torch.stack(planes, dim=1) * 255).round_().byte()


def _jobs(records: Iterable[Record], out: Path, settings: FlowSettings) -> dict[Path, Job]:
    """One job per video; folders lie below `out` as the videos do below what they share."""
    paths = sorted({record.path for record in records}, key=str)
    places = {path: _place(path) for path in paths}
    shared = os.path.commonprefix([place[:-1] for place in places.values()])  # works on lists too
    jobs: dict[Path, Job] = {}
    taken: dict[Path, Path] = {}
    for path, place in places.items():
        name = Path(*place[len(shared) :])
        if name.suffix.lower() in VIDEO_ENDINGS:
            name = name.with_suffix("")
        jobs[path] = Job(source=path, target=out / name, settings=settings)
        for folder in (name, *name.parents):
            other = taken.get(folder, path)
            if places[other] != place:
                raise ValueError(
                    f"the flow of {other} and {path} would both go to {out / folder}; rename one "
                    "of them"
                )
        taken[name] = path
    return jobs


def _place(path: Path) -> list[str]:
    """The parts of a path without links to folders, or of a URL."""
    if isinstance(path, RemotePath):
        return str(path).split("/")
    return (path.parent.resolve() / path.name).as_posix().split("/")


def _moved(record: Record, path: Path) -> Record:
    return Record(record.id, path, record.labels, record.start, record.end, record.group)


def _about(source: Path) -> dict[str, str | int]:
    """What tells a video from another one of the same name."""
    size = sum(1 for _ in source.iterdir()) if source.is_dir() else source.stat().st_size
    return {"name": source.name, "size": size}


def _check_source(job: Job) -> None:
    """Refuses flow that is there already and of another video, or from elsewhere."""
    if not job.target.exists():
        return
    file = job.target / TIMES_FILE
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not what kinema data flow writes ({type(error).__name__}: {error}); choose "
            "another folder, or delete this one"
        ) from None
    try:
        found = _about(job.source)
    except OSError:
        return  # the flow of a video that is gone is still its flow
    if stored != found:
        raise ValueError(
            f"{job.target} holds the flow of another video ({stored}, {job.source} is {found}); "
            "choose another folder, or delete this one"
        )


def _write(job: Job) -> Written:
    """The work of one process."""
    try:
        before = _about(job.source)["size"]
        with atomic_folder(job.target) as temporary:
            frames = _compute(job, temporary)
            after = sum(file.stat().st_size for file in temporary.iterdir())
    except (VideoError, OSError) as error:
        return Written(source=job.source, error=str(error))
    return Written(source=job.source, frames=frames, bytes_before=int(before), bytes_after=after)


def _compute(job: Job, folder: Path) -> int:
    """Writes the pictures and times of one video; returns the number of its frames."""
    record, settings = Record(job.source.name, job.source, None), job.settings
    estimator, cv2 = FlowEstimator(settings.method), load_opencv()
    options = [cv2.IMWRITE_JPEG_QUALITY, settings.quality]
    short_side = min(settings.short_side, native_side(record))
    with closing(open_reader(record, short_side=short_side)) as reader:
        check_pairs(job.source, len(reader))
        first = None
        for number, frame in enumerate(every_frame(reader)):
            second = estimator.grey(frame)
            if first is not None:
                if first.shape != second.shape:
                    cause = f"has the shape {second.shape}, the frame before it {first.shape}"
                    raise VideoError(job.source, number, cause)
                try:
                    planes = quantise(estimator(first, second), settings.bound)
                except ValueError as error:
                    raise VideoError(job.source, number, str(error)) from error
                for plane, name in zip(planes, "xy", strict=True):
                    _, data = cv2.imencode(".jpg", plane, options)
                    (folder / f"flow_{name}_{number:05d}.jpg").write_bytes(data.tobytes())
            first = second
        seconds = [round(float(t), 6) for t in reader.times(range(len(reader)))]
        about = {"fps": reader.fps, "seconds": seconds, "source": _about(job.source)}
    (folder / TIMES_FILE).write_text(json.dumps(about) + "\n", encoding="utf-8")
    return len(seconds)


def _report(stored: StoredFlow, parts: Mapping[str, Manifest], out: Path) -> None:
    """Which records are left out, and how many, for the note of a run that trains on the rest."""
    reasons = {one.source: one.error for one in stored.failed}
    counts = {
        split: {"before": count, "after": len(stored.manifests[split])}
        for split, count in stored.records.items()
    }
    with atomic(out / COUNTS_FILE) as temporary:
        temporary.write_text(json.dumps({"splits": counts}, indent=1) + "\n", encoding="utf-8")
    with (
        atomic(out / DROPPED_FILE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("split", "id", "path", "reason"))
        for split, part in parts.items():
            for record in part.records:
                if record.path in reasons:
                    writer.writerow((split, record.id, record.path, reasons[record.path]))
