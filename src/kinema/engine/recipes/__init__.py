"""Recipes by name: functions that return a `Recipe`. A variant replaces two fields of another."""

from __future__ import annotations

import importlib
import pkgutil

for _family in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_family.name}")
