"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

console = Console(stderr=True)
PLAIN_SECONDS = 10.0


class Progress:
    """Counts `total` units of work named `what`.

    A bar with the remaining time on a terminal; where standard error is a file or a pipe, a line
    every ten seconds and one at the end.

    Args:
        what: shown in front, e.g. "train 3/25".
        total: units; None: not known.
        shown: False keeps it silent (ranks other than the first).
    """

    def __init__(self, what: str, total: int | None, *, shown: bool = True) -> None:
        self.what, self.total, self.shown = what, total, shown
        self.done, self.note = 0, ""
        self._started = self._spoken = time.monotonic()
        self._bar: Bar | None = None
        if shown and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Bar(
                *columns, TextColumn("{task.fields[note]}"), console=console, transient=True
            )
            self._task = self._bar.add_task(what, total=total, note="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        if self.shown and kind is None:
            self._say()

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` replaces the text behind the bar."""
        self.done, self.note = self.done + count, note or self.note
        if self._bar:
            self._bar.update(self._task, advance=count, note=self.note)
        elif self.shown and time.monotonic() - self._spoken > PLAIN_SECONDS:
            self._say()

    def _say(self) -> None:
        self._spoken = time.monotonic()
        total = "" if self.total is None else f"/{self.total}"
        seconds = self._spoken - self._started
        text = f"{self.what}: {self.done}{total} in {seconds:.0f} s  {self.note}".rstrip()
        console.print(text, markup=False, highlight=False, soft_wrap=True)
