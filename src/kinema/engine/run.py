"""The run folder: what a run leaves behind, and what it needs to go on after it was stopped."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from ..files import atomic
from ..plain import from_plain, to_plain
from ..progress import console
from ..types import JSON
from .config import Recipe, save_recipe
from .runtime import Runtime

FORMAT = 1
ROW = (
    "phase", "epoch", "step", "lr", "train_loss", "train_top1", "val_loss", "val_top1", "val_top5",
    "val_mean_class", "val_mean_ap", "clips_per_s", "data_share",
)  # fmt: skip
SEVERAL = "val_mean_ap"  # a column of runs over videos with several labels only
FREE_KEYS = ("name", "workers", "save_every", "tensorboard", "on_error", "max_skipped")
"""Parts of a recipe that may change between a run and its continuation: they decide no number.

The last two decide what follows an unreadable video, and there is none in a run that ended at the
first: so it can be resumed with `on_error=skip`.
"""

Row = dict[str, JSON]


@dataclass
class Sums:
    """What is added up between two rows of metrics.csv, on one process."""

    loss: float = 0.0
    hits: float = 0.0
    clips: float = 0.0
    waiting: float = 0.0
    seconds: float = 0.0


@dataclass
class Place:
    """How far a run has come.

    phase, epoch within it and step within that are finished and count from zero; total counts
    optimizer steps. best is (val top-1, minus val loss) of the saved model. unread has, for each
    split, the videos that could not be read: id -> what is known of it; the same on every process.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total: int = 0
    lr: float = 0.0
    best: tuple[float, float] | None = None
    history: list[Row] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)
    seconds: float = 0.0
    unread: dict[str, dict[str, Row]] = field(default_factory=dict)


# `Any` below: a saved state is tensors and primitives, nested as torch's own state_dicts are.
State = dict[str, Any]


class RunFolder:
    """One run's folder. Only the first process writes; every method may be called on all.

    Args:
        path: the folder.
        runtime: says which process this is.
        tensorboard: also write event files.
    """

    def __init__(self, path: Path, runtime: Runtime, *, tensorboard: bool = False) -> None:
        self.path = path
        self.model = path / "model.safetensors"
        self.last = path / "last.safetensors"
        self.resume = path / "resume.pt"
        self.recipe = path / "recipe.yaml"
        self.metrics = path / "metrics.csv"
        self.log = path / "log.jsonl"
        self.scores = path / "scores.parquet"
        self.card = path / "card.json"
        self._runtime = runtime
        self._writer = _event_writer(path) if tensorboard and runtime.first else None

    def look(self, recipe: Recipe, fingerprint: Mapping[str, str], resume: bool) -> State | None:
        """Whether the folder is free for a new run, or the state of the run in it; writes nothing.

        Returns:
            What `save_state` wrote last; None: start from the beginning.

        Raises:
            FileExistsError: if there is a run and `resume` is False.
            FileNotFoundError: if there is none and `resume` is True.
            ValueError: if the run in it has another recipe or other data; names what differs.
        """
        # The first process decides, before it has written, so that all of them see the same folder.
        found = self._runtime.gather(
            (self.recipe.exists() or self.log.exists(), self.resume.exists())
        )
        occupied, saved = found[0]
        if occupied and not resume:
            raise FileExistsError(
                f"{self.path} already holds a run; go on with resume, or choose another folder"
            )
        if resume and not occupied:
            raise FileNotFoundError(f"{self.path} holds no run to resume; start it without resume")
        if not saved:
            return None
        state = cast(State, torch.load(self.resume, map_location="cpu", weights_only=True))
        _compare(state, recipe, fingerprint, self.path)
        return state

    def claim(self, recipe: Recipe) -> None:
        """Takes the folder, for a run that can begin."""
        if self._runtime.first:
            self._mend_log()
            if not self.resume.exists():
                save_recipe(recipe, self.recipe)

    def say(self, text: str) -> None:
        """A line for people, on the terminal and in the log."""
        if self._runtime.first:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            self.note("say", text=text)

    def note(self, event: str, **values: JSON) -> None:
        """A line for programs, in log.jsonl."""
        if not self._runtime.first:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values})
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _mend_log(self) -> None:
        """Ends a line that a killed run left half written."""
        if self.log.exists() and self.log.read_bytes()[-1:] not in (b"", b"\n"):
            with self.log.open("a", encoding="utf-8") as file:
                file.write("\n")

    def write_metrics(self, history: Sequence[Row]) -> None:
        """metrics.csv, whole: after a resume, rows of lost steps are gone."""
        if not self._runtime.first:
            return
        with atomic(self.metrics) as temporary, temporary.open("w", newline="") as file:
            several = any(SEVERAL in row for row in history)
            writer = csv.DictWriter(file, [name for name in ROW if several or name != SEVERAL])
            writer.writeheader()
            writer.writerows(history)
        if self._writer and history:
            for name, value in history[-1].items():
                if value is not None:
                    self._writer.add_scalar(name, value, history[-1]["step"])
            self._writer.flush()

    def save_state(
        self, place: Place, recipe: Recipe, fingerprint: Mapping[str, str], **parts: Any
    ) -> None:
        """resume.pt: tensors and primitives only, so that it loads without running code."""
        if not self._runtime.first:
            return
        state = {
            "format": FORMAT,
            "recipe": to_plain(recipe),
            "fingerprint": dict(fingerprint),
            "place": asdict(place),
            **parts,
        }
        with atomic(self.resume) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def write_card(self, card: Mapping[str, JSON]) -> None:
        """card.json: all that is needed to judge and repeat the run."""
        if not self._runtime.first:
            return
        with atomic(self.card) as temporary:
            temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def restored_place(state: State, *, first: bool) -> Place:
    """The place in a saved state; the sums of all processes go on in the first one."""
    plain = dict(state["place"])
    return Place(**{**plain, "sums": Sums(**plain["sums"]) if first else Sums()})


def _compare(state: State, recipe: Recipe, fingerprint: Mapping[str, str], path: Path) -> None:
    if state.get("format") != FORMAT:
        raise ValueError(
            f"{path}/resume.pt has format {state.get('format')}, this version reads {FORMAT}"
        )
    # through the class, so that a field that is newer than the state has its default
    before, now = flatten(to_plain(from_plain(Recipe, state["recipe"]))), flatten(to_plain(recipe))
    before |= {f"data.{k}": v for k, v in state["fingerprint"].items()}
    now |= {f"data.{k}": v for k, v in fingerprint.items()}
    differing = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in FREE_KEYS
    ]
    if differing:
        raise ValueError(
            f"{path} cannot be resumed with another recipe or other data: {'; '.join(differing)}"
        )


def flatten(plain: JSON, prefix: str = "") -> dict[str, JSON]:
    """Nested plain data as dotted path -> value."""
    if isinstance(plain, dict):
        items = plain.items()
    elif isinstance(plain, list):
        items = {str(i): v for i, v in enumerate(plain)}.items()
    else:
        return {prefix: plain}
    flat: dict[str, JSON] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else key)
    return flat


def _event_writer(path: Path) -> Any:
    """A SummaryWriter; typed loosely, as the package is optional."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "tensorboard=true needs it installed: pip install 'kinema[log]'"
        ) from error
    return SummaryWriter(str(path / "tensorboard"))
