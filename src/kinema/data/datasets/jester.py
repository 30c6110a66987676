"""Jester v1 (Materzynska et al., ICCV workshops 2019) in its official layout."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest
from ._registry import register_dataset
from ._twentybn import read_id_lists


@register_dataset("jester")
def jester(root: Path, split: str) -> Manifest:
    """`jester-v1-labels.csv`, `-train.csv`, `-validation.csv`; frames in `20bn-jester-v1/<id>/`."""
    return read_id_lists("jester", "jester-v1", root, split)
