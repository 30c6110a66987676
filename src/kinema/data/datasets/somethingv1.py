"""Something-Something v1 (arXiv:1706.04261) in its official layout."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest
from ._registry import register_dataset
from ._twentybn import read_id_lists


@register_dataset("somethingv1")
def somethingv1(root: Path, split: str) -> Manifest:
    """`something-something-v1-labels.csv`, `-train.csv`, `-validation.csv`; frames by id.

    Frames lie in `20bn-something-something-v1/<id>/00001.jpg`. Classes are in the order of the
    labels file, as in mmaction2; checkpoints of TSM's authors have them in alphabetical order.
    """
    return read_id_lists("somethingv1", "something-something-v1", root, split)
