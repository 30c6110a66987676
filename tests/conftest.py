"""Fixtures of every test: seeds, threads, and the folder of real material beside the repository."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--soak` lets tests of memory run for minutes instead of seconds."""
    parser.addoption("--soak", action="store_true", help="20,000 reads in the soak tests")


def pytest_configure(config: pytest.Config) -> None:
    """One thread per worker: several torch pools on few cores make each other slow."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` are skipped, with the reason, where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  third parties draw from the global generator
    torch.manual_seed(0)
    return 0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and real videos beside the repository; tests skip without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the real videos and large goldens are not part of the project")
    return folder
