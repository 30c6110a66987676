"""The promised names: adding or removing one is a decision, made here."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kinema

NAMES = [
    "InputSpec", "Manifest", "Predictor", "Recipe", "convert", "create_model", "evaluate",
    "list_models", "load", "open_stream", "profile", "save", "train",
]  # fmt: skip


def test_the_public_names_are_these_and_load() -> None:
    assert sorted(kinema.__all__) == NAMES
    for name in NAMES:
        assert getattr(kinema, name) is not None
    assert set(NAMES) <= set(dir(kinema))
    with pytest.raises(AttributeError, match="no attribute 'predictor'"):
        kinema.predictor  # noqa: B018


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, kinema; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
