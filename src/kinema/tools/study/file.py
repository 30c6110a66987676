"""What a study is, as plain data, and the YAML file it is read from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from ...engine.config import Phase, Recipe
from ...files import atomic
from ...plain import from_plain, to_plain
from ...registry import suggest
from ...types import EvalProtocol

BACKWARD = 2  # multiply-adds of a backward pass over those of the forward pass
_LENGTHS = re.compile(r"phases(\.\d+|\[\d+\])\.(epochs|steps)=")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long every model trains; exactly one of the three is above 0.

    Attributes:
        epochs: passes over the training clips.
        steps: optimizer steps.
        gmacs: multiply-adds of the whole training in units of 1e9, a backward pass counted as two
            forward passes. Cheap models then get more steps than costly ones.
    """

    epochs: int = 0
    steps: int = 0
    gmacs: float = 0.0

    def __post_init__(self) -> None:
        given = (self.epochs, self.steps, self.gmacs)
        if sum(value > 0 for value in given) != 1 or min(given) < 0:
            raise ValueError(
                f"budget epochs={self.epochs} steps={self.steps} gmacs={self.gmacs:g}: exactly one "
                "must be above 0"
            )

    def __str__(self) -> str:
        if self.gmacs:
            return f"{self.gmacs:g} GMACs of training"
        return f"{self.epochs} epochs" if self.epochs else f"{self.steps} steps"

    def fit(self, recipe: Recipe, macs: int) -> Recipe:
        """The recipe at this length; warm-up and milestones keep their share of it.

        Args:
            recipe: with one phase.
            macs: multiply-adds of one training clip, forward.

        Raises:
            ValueError: for several phases, and for a budget below one step.
        """
        if len(recipe.phases) != 1:
            raise ValueError(
                f"a budget needs a recipe of one phase, and this has {len(recipe.phases)}; leave "
                "the budget out, or give the recipe one phase"
            )
        (phase,) = recipe.phases
        if not self.gmacs:
            return replace(recipe, phases=(_at_length(phase, self.epochs, self.steps),))
        step = (1 + BACKWARD) * macs * phase.batch / 1e9
        if step > self.gmacs:
            raise ValueError(
                f"budget gmacs={self.gmacs:g} must be at least one step of {recipe.model}, "
                f"{step:.1f} GMACs"
            )
        return replace(recipe, phases=(_at_length(phase, 0, int(self.gmacs / step)),))


def _at_length(phase: Phase, epochs: int, steps: int) -> Phase:
    share = (epochs or steps) / phase.length
    marks = phase.schedule
    if marks != "cosine":
        marks = tuple(round(mark * share) for mark in marks)
    return replace(phase, epochs=epochs, steps=steps, warmup=phase.warmup * share, schedule=marks)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of a study: its registered name, and what its recipe has of its own."""

    model: str
    set: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way of testing a finished model.

    Attributes:
        split: videos; None: what a run is tested on at its end (test, or val where there is none).
        frames: T of the clips; 0: as the model was trained.
        protocol: such as `10x3`; None: the recipe's.
    """

    split: str | None = None
    frames: int = 0
    protocol: str | None = None

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ValueError(f"tests: frames={self.frames} must be at least 1, or 0: as trained")
        if self.protocol is not None:
            EvalProtocol.named(self.protocol)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison of several models, like for like.

    Attributes:
        name: of its folder and its page.
        data: each is what `load_data` takes, or `motion:DEFINITION/SIZE`, which is generated.
        models: title -> entry, in the order of the tables.
        recipe: a registered name or a YAML file; common to all.
        set: overrides of it, `a.b=c`; common to all.
        budget: replaces the recipe's length; None: the recipe's.
        seeds: one run of every model for each.
        tests: name -> case; none: the conditions of a motion benchmark, else the recipe's test.
        temporal: also test on reversed, shuffled and frozen clips.
        baseline: the title differences are taken against; "": the first model.
    """

    name: str
    data: tuple[str, ...]
    models: Mapping[str, Entry]
    recipe: str = "clips"
    set: tuple[str, ...] = ()
    budget: Budget | None = None
    seeds: tuple[int, ...] = (0,)
    tests: Mapping[str, Case] = field(default_factory=dict)
    temporal: bool = False
    baseline: str = ""

    def __post_init__(self) -> None:
        if not self.name or self.name != slug(self.name):
            proposed = slug(self.name) or "study"
            raise ValueError(
                f"name={self.name!r} must be the name of a folder, such as {proposed!r}"
            )
        for what, values in (("data", self.data), ("models", self.models), ("seeds", self.seeds)):
            if not values:
                raise ValueError(f"{what} must hold at least one entry")
        for what, several in (("data", self.data), ("seeds", self.seeds)):
            if len({*several}) != len(several):
                raise ValueError(f"{what}={[*several]} must not hold anything twice")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds={[*self.seeds]} must not be below 0")
        for what, names in (("models", self.models), ("tests", self.tests)):
            folders = [slug(name) for name in names]
            for name, folder in zip(names, folders, strict=True):
                if folders.count(folder) > 1 or not folder:
                    raise ValueError(
                        f"{what}: {name!r} must have letters or digits that no other one has in "
                        "this order; its folder is named by them"
                    )
        if not self.baseline:
            object.__setattr__(self, "baseline", next(iter(self.models)))
        if self.baseline not in self.models:
            raise ValueError(
                f"baseline={self.baseline!r} must be one of the models"
                f"{suggest(self.baseline, self.models)}: {', '.join(self.models)}"
            )
        for where, words in (
            ("set", self.set),
            *((f"models.{title}.set", entry.set) for title, entry in self.models.items()),
        ):
            self._check_words(where, words)

    def _check_words(self, where: str, words: tuple[str, ...]) -> None:
        """Refuses overrides of what the study itself decides."""
        for word in words:
            key = word.partition("=")[0].strip()
            if key in ("seed", "model", "name"):
                instead = {"seed": "seeds", "model": "models", "name": "name"}[key]
                raise ValueError(f"{where}: {word!r} is decided by {instead} of the study")
            if self.budget and _LENGTHS.match(word):
                raise ValueError(
                    f"{where}: {word!r} contradicts the budget of {self.budget}; leave one out"
                )


def slug(text: str) -> str:
    """Letters, digits, `_`, `.` and `-` of a title, for a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")


class _Loader(yaml.SafeLoader):
    """YAML in which a key that occurs twice is an error, not the loss of the first one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """As its base, after a look at the keys."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"line {node.start_mark.line + 1}: {key!r} occurs twice")
        return dict(super().construct_mapping(node, deep=deep))


def load_study(path: str | Path) -> Study:
    """Reads a study's YAML file.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: naming the file, the path, the value and the rule.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no study at {path}; docs/studies.md shows what a file looks like")
    try:
        plain = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  a safe loader
        return from_plain(Study, plain)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def study_text(study: Study) -> str:
    """Every field as YAML, defaults included."""
    return yaml.safe_dump(to_plain(study), sort_keys=False, allow_unicode=True)


def save_study(study: Study, path: Path) -> None:
    """Writes `study_text`, which `load_study` reads."""
    with atomic(path) as temporary:
        temporary.write_text(study_text(study), encoding="utf-8")
