"""One look at a video: whether every frame can be decoded, and what kind of video it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..plain import from_plain, to_plain
from ..progress import Progress
from ..types import Modality, Record
from .likeness import code_of, look_indices
from .processes import spread
from .readers import (
    PACKETS_FILE,
    IndexCache,
    IndexEntry,
    Reader,
    VideoError,
    index_cache,
    is_flow_folder,
    open_reader,
    write_indexes,
)

SIDE = 36  # pixels of the short side: enough for the hash of a frame, little memory for thousands
CHUNK = 1024  # frames in memory at a time


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one record after its video was decoded to the last frame.

    Attributes:
        frames: that the stretch has; with an error, that could be decoded before it.
        fps: frames per second.
        seconds: from the first frame to the end of the last one.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        bytes: of the file.
        code: the look of a few frames, see `likeness`; empty with an error.
        error: why it cannot be used; empty: every frame is there.
    """

    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    bytes: int = 0
    code: tuple[int, ...] = ()
    error: str = ""


def examine(record: Record, indexes: IndexCache | None = None) -> Facts:
    """Decodes every frame of a record with the reader that reports damage, PyAV's.

    Args:
        record: the video and the stretch of it that counts.
        indexes: gets the video's packet index.
    """
    indexes = indexes or index_cache()
    facts = Facts(bytes=_bytes(record.path))
    try:
        kind: Modality = "flow" if is_flow_folder(record.path) else "rgb"
        with closing(open_reader(record, kind, cache=indexes)) as reader:
            facts = replace(facts, frames=len(reader), fps=reader.fps)
            height, width = reader.read([0]).shape[2:]
        facts = replace(facts, width=int(width), height=int(height))
        with closing(open_reader(record, kind, short_side=SIDE, cache=indexes)) as reader:
            first, last = reader.times([0, len(reader) - 1])
            code = _decode_all(reader)
        seconds = float(last - first) + 1 / facts.fps
        return replace(facts, seconds=seconds, code=code)
    except VideoError as error:
        return replace(facts, frames=error.frame or 0, error=str(error))
    except Exception as error:  # whatever a file does to its decoder is what is looked for
        cause = f"{record.path}: {type(error).__name__}: {error}"
        return replace(facts, frames=0, error=cause)


def examine_all(
    records: Sequence[Record], cache: Path, *, workers: int | None = None, shown: bool = True
) -> list[Facts]:
    """The facts of every record; what was looked at before is not decoded again.

    The packet indexes of the videos are written beside the results, for readers that follow.

    Args:
        records: of any splits.
        cache: a file of JSON lines that grows with every result. A result counts as long as path,
            size and time of change of the file and the stretch are the same.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.
    """
    known = _read_cache(cache)
    keys = [_key(record) for record in records]
    todo = {key: record for key, record in zip(keys, records, strict=True) if key not in known}
    cache.parent.mkdir(parents=True, exist_ok=True)
    indexes: list[IndexEntry] = []
    with (
        cache.open("a", encoding="utf-8") as file,
        Progress("check", len(todo), shown=shown and bool(todo)) as progress,
        closing(spread(_work, todo.items(), workers=workers, crashed=_crashed)) as results,
    ):
        failed = 0
        try:
            for key, facts, found in results:
                known[key] = facts
                indexes += found
                file.write(json.dumps({"key": key, "facts": to_plain(facts)}) + "\n")
                file.flush()
                failed += bool(facts.error)
                progress.advance(note=f"{failed} unreadable" if failed else "")
        finally:  # also of a pass that is stopped
            if indexes:
                write_indexes(cache.with_name(PACKETS_FILE), indexes)
    return [known[key] for key in keys]


def _decode_all(reader: Reader) -> tuple[int, ...]:
    looks = look_indices(len(reader))
    seen = {}
    for begin in range(0, len(reader), CHUNK):
        indices = range(begin, min(begin + CHUNK, len(reader)))
        frames = reader.read(indices)  # (n, C, H, W)
        seen.update({i: frames[i - begin : i - begin + 1] for i in looks if i in indices})
    return tuple(int(code_of(seen[i])[0]) for i in looks)


def _work(job: tuple[str, Record]) -> tuple[str, Facts, list[IndexEntry]]:
    key, record = job
    indexes = index_cache()
    facts = examine(record, indexes)
    return key, facts, indexes.entries()


def _crashed(job: tuple[str, Record]) -> tuple[str, Facts, list[IndexEntry]]:
    key, record = job
    error = f"{record.path}: the decoder crashed on it"
    return key, Facts(bytes=_bytes(record.path), error=error), []


def _key(record: Record) -> str:
    path = record.path.resolve()
    try:
        about = path.stat()
    except OSError:
        return f"{path} is not there"
    stretch = (record.start, record.end)
    return json.dumps([str(path), about.st_size, about.st_mtime_ns, *stretch])


def _bytes(path: Path) -> int:
    try:
        files = path.iterdir() if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0


def _read_cache(path: Path) -> dict[str, Facts]:
    """Results of earlier passes; a line that a stopped pass left unfinished is passed over."""
    known: dict[str, Facts] = {}
    if not path.exists():
        return known
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, Mapping):
            known[str(entry["key"])] = from_plain(Facts, entry["facts"])
    return known
