"""Memory stays flat: open, read, close, thousands of times, in this process and in workers.

A few hundred reads here; `pytest tests/data/test_soak.py --soak -s` does 20,000 of each and prints
the resident memory along the way.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kinema.data import Augment, Manifest, VideoError, build_loader, train_dataset
from kinema.data.readers import open_reader
from kinema.types import InputSpec, Record

from .conftest import numbered_frames, write_pictures, write_video

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SPEC = InputSpec(frames=4, resize=48, crop=48)
FEW, SHORT, LONG = 40, 300, 20_000
POINTS = 10  # measurements along the way; the first fifth of the reads is for warming up
SHORT_MIB, LONG_MIB = 6.0, 16.0  # growth that is allowed: allocators keep some pages


@pytest.fixture(scope="module")
def reads(request: pytest.FixtureRequest) -> int:
    return LONG if request.config.getoption("--soak") else SHORT


@pytest.fixture(scope="module")
def limit(reads: int) -> float:
    return LONG_MIB if reads == LONG else SHORT_MIB


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """One tiny video of each kind that takes its own way through the readers."""
    root = tmp_path_factory.mktemp("kinds")
    frames = numbered_frames(16)
    records = [
        Record("h264", write_video(root / "h264.mp4", frames, options={"g": "4"}), 0),
        Record("b-frames", write_video(root / "b.mkv", frames, options={"bf": "2"}), 1),
        Record("mpeg4", write_video(root / "mpeg4.avi", frames, codec="mpeg4"), 0),
        Record("vp8", write_video(root / "vp8.webm", frames, codec="libvpx"), 1),
        Record("pictures", write_pictures(root / "pictures", frames), 0),
        Record("stretch", root / "h264.mp4", 1, 0.2, 0.5),
        Record("damaged", root / "damaged.mp4", 0),
        Record("cut", root / "cut.mkv", 1),
    ]
    records[6].path.write_bytes(b"no video at all")
    whole = records[1].path.read_bytes()
    records[7].path.write_bytes(whole[: len(whole) * 2 // 3])
    return Manifest("kinds", ("a", "b"), tuple(records))


def resident(process: int) -> float:
    """MiB of memory that a process has."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def trim() -> None:
    """Gives back what earlier tests freed; a leak would go unseen as long as it fits in there."""
    with suppress(AttributeError):  # of libraries other than GNU's
        ctypes.CDLL(None).malloc_trim(0)


def growth(steps: Iterator[int], reads: int, measure: Callable[[], list[float]]) -> float:
    """MiB that the most growing process gained between the warm-up and the end.

    Args:
        steps: reads done so far, as they are done.
        reads: how many there shall be.
        measure: MiB of every process.
    """
    marks = [reads // 5 + (reads - reads // 5) * i // POINTS for i in range(POINTS + 1)]
    seen: list[tuple[int, list[float]]] = []
    for done in steps:
        if done >= marks[len(seen)]:
            gc.collect()
            trim()
            seen.append((done, measure()))
        if len(seen) == len(marks):
            break
    for done, values in seen:
        text = ", ".join(f"{value:.1f}" for value in values)
        sys.stdout.write(f"{done:>7} reads: {text} MiB\n")
    return max(last - first for first, last in zip(seen[0][1], seen[-1][1], strict=True))


def read_all(manifest: Manifest, reads: int) -> Iterator[int]:
    dataset = train_dataset(manifest, SPEC, Augment(), seed=0)
    for done in range(reads + 1):
        with suppress(VideoError):  # of the two that are damaged
            dataset[(done // len(manifest), done % len(manifest))]
        yield done


def test_memory_stays_flat(kinds: Manifest, reads: int, limit: float) -> None:
    assert growth(read_all(kinds, reads), reads, lambda: [resident(os.getpid())]) < limit


def test_memory_stays_flat_in_workers(kinds: Manifest, reads: int, limit: float) -> None:
    dataset = train_dataset(kinds, SPEC, Augment(), seed=0)
    loader = build_loader(dataset, batch=4, workers=2, shuffle=True, on_error="skip")

    def steps() -> Iterator[int]:
        done = 0
        for epoch in range(reads):
            for batch in loader.epoch(epoch):
                done += len(batch.ids)
                yield done

    def measure() -> list[float]:
        workers = sorted(child.pid for child in multiprocessing.active_children() if child.pid)
        assert len(workers) == 2
        return [resident(process) for process in (os.getpid(), *workers)]

    try:
        assert growth(steps(), reads, measure) < limit
    finally:
        loader.close()


def test_a_leak_would_be_seen(kinds: Manifest) -> None:
    kept = []

    def leak() -> Iterator[int]:
        for done in range(FEW + 1):
            reader = open_reader(kinds.records[0], short_side=48)
            reader.read([0, 5])
            kept.append(reader)
            yield done

    assert growth(leak(), FEW, lambda: [resident(os.getpid())]) > SHORT_MIB
