"""What runs in a loader's processes: whole batches from their keys, and a note of what is read."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..types import Batch, Sample
from .mixing import Mixing
from .order import EpochOrder
from .readers import VideoError
from .unread import OnError, Unread

if TYPE_CHECKING:
    from .loader import VideoDataset

Key: TypeAlias = tuple[int, ...]
"""(epoch, index); for a video in another's place (epoch, index, that one's index, draw)."""

MIX_STREAM = 2  # keeps the random streams of one seed apart; `order` has 1 and 3
DRAWS = 20  # other videos that are tried in the place of an unreadable one
IDLE = -1


class Reading:
    """Which video each process of a loader is reading, in memory that all of them share.

    A hanging or dying process says nothing any more; this tells the file all the same.

    Args:
        workers: processes; 0: the loader's own.
    """

    def __init__(self, workers: int) -> None:
        # per process: its number, the index whose place in a batch is filled, the index being read
        self._table = torch.full((max(1, workers), 3), IDLE, dtype=torch.int64)
        if workers:
            self._table.share_memory_()

    def note(self, wanted: int, read: int) -> None:
        """To be called in a worker before it opens a video; `IDLE` twice: it has none open."""
        worker = get_worker_info()
        row = self._table[worker.id if worker else 0]
        row[0], row[1], row[2] = os.getpid(), wanted, read

    def for_batch(self, indices: Collection[int]) -> list[int]:
        """Videos being read for a batch of these indices."""
        return [read for _, wanted, read in self._table.tolist() if wanted in indices]

    def by_process(self, processes: Collection[int]) -> list[int]:
        """Videos being read by processes of these numbers."""
        rows = self._table.tolist()
        return [read for process, _, read in rows if process in processes and read != IDLE]


@dataclass
class Fetched:
    """A batch on its way to the loader; None where none of its videos could be read."""

    batch: Batch | None
    unread: list[Unread]

    def pin_memory(self) -> Fetched:
        """Called by torch's loader where a GPU is fed."""
        return Fetched(self.batch and self.batch.pin_memory(), self.unread)


class Fetch(Dataset[object]):
    """Makes whole batches from their keys.

    With `on_error=raise` the error of a video travels as a value, so that it arrives with its parts
    and without a worker's trace. With `skip`, an unreadable video is left out in testing. In
    training another one takes its place: the first readable one of those that the order draws from
    (seed, epoch, index, number of the draw). So batches keep their size, and which video it is does
    not depend on the processes or on what was read before.

    Args:
        dataset: where samples come from.
        collate: stacks samples.
        order: of the epochs; it draws the videos that take the place of others.
        mixing: mixes the clips of a batch.
        on_error: what an unreadable video does.
        reading: where to note what is read.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        collate: Callable[[Sequence[Sample]], Batch],
        order: EpochOrder,
        *,
        mixing: Mixing | None,
        on_error: OnError,
        reading: Reading,
    ) -> None:
        self.dataset, self.mixing, self.on_error = dataset, mixing, on_error
        self._collate, self._order, self._reading = collate, order, reading

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> object:
        return self.dataset[index]

    def __getitems__(self, keys: list[Key]) -> Fetched | VideoError:
        unread: list[Unread] = []
        try:
            samples = [self._sample(key, unread) for key in keys]
        except VideoError as error:
            return error
        finally:
            self._reading.note(IDLE, IDLE)
        read = [sample for sample in samples if sample is not None]
        if not read:
            return Fetched(None, unread)
        batch = self._collate(read)
        if self.mixing is not None:
            words = [number for key in keys for number in key]
            rng = np.random.default_rng((self._order.seed, MIX_STREAM, *words))
            batch = self.mixing(batch, rng)
        return Fetched(batch, unread)

    def _sample(self, key: Key, unread: list[Unread]) -> Sample | None:
        """The sample of a key, or of the one in its place; None: it is left out."""
        try:
            return self._read(key, key)
        except VideoError as error:
            if self.on_error == "raise":
                raise
            failed = [(key, error)]
        if not self._order.shuffle:
            unread += self._told(failed)
            return None
        epoch, index = key
        for draw in range(1, DRAWS + 1):
            other = (epoch, self._order.instead(epoch, index, draw), index, draw)
            try:
                sample = self._read(key, other)
            except VideoError as error:
                failed.append((other, error))
                continue
            unread += self._told(failed, instead=sample.id)
            return sample
        first = failed[0][1]
        cause = f"{first.cause}; nor can {DRAWS} videos drawn in its place be read"
        raise VideoError(first.path, first.frame, cause)

    def _read(self, wanted: Key, key: Key) -> Sample:
        self._reading.note(wanted[1], key[1])
        return self.dataset[key]

    def _told(self, failed: Sequence[tuple[Key, VideoError]], *, instead: str = "") -> list[Unread]:
        records = self.dataset.manifest.records
        return [
            Unread(id=records[key[1]].id, cause=str(error), instead=instead)
            for key, error in failed
        ]


def whole(item: object) -> object:
    """Batches arrive whole; there is nothing to collate."""
    return item


def start_worker(worker: int) -> None:
    """One thread per process; a signal to the whole group is the parent's business.

    A parent that is gone ends its workers by itself: torch's look after it.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()


def end_workers(batches: object) -> None:
    """Ends the processes of torch's iterator after one of them has died or hangs.

    While a dead one is on torch's list, torch raises its error again at the end of every other
    process, wherever the program is by then. The iterator lives as long as somebody keeps the
    traceback, so it is told; meanwhile nobody listens to ends of processes.
    """
    main = threading.current_thread() is threading.main_thread()
    listening = main and hasattr(signal, "SIGCHLD")
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if listening else None
    try:
        getattr(batches, "_shutdown_workers", lambda: None)()
    finally:
        if listening:
            signal.signal(signal.SIGCHLD, before)


def _obey(parent: int) -> None:
    """Ends the process when the parent asks for it, and nobody else."""
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            continue
        os._exit(0)
