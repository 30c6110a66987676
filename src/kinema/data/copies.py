"""Work that turns every video into something else on disk: transcoded copies, optical flow.

One folder holds what was made with one set of settings, each result is whole or not there, a run
that was stopped goes on with what is missing, and a bad video is reported while the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor

from ..files import atomic
from ..plain import to_plain
from ..progress import Progress
from ..types import JSON, Record
from .processes import spread
from .readers import Reader, open_reader

CHUNK = 256  # frames in memory at a time


class CopyJob(Protocol):
    """One video: where it is and where its result goes."""

    @property
    def source(self) -> Path:
        """The video."""
        ...

    @property
    def target(self) -> Path:
        """The file or folder to be made of it."""
        ...


Job = TypeVar("Job", bound=CopyJob)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of one video; `error` is empty where there is a result."""

    source: Path
    frames: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a run did.

    Attributes:
        written: the videos of this run, done or failed, by name.
        skipped: how many results were there already.
    """

    written: tuple[Written, ...]
    skipped: int

    @property
    def failed(self) -> tuple[Written, ...]:
        """The videos without a result."""
        return tuple(one for one in self.written if one.error)


def claim(settings: object, file: Path, other: str) -> None:
    """Stores the settings in a folder, or finds the same ones there.

    Args:
        settings: what has a plain form.
        file: of the settings, in the folder that they are of.
        other: what the folder holds if they differ, for the error.

    Raises:
        ValueError: for a folder with results of other settings.
    """
    wanted = to_plain(settings)
    if file.exists():
        found: JSON = json.loads(file.read_text(encoding="utf-8"))
        if found != wanted:
            raise ValueError(
                f"{file.parent} holds {other} ({found}, asked for is {wanted}); choose another "
                "folder, or delete this one"
            )
    with atomic(file) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


def copy_all(
    what: str,
    work: Callable[[Job], Written],
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    shown: bool = True,
) -> Copied:
    """Does the jobs whose target is not there yet.

    Args:
        what: shown in front of the progress.
        work: a function of a module, run in another process; what it raises ends everything.
        jobs: all of them.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.
    """
    missing = [job for job in jobs if not job.target.exists()]
    written: list[Written] = []
    with (
        Progress(what, len(missing), shown=shown and bool(missing)) as progress,
        closing(spread(work, missing, workers=workers, crashed=_crashed)) as results,
    ):
        failed = 0
        for one in results:
            written.append(one)
            failed += bool(one.error)
            progress.advance(note=f"{failed} failed" if failed else "")
    return Copied(
        written=tuple(sorted(written, key=lambda one: str(one.source))),
        skipped=len(jobs) - len(missing),
    )


def native_side(record: Record) -> int:
    """The short side of a video as it is stored, in pixels."""
    with closing(open_reader(record)) as reader:
        height, width = reader.read([0]).shape[2:]
    return int(min(height, width))


def every_frame(reader: Reader) -> Iterator[Tensor]:
    """All frames, one after the other: (C, H, W) uint8."""
    for begin in range(0, len(reader), CHUNK):
        yield from reader.read(range(begin, min(begin + CHUNK, len(reader))))


def _crashed(job: CopyJob) -> Written:
    return Written(source=job.source, error=f"{job.source}: the decoder crashed on it")
