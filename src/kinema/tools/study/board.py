"""What of a study is going on: a line per run and one for the whole, or plain lines in a file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ...progress import console
from .job import Job
from .plan import Plan

PLAIN_SECONDS = 30.0


class Board:
    """Follows the runs by what they write into their logs.

    Args:
        plan: of the study; runs that are done count as done.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tails: dict[str, _Tail] = {}
        self._spoken = time.monotonic()
        self._bar: Bar | None = None
        self._tasks: dict[str, object] = {}
        if console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
            )  # fmt: skip
            steps = sum(job.steps for job in plan.jobs)
            self._whole = self._bar.add_task("all steps", total=steps, note="")

    def __enter__(self) -> Board:
        if self._bar:
            self._bar.start()
        self.look()
        self._say(self._sum())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self.look()
            self._bar.stop()

    def start(self, job: Job) -> None:
        """A run begins or goes on."""
        self._tails[job.name] = _Tail(self._plan.folder(job) / "log.jsonl", job.steps)
        if self._bar:
            self._tasks[job.name] = self._bar.add_task(job.name, total=job.steps, note="")

    def end(self, job: Job, reason: str) -> None:
        """A run has ended; reason: why it failed."""
        tail = self._tails.pop(job.name)
        if self._bar:
            self._bar.remove_task(self._tasks.pop(job.name))  # type: ignore[arg-type]
        done = self._plan.finished(job)
        what = "done" if done else f"failed: {reason}" if reason else f"stopped at {tail.text()}"
        self._say(f"{job.name}: {what}; {self._sum()}", always=True)

    def look(self) -> None:
        """Reads what is new in the logs, and shows it."""
        for tail in self._tails.values():
            tail.read()
        if self._bar:
            for name, task in self._tasks.items():
                tail = self._tails[name]
                self._bar.update(task, completed=tail.step, note=tail.note)  # type: ignore[arg-type]
            steps = 0
            for job in self._plan.jobs:
                tail_of_job = self._tails.get(job.name)
                under_way = tail_of_job.step if tail_of_job else 0
                steps += job.steps if self._plan.finished(job) else under_way
            self._bar.update(self._whole, completed=steps, note=self._sum())
        elif time.monotonic() - self._spoken > PLAIN_SECONDS:
            for name, tail in self._tails.items():
                self._say(f"{name}: {tail.text()}")

    def _sum(self) -> str:
        done = sum(self._plan.finished(job) for job in self._plan.jobs)
        return f"{done} of {len(self._plan.jobs)} runs done"

    def _say(self, text: str, *, always: bool = False) -> None:
        if always or not self._bar:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._spoken = time.monotonic()


class _Tail:
    """The newest step in a run's `log.jsonl`."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.steps = path, steps
        self.step, self.note, self._read = 0, "", 0

    def read(self) -> None:
        """Takes in the whole lines that are new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            block = file.read()
        whole = block[: block.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # half a line of a process that was killed, ended by the next one
                continue
            if event.get("event") == "step":
                self.step, self.note = int(event["step"]), f"loss {event['loss']:.3f}"
            elif event.get("event") == "end":
                self.step, self.note = self.steps, "tests"

    def text(self) -> str:
        """For a plain line."""
        return f"{self.step}/{self.steps} {self.note}".rstrip()
