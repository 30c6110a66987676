"""The study files that come with the project."""

from dataclasses import replace
from pathlib import Path

import pytest

from kinema.data.motion_definitions import BENCHMARKS
from kinema.engine.config import find_recipe, override
from kinema.models.base import models
from kinema.tools.study.file import load_study

FILES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_names_and_overrides_are_known(file: Path) -> None:
    study = load_study(file)
    assert study.name == file.stem
    for given in study.data:
        kind, _, rest = given.partition(":")
        assert kind != "motion" or rest.partition("/")[0] in BENCHMARKS
    for entry in study.models.values():
        assert entry.model in models
        recipe = replace(find_recipe(study.recipe), model=entry.model)
        assert override(recipe, (*study.set, *entry.set)).model == entry.model
