"""The runs of a study as processes: some at a time, started, watched, stopped, gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from ...engine.runtime import StopRequest, choose_device, cores, stop_signals
from ...engine.session import Stopped
from ...files import atomic
from .board import Board
from .file import Study, save_study
from .job import ERROR_FILE, RESULT_FILE, Job
from .plan import MAX_WORKERS, Plan, make_plan
from .results import write_results

LOCK_FILE = "study.lock"
OUTPUT_FILE = "output.log"
POLL_SECONDS = 0.2
LOCK_SECONDS = 60.0  # within which the processes of a killed study have saved and ended
ERROR_LINES = 30
STOPPED = 130


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place where one run at a time goes on: its device and how many threads it has."""

    device: str
    gpu: str = ""
    threads: int = 1

    def environment(self) -> dict[str, str]:
        """Of a process in this place."""
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        return {**os.environ, **threads, "CUDA_VISIBLE_DEVICES": self.gpu}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a study: runs that are done, runs that failed with their last line, the page."""

    finished: int
    failed: dict[str, str]
    page: Path


def open_slots(device: str | None = None, jobs: int | None = None) -> tuple[Slot, ...]:
    """The places of a machine: one per GPU, or one per core with one thread each.

    Args:
        device: cpu, cuda or cuda:1; None: GPUs if there are any.
        jobs: how many instead; several share a GPU if there are more than GPUs.

    Raises:
        ValueError: for a device this machine does not have, and for no place at all.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs} must be at least 1")
    chosen = choose_device(device)
    if chosen.type == "cpu":
        return (Slot(device="cpu"),) * (jobs or cores())
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(i) for i in range(torch.cuda.device_count())]
    gpus = [visible[chosen.index or 0]] if device and ":" in device else visible
    count = jobs or len(gpus)
    threads = max(1, cores() // count)
    return tuple(
        Slot(device="cuda", gpu=gpus[i % len(gpus)], threads=threads) for i in range(count)
    )


def run_study(
    study: Study, out: Path, *, jobs: int | None = None, device: str | None = None
) -> Outcome:
    """Runs what of a study is not done yet; results and page are rewritten after every run.

    Args:
        study: what to compare.
        out: its folder; holds the runs, and is gone on with.
        jobs: runs at a time; None: one per GPU, or one per core.
        device: None: GPUs if there are any.

    Raises:
        ValueError: for whatever is wrong with the study, before the first run, and while another
            process works in the folder.
        Stopped: after Ctrl-C or SIGTERM, with the state of all runs saved.
    """
    slots = open_slots(device, jobs)
    share = cores() // len(slots)
    spare = share - 1 if slots[0].device == "cpu" else max(1, share)
    with _claimed(out) as lock:
        plan = make_plan(
            study, out, device=slots[0].device, workers=max(0, min(MAX_WORKERS, spare))
        )
        save_study(study, out / "study.yaml")
        for job in plan.jobs:
            job.save(plan.folder(job))
        page = write_results(plan, len(slots))
        with stop_signals() as stop, Board(plan) as board:
            failed = _run(plan, slots, lock, stop, board)
        finished = sum(plan.finished(job) for job in plan.jobs)
    if stop.asked:
        raise Stopped(
            f"stopped with {finished} of {len(plan.jobs)} runs done and the others saved in {out}; "
            "the same command goes on"
        )
    return Outcome(finished=finished, failed=failed, page=page)


@contextmanager
def _claimed(out: Path) -> Iterator[int | None]:
    """Keeps other processes off the folder while this one, or one that it started, is at work."""
    out.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield None
        return
    import fcntl

    with (out / LOCK_FILE).open("w") as file:
        waited = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - waited > LOCK_SECONDS:
                    raise ValueError(
                        f"{out} is being worked on by another process; wait for it, stop it, or "
                        "choose another --out"
                    ) from None
                time.sleep(POLL_SECONDS)
        yield file.fileno()


def _run(
    plan: Plan, slots: Sequence[Slot], lock: int | None, stop: StopRequest, board: Board
) -> dict[str, str]:
    """Runs the jobs that are not done; returns name -> last line of those that failed."""
    waiting = [job for job in plan.jobs if not plan.finished(job)]
    free, running = list(slots), list[_Running]()
    failed: dict[str, str] = {}
    try:
        while running or (waiting and not stop.asked):
            while waiting and free and not stop.asked:
                job, slot = waiting.pop(0), free.pop(0)
                running.append(_Running(plan, job, slot, lock=lock, jobs=len(slots)))
                board.start(job)
            if stop.asked:
                for one in running:
                    one.ask_to_stop()
            for one in [one for one in running if one.ended()]:
                running.remove(one)
                free.append(one.slot)
                reason = one.close(stopping=bool(stop.asked))
                if reason:
                    failed[one.job.name] = reason
                board.end(one.job, reason)
                write_results(plan, len(slots))
            board.look()
            time.sleep(POLL_SECONDS)
    finally:
        for one in running:  # after an exception; their state is saved on the way
            one.ask_to_stop()
    return failed


class _Running:
    """A run's process. It ends by itself when its standard input, held here, is closed."""

    def __init__(self, plan: Plan, job: Job, slot: Slot, *, lock: int | None, jobs: int) -> None:
        self.job, self.slot, self.folder = job, slot, plan.folder(job)
        self.asked = False
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ERROR_FILE).unlink(missing_ok=True)
        self.output: IO[bytes] = (self.folder / OUTPUT_FILE).open("ab")
        self.begun = self.output.tell()
        words = [sys.executable, "-m", f"{__package__}.process", str(self.folder)]
        self.process = subprocess.Popen(
            [*words, "--device", slot.device, "--jobs", str(jobs)],
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=slot.environment(),
            start_new_session=True,  # Ctrl-C is for this process, which tells the others
            pass_fds=() if lock is None else (lock,),
        )

    def ask_to_stop(self) -> None:
        """Once; a second request would end it before it has saved."""
        if not self.asked:
            self.asked = True
            self.process.terminate()

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def close(self, *, stopping: bool) -> str:
        """Why the run failed, in one line, with the last lines in `error.txt`; "": it did not."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.output.close()
        status = self.process.returncode
        if (self.folder / RESULT_FILE).exists() or (stopping and status in (STOPPED, -15)):
            return ""
        with (self.folder / OUTPUT_FILE).open("rb") as file:
            file.seek(self.begun)
            lines = file.read().decode(errors="replace").splitlines()
        said = [line for line in lines if line.strip()]
        cause = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
        text = "\n".join([*lines[-ERROR_LINES:], f"the process {cause}"])
        with atomic(self.folder / ERROR_FILE) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        return said[-1] if said and status > 0 else f"the process {cause}"
