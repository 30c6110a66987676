"""From a study to its runs: everything is built and checked here, before the first one starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ...data import build_loader, train_dataset
from ...engine.announce import check_data
from ...engine.config import Phase, Recipe, find_recipe, override
from ...engine.held_out import check_crops
from ...engine.optim import group_parameters
from ...engine.run import FREE_KEYS, flatten
from ...engine.runtime import choose_device, choose_precision
from ...engine.start import start_from
from ...losses import Objective
from ...models import VideoModel, create_model
from ...models.base import models as known_models
from ...plain import from_plain, to_plain
from ...types import JSON, EvalProtocol, InputSpec
from ..profile import profile
from .file import BACKWARD, Case, Study, slug
from .job import JOB_FILE, RESULT_FILE, Job, order_tests, read_json, test_names
from .sources import Source, motion_name, open_source, titles

MAX_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked study.

    Attributes:
        study: as it was read.
        out: the study's folder.
        sources: the data, by title.
        jobs: in the order they are started: the first seed of every model on all data, then the
            second.
    """

    study: Study
    out: Path
    sources: Mapping[str, Source]
    jobs: tuple[Job, ...]

    def folder(self, job: Job) -> Path:
        """Where a job's run is."""
        return self.out / job.folder

    def finished(self, job: Job) -> bool:
        """Whether a job's run and its tests are done."""
        return (self.folder(job) / RESULT_FILE).exists()

    @cached_property
    def cases(self) -> dict[str, tuple[str, ...]]:
        """Title of the data -> names of its tests, the first being the main one."""
        return {job.data: test_names(job) for job in self.jobs}


def make_plan(
    study: Study,
    out: Path,
    *,
    device: str | None = None,
    workers: int = 0,
    shown: bool = True,
) -> Plan:
    """Builds every model and parses every override, finds or generates the data, checks the runs.

    Args:
        study: stays as it is.
        out: its folder; generated data go into `out/data`.
        device: of the runs; None: a GPU if there is one. It decides what `precision: auto` is, and
            that is written into every run: a study computes in one format, wherever it goes on.
        workers: decoding processes of a run, unless the study sets them; the recipe's own number is
            for a run that has the machine to itself.
        shown: show the progress of generating data.

    Raises:
        KeyError: for unknown names, with the closest ones.
        ValueError: for everything else that a run would be the first to refuse, and for runs in the
            folder that belong to another study.
    """
    names = titles(study.data)
    for given in study.data:
        motion_name(given)
    for title, entry in study.models.items():  # before data are made that no model can use
        with located(f"models.{title}"):
            known_models[entry.model]
            chosen_recipe(study, title, 2)
    place = choose_device(device)
    sources: dict[str, Source] = {}
    for given, title in names.items():
        with located(f"data {given}"):
            sources[title] = open_source(given, title, out / "data", shown=shown)
            check_data(sources[title].splits)
    jobs: dict[tuple[str, str], Job] = {}
    for source in sources.values():
        for title in study.models:
            with located(f"models.{title} on {source.given}"):
                jobs[source.title, title] = _job(study, source, title, workers, place)
    ordered = tuple(
        replace(job, recipe=replace(job.recipe, seed=seed))
        for seed in study.seeds
        for job in jobs.values()
    )
    plan = Plan(study=study, out=out, sources=sources, jobs=ordered)
    for job in ordered:
        _compare(job, plan.folder(job))
    return plan


@contextmanager
def located(where: str) -> Iterator[None]:
    """Puts the place in the study in front of an error's message."""
    try:
        yield
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise ValueError(f"{where}: {error}") from error


def chosen_recipe(study: Study, title: str, classes: int) -> tuple[Recipe, list[int]]:
    """(a model's recipe with overrides and budget, multiply-adds of a training clip by phase).

    Later overrides win: the study's own, then the model's, then the budget.
    """
    entry = study.models[title]
    with located("recipe"):
        recipe = find_recipe(study.recipe)
    recipe = replace(recipe, model=entry.model, name="")
    recipe = override(recipe, study.set)
    recipe = override(recipe, entry.set)
    macs = [_macs(build(recipe, recipe.input_for(p), classes), p, recipe) for p in recipe.phases]
    if study.budget:
        recipe = study.budget.fit(recipe, macs[0])
    return recipe, macs


def build(recipe: Recipe, spec: InputSpec, labels: int | tuple[str, ...]) -> VideoModel:
    """The recipe's model with fresh weights; labels: names, or their number."""
    who: dict[str, object] = {"num_classes": labels} if isinstance(labels, int) else {}
    if not isinstance(labels, int):
        who["labels"] = labels
    return create_model(recipe.model, input=spec, **who, **recipe.model_args)  # type: ignore[arg-type]


def _macs(model: VideoModel, phase: Phase, recipe: Recipe) -> int:
    crop = recipe.input.crop
    return profile(model, (recipe.input.channels, phase.frames, crop, crop)).macs


