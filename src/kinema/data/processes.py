"""Work on many files in several processes, where one file must not end the work on the others."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

JOBS_AHEAD = 4  # per process: enough to keep it busy, few enough to be repeated after a crash


def spread(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int | None = None,
    crashed: Callable[[Job], Result],
) -> Generator[Result, None, None]:
    """The results of `work`, in the order in which they are ready.

    A process can die inside a decoder. Then the jobs that were under way are repeated one at a
    time, each in a process of its own, so that only the guilty one is lost.

    Args:
        work: a function of a module, run in another process; what it raises ends everything.
        jobs: what it is run on.
        workers: processes; None: one per core; 0: all in this one.
        crashed: the result of a job whose process died.

    Raises:
        ValueError: for a number of workers below 0.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers={workers} must be 0 or more")
    count = _cores() if workers is None else workers
    waiting = deque(jobs)
    if count == 0:
        yield from (work(job) for job in waiting)
        return
    while waiting:
        running: dict[Future[Result], Job] = {}
        pool = ProcessPoolExecutor(count, initializer=_start)
        try:
            while waiting or running:
                while waiting and len(running) < JOBS_AHEAD * count:
                    job = waiting.popleft()
                    running[pool.submit(work, job)] = job
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    del running[future]
                    yield result
        except BrokenProcessPool:
            for job in running.values():
                yield _alone(work, job, crashed)
        finally:
            pool.shutdown(cancel_futures=True)


def _alone(work: Callable[[Job], Result], job: Job, crashed: Callable[[Job], Result]) -> Result:
    with ProcessPoolExecutor(1, initializer=_start) as pool:
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            return crashed(job)


def _start() -> None:
    """One thread per process; an interrupt is the parent's business, and its end is this one's."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed asks nobody to end; its processes would wait for jobs for ever."""
    parent = parent_process()
    assert parent is not None, "only processes that were started here come here"
    parent.join()
    os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
