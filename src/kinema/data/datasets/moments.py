"""Moments in Time (arXiv:1801.03150) in its official layout."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest
from ._clips import Clips, need_file, need_list
from ._registry import register_dataset
from ._rows import Row, by_index, csv_rows, numbered_lines, to_manifest

LIST_FOLDERS = ("", "annotations")
LISTS = {"train": ["trainingSet.csv"], "val": ["validationSet.csv"]}
FOLDERS = {"train": "training", "val": "validation"}


@register_dataset("moments")
def moments(root: Path, split: str) -> Manifest:
    """`moments_categories.txt` with `class,number`; `trainingSet.csv`, `validationSet.csv`.

    A list has no header; its first column is `class/clip.mp4`, and the folder tells the class.
    Clips lie in `root/training` and `root/validation`, or below `root/videos`.
    """
    path = need_list("moments", root, split, LISTS, LIST_FOLDERS)
    categories = need_file(root, ["moments_categories.txt"], LIST_FOLDERS)
    pairs = (text.rpartition(",") for _, text in numbered_lines(categories))
    labels = by_index(categories, ((name, number) for name, _, number in pairs))
    rows = []
    for line, (clip, *_) in csv_rows(path):
        label = clip.rpartition("/")[0]
        rows.append(Row(where=f"line {line}", names=(clip,), labels=(label,)))
    folders = (FOLDERS[split], f"videos/{FOLDERS[split]}", "videos", "rawframes", "")
    return to_manifest(f"moments/{split}", path, rows, labels, Clips(root, folders))