def _job(study: Study, source: Source, title: str, workers: int, device: torch.device) -> Job:
    """One model on one data set, with the first seed; checked."""
    splits, entry = source.splits, study.models[title]
    recipe, macs = chosen_recipe(study, title, splits.train.num_classes)
    if not any(word.startswith("workers=") for word in (*study.set, *entry.set)):
        recipe = replace(recipe, workers=workers)
    precision, _ = choose_precision(device, recipe.precision)
    name = f"{source.title}_{slug(title)}"
    recipe = replace(recipe, name=name, seed=study.seeds[0], precision=precision)
    model = build(recipe, recipe.input_for(recipe.phases[0]), splits.train.labels)
    start = start_from(model, recipe.init, source=recipe.init_source)
    objective = Objective(model, [term.build(model) for term in recipe.loss])
    group_parameters(objective, model, recipe.optim.rules, old=start.kept)
    steps = [_steps(phase, recipe, source, number) for number, phase in enumerate(recipe.phases)]
    work = sum(
        count * phase.batch * cost
        for count, phase, cost in zip(steps, recipe.phases, macs, strict=True)
    )
    tests = dict(study.tests or source.cases)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    marks = {name: part.fingerprint() for name, part in parts.items() if part}
    for name, case in tests.items():
        with located(f"tests.{name}"):
            manifest = source.tested(case)
            manifest.check("test")
            protocol = EvalProtocol.named(case.protocol) if case.protocol else recipe.eval
            check_crops(manifest, protocol)
            marks[f"test {name}"] = manifest.fingerprint()
    bounds = {name: source.bounds_of(case) for name, case in tests.items()}
    frames = recipe.test_frames or recipe.phases[-1].frames
    tests = {name: _plain(case, source.split, frames) for name, case in tests.items()}
    if study.temporal:
        orders = order_tests(tests)
        if taken := tests.keys() & orders.keys():
            raise ValueError(f"tests: {min(taken)!r} is the name of a test of temporal: true")
        bounds |= dict.fromkeys(orders, source.bounds_of(Case()))
    return Job(
        study=study.name,
        given=source.given,
        data=source.title,
        path=source.path,
        definition=source.definition,
        version=source.version,
        model=title,
        overrides=(*study.set, *entry.set),
        budget=str(study.budget) if study.budget else "",
        recipe=recipe,
        recipe_hash=recipe_hash(recipe),
        phase_steps=tuple(steps),
        train_gmacs=(1 + BACKWARD) * work / 1e9,
        tests=tests,
        bounds=bounds,
        temporal=study.temporal,
        fingerprint=marks,
    )


def _plain(case: Case, split: str, frames: int) -> Case:
    """The case without what is so anyway: a run's own test is not repeated."""
    return replace(
        case,
        split=None if case.split == split else case.split,
        frames=0 if case.frames == frames else case.frames,
    )


def _steps(phase: Phase, recipe: Recipe, source: Source, number: int) -> int:
    """Optimizer steps of a phase on these data; refuses a batch that does not fit."""
    train_set, pieces = source.splits.train, recipe.optim.accumulate
    if phase.batch > len(train_set) or phase.batch % pieces:
        raise ValueError(
            f"phases.{number}.batch={phase.batch} must be a multiple of accumulate={pieces} and "
            f"not exceed the {len(train_set)} training clips"
        )
    loader = build_loader(
        train_dataset(train_set, recipe.input_for(phase), recipe.augment, seed=0),
        batch=phase.batch // pieces,
        workers=0,
        shuffle=True,
        balanced=recipe.balance,
        drop_last=True,
        augment=recipe.augment,
    )
    try:
        return phase.steps or phase.epochs * (loader.steps_per_epoch // pieces)
    finally:
        loader.close()


def recipe_hash(recipe: Recipe) -> str:
    """12 hexadecimal digits of everything that decides the result, apart from the seed."""
    decisive = {k: v for k, v in flatten(to_plain(recipe)).items() if k not in (*FREE_KEYS, "seed")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def _compare(job: Job, folder: Path) -> None:
    """Refuses to go on with a run that was made from something else."""
    if not (folder / JOB_FILE).exists():
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} holds a run that is not this study's; choose another --out")
        return
    plain = read_json(folder / JOB_FILE)
    with located(f"{folder / JOB_FILE}"):  # read as a recipe, so that settings newer than it count
        plain["recipe"] = to_plain(from_plain(Recipe, plain["recipe"], "recipe"))
    before, now = _decisive(plain), _decisive(to_plain(job))
    differing = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differing:
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise ValueError(
            f"{folder} holds a run of other settings, data or tests: {'; '.join(differing[:3])}"
            f"{more}; set it back, choose another --out, or delete that folder"
        )


def _decisive(job: JSON) -> dict[str, JSON]:
    """What must be the same for a run to count as done."""
    assert isinstance(job, dict)
    kept = {key: job.get(key) for key in ("recipe", "tests", "temporal", "fingerprint", "version")}
    free = {f"recipe.{key}" for key in FREE_KEYS}
    return {key: value for key, value in flatten(kept).items() if key not in free}
