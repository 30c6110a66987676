"""The data of a study: found, or generated into its folder, with what is known about guessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...data import DataSplits, Manifest, list_datasets, load_data
from ...data.datasets import read_parts
from ...engine.held_out import held_out
from .file import Case, slug

MOTION = "motion:"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is known about a test before any model is trained.

    Attributes:
        chance: accuracy of guessing.
        single_frame: the best that one frame allows; None here and below: not known.
        ceiling: the best that can be expected without the order of frames.
        limit: the best that the frames given allow at all.
        note: what is particular about the test.
    """

    chance: float
    single_frame: float | None = None
    ceiling: float | None = None
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One data set of a study.

    Attributes:
        given: as the study names it.
        title: in tables and folders.
        path: what `load_data` takes.
        splits: the videos.
        parts: the splits that the data name, further ones included.
        definition: the motion benchmark's name, version and size; "": no benchmark.
        version: of the definition.
        claim: what the benchmark is aimed at.
        cases: tests that come with the data.
        bounds: of these.
    """

    given: str
    title: str
    path: str
    splits: DataSplits
    parts: Mapping[str, Manifest] = field(default_factory=dict)
    definition: str = ""
    version: int = 0
    claim: str = ""
    cases: Mapping[str, Case]
    bounds: Mapping[str, Bounds]

    @property
    def split(self) -> str:
        """What a run is tested on at its end."""
        return held_out(self.splits)[0]

    def tested(self, case: Case) -> Manifest:
        """The videos of a test; raises ValueError for a split that is not there."""
        if case.split is not None and case.split in self.parts:
            return self.parts[case.split]
        return tested(self.path, self.splits, case.split)

    def bounds_of(self, case: Case) -> Bounds:
        """What is known about a test: what the benchmark says of the same videos."""
        chance = Bounds(chance=1 / self.splits.train.num_classes)
        for name, own in self.cases.items():
            if own == case:
                return self.bounds[name]
        for name, own in self.cases.items():
            if (own.split or self.split) == (case.split or self.split):
                return replace(self.bounds[name], limit=None, note="")
        return chance


def tested(path: str, splits: DataSplits, split: str | None) -> Manifest:
    """What a run tests at its end for None, else the named split of the data."""
    return held_out(splits)[1] if split is None else held_out(path, split)[1]


def titles(given: tuple[str, ...]) -> dict[str, str]:
    """A short name for each, all different: `order-tiny`, `ucf101`, `clips`."""
    found: dict[str, str] = {}
    for text in given:
        name, colon, rest = text.partition(":")
        if text.startswith(MOTION):
            short = slug(rest)
        else:
            short = name if colon and name in list_datasets() else slug(Path(text).resolve().stem)
        number, title = 2, short
        while title in found.values():
            title, number = f"{short}-{number}", number + 1
        found[text] = title
    return found


def motion_name(given: str) -> tuple[str, str] | None:
    """(definition, size) of `motion:DEFINITION/SIZE`; None for other data.

    Raises:
        ValueError: for a definition or a size that is not known.
    """
    if not given.startswith(MOTION):
        return None
    from ...data.motion_benchmark import describe

    name, slash, size = given.removeprefix(MOTION).partition("/")
    if not slash:
        raise ValueError(
            f"data={given!r} must be motion:DEFINITION/SIZE, such as motion:order/tiny"
        )
    describe(name, size)
    return name, size


def open_source(given: str, title: str, out: Path, *, shown: bool) -> Source:
    """Reads data, or generates a motion benchmark; what is there already is not made again.

    Args:
        given: as the study names it.
        title: see `titles`.
        out: folder that generated data goes into.
        shown: show the progress of generating.
    """
    motion = motion_name(given)
    if motion is None:
        splits = load_data(given)
        return Source(
            given=given,
            title=title,
            path=given,
            splits=splits,
            cases={"test": Case()},
            bounds={"test": Bounds(chance=1 / splits.train.num_classes)},
        )
    from ...data.motion_benchmark import make_benchmark, read_benchmark

    folder = make_benchmark(*motion, out / title, workers=None, shown=shown)
    info = read_benchmark(folder)
    return Source(
        given=given,
        title=title,
        path=str(folder),
        splits=load_data(folder),
        parts=read_parts(folder),
        definition=f"{info.name}/{info.size}",
        version=info.version,
        claim=info.claim,
        cases={
            name: Case(split=condition.split, frames=condition.frames)
            for name, condition in info.conditions.items()
        },
        bounds={
            name: Bounds(
                chance=info.chance,
                single_frame=condition.single_frame,
                ceiling=condition.ceiling,
                limit=condition.limit,
                note=condition.note,
            )
            for name, condition in info.conditions.items()
        },
    )
