"""The registry of data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def register_variants(
    read: Callable[[Path, str, int], Manifest], variants: Mapping[str, int]
) -> None:
    """Files a reader that takes a number, such as an official split, under a name for each."""
    for name, variant in variants.items():

        def entry(root: Path, split: str, variant: int = variant) -> Manifest:
            return read(root, split, variant)

        register_dataset(name)(entry)


def three_splits(name: str) -> dict[str, int]:
    """The names of a data set with three official splits: `name`, `name_split2`, `name_split3`."""
    return {name: 1} | {f"{name}_split{number}": number for number in (2, 3)}


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the registered data sets that match a shell pattern."""
    return datasets.names(pattern)
