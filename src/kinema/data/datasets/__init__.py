"""Data sets: annotation files or folders to manifests. One file each; all are found by import."""

from __future__ import annotations

import importlib
import pkgutil

from ._load import VAL_SHARE, load_data, read_parts
from ._registry import MissingSplitError, datasets, list_datasets, register_dataset

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "VAL_SHARE",
    "MissingSplitError",
    "datasets",
    "list_datasets",
    "load_data",
    "read_parts",
    "register_dataset",
]
