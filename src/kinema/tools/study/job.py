"""One run of a study as plain data, and the files that it leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.config import Recipe
from ...engine.temporal import ORDERS, Order, score_files
from ...files import atomic
from ...plain import from_plain, to_plain
from .file import Case, slug
from .sources import Bounds

JOB_FILE = "job.json"
RESULT_FILE = "result.json"
ERROR_FILE = "error.txt"
ORDERS_TITLE = "{} clips"  # the test conditions of `temporal: true`


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a study and its tests, as plain data: what a process of its own is given.

    Attributes:
        study: its name.
        given: the data as the study names it.
        data: the data's title.
        path: what `load_data` takes.
        definition: of a motion benchmark; "": none.
        version: of the definition.
        model: the model's title.
        overrides: of the recipe, common ones first.
        budget: in words; "": the recipe's own length.
        recipe: complete, with the seed.
        recipe_hash: of everything in it but the seed and what decides no number.
        phase_steps: optimizer steps of each phase.
        train_gmacs: of the whole training, backward passes counted as two forward passes.
        tests: name -> case.
        bounds: name -> what is known about that test.
        temporal: whether to test on reversed, shuffled and frozen clips too.
        fingerprint: of the splits and, as `test NAME`, of the videos of each test.
    """

    study: str
    given: str
    data: str
    path: str
    definition: str
    version: int
    model: str
    overrides: tuple[str, ...]
    budget: str
    recipe: Recipe
    recipe_hash: str
    phase_steps: tuple[int, ...]
    train_gmacs: float
    tests: Mapping[str, Case]
    bounds: Mapping[str, Bounds]
    temporal: bool
    fingerprint: Mapping[str, str]

    @property
    def name(self) -> str:
        """Data, model and seed, for people."""
        return f"{self.data} | {self.model} | seed {self.recipe.seed}"

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return sum(self.phase_steps)

    @property
    def clips(self) -> int:
        """Training clips that are looked at, all steps together."""
        phases = zip(self.recipe.phases, self.phase_steps, strict=True)
        return sum(phase.batch * steps for phase, steps in phases)

    @property
    def folder(self) -> Path:
        """Of the run, below that of the study."""
        return Path("runs") / self.data / slug(self.model) / f"seed{self.recipe.seed}"

    def save(self, folder: Path) -> None:
        """Writes `job.json` into the run's folder."""
        with atomic(folder / JOB_FILE) as temporary:
            temporary.write_text(json.dumps(to_plain(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Reads what `save` wrote."""
        return from_plain(cls, read_json(folder / JOB_FILE))


def read_json(path: Path) -> dict[str, Any]:
    """What a file of a run's folder holds.

    Raises:
        ValueError: where it is missing, or holds something else than it was written with.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is missing or damaged ({error}); delete {path.parent} to repeat the run"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged; delete {path.parent} to repeat the run")
    return found


def test_names(job: Job) -> tuple[str, ...]:
    """The tests of a job in order, those on clips in another order of frames last."""
    return (*job.tests, *(order_tests(job.tests) if job.temporal else ()))


def scores_file(job: Job, folder: Path, name: str) -> Path:
    """Where the scores of a test lie; those of the plain test are the run's own."""
    if job.tests.get(name) == Case():
        return folder / "scores.parquet"
    if job.temporal and name in (orders := order_tests(job.tests)):
        return score_files(folder)[orders[name]]
    return folder / "tests" / slug(name) / "scores.parquet"


def order_tests(tests: Mapping[str, Case]) -> dict[str, Order]:
    """Name of the test -> order of the frames; the normal one where no other test has it."""
    orders = ORDERS[1:] if Case() in tests.values() else ORDERS
    return {ORDERS_TITLE.format(order): order for order in orders}
