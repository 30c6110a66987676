"""The registry of data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...registry import Registry
from ..manifest import Manifest

DatasetEntry = Callable[[Path, str], Manifest]

datasets: Registry[DatasetEntry] = Registry("data set")


class MissingSplitError(LookupError):
    """A data set has no such split.

    Args:
        name: of the data set.
        split: that was asked for.
        known: the splits there are.
    """

    def __init__(self, name: str, split: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{name} has no split {split!r}; it has {', '.join(known)}")


def register_dataset(name: str) -> Callable[[DatasetEntry], DatasetEntry]:
    """Files `fn(root, split) -> Manifest` under a name.

    The function raises `MissingSplitError` for a split the data set does not have; `load_data` then
    takes validation data from the training data.
    """
    return datasets.register(name)


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the registered data sets that match a shell pattern."""
    return datasets.names(pattern)
