"""A study on the motion benchmark: its conditions are the tests, what is known stands beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kinema.data import motion_benchmark
from kinema.data.motion_benchmark import Size
from kinema.tools.study import make_plan
from kinema.tools.study.file import Case, Entry, Study
from kinema.tools.study.job import test_names as names_of_tests

STUDY = Study(
    name="motion",
    data=("motion:frames/mini",),
    recipe="motion_tiny",
    set=("phases.0.batch=4", "phases.0.frames=8"),
    models={
        "TSN": Entry(model="tsn_resnet18"),
        "single frame": Entry(model="tsn_resnet18", set=("phases.0.frames=1",)),
    },
)


@pytest.fixture(autouse=True)
def mini(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that is drawn in a second."""
    size = Size(pixels=32, train=1, val=1, test=1, recipe="motion_tiny")
    monkeypatch.setitem(motion_benchmark.SIZES, "mini", size)  # type: ignore[arg-type]


def test_conditions_are_tests_with_what_is_known(tmp_path: Path) -> None:
    plan = make_plan(STUDY, tmp_path, shown=False)
    several, single = plan.jobs
    assert (several.data, several.definition) == ("frames-mini", "frames/mini")
    assert several.path == str(tmp_path / "data" / "frames-mini")
    assert several.tests["8"] == Case()  # what the run tests by itself is not done twice
    assert single.tests["8"] == Case(frames=8)
    assert several.tests["16"] == Case(frames=16)
    info = motion_benchmark.read_benchmark(several.path)
    assert list(several.tests) == list(info.conditions)
    for name, bounds in several.bounds.items():
        condition = info.conditions[name]
        assert (bounds.chance, bounds.limit) == (1 / 8, condition.limit)
        assert (bounds.single_frame, bounds.ceiling) == (condition.single_frame, condition.ceiling)


def test_own_tests_and_orders_keep_the_ceiling_of_the_videos(tmp_path: Path) -> None:
    study = replace(STUDY, tests={"12 frames": Case(frames=12)}, temporal=True)
    job = make_plan(study, tmp_path, shown=False).jobs[0]
    ceiling = motion_benchmark.read_benchmark(job.path).ceiling
    names = ["12 frames", "normal clips", "reversed clips", "shuffled clips", "frozen clips"]
    assert list(job.bounds) == names
    plain = replace(study, tests={})
    assert names_of_tests(make_plan(plain, tmp_path, shown=False).jobs[0])[-3:] == tuple(names[-3:])
    assert "normal clips" not in make_plan(plain, tmp_path, shown=False).jobs[0].bounds
    assert all(bounds.ceiling == ceiling for bounds in job.bounds.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("motion:odrer/mini", "odrer.*did you mean order"),
        ("motion:order/huge", "huge"),
        ("motion:order", "must be motion:DEFINITION/SIZE, such as motion:order/tiny"),
    ],
)
def test_unknown_benchmarks_are_refused_before_anything_is_drawn(
    tmp_path: Path, given: str, message: str
) -> None:
    study = replace(STUDY, data=("motion:order/mini", given))
    with pytest.raises((ValueError, KeyError), match=message):
        make_plan(study, tmp_path, shown=False)
    assert not (tmp_path / "data").exists()
