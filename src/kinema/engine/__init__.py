"""Training and testing."""

from __future__ import annotations

from . import recipes as _recipes  # noqa: F401  files the recipes under their names
