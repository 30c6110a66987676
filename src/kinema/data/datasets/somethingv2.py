"""Something-Something v2 (arXiv:1706.04261) in its official layout."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest, ManifestError
from ._clips import need_file, need_list
from ._registry import register_dataset
from ._rows import Row, by_index, read_json, take, to_manifest
from ._twentybn import LIST_FOLDERS, clips_of, list_names

PREFIX = "something-something-v2"


@register_dataset("somethingv2")
def somethingv2(root: Path, split: str) -> Manifest:
    """`something-something-v2-labels.json`, `-train.json`, `-validation.json`; `<id>.webm`.

    The labels file maps a class to its number. A list holds objects with id and template, the class
    with the objects in brackets ("Putting [something] on a surface"). The files may also be called
    `labels.json`, `train.json` and so on. The official test list has no labels.
    """
    path = need_list("somethingv2", root, split, list_names(PREFIX, ".json"), LIST_FOLDERS)
    labels_file = need_file(root, [f"{PREFIX}-labels.json", "labels.json"], LIST_FOLDERS)
    classes = read_json(labels_file)
    if not isinstance(classes, dict):
        raise ManifestError(str(labels_file), ['must be an object {"<class>": "<number>", ...}'])
    labels = by_index(labels_file, classes.items())
    rows, faults = [], []
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ManifestError(str(path), ["must be a list of objects with id and template"])
    for number, entry in enumerate(entries, start=1):
        where = f"entry {number}"
        try:
            clip = str(take(str | int, entry, "id", where))
            label = take(str, entry, "template", where).replace("[", "").replace("]", "")
        except ValueError as error:
            faults.append(str(error))
            continue
        rows.append(Row(where=where, names=(clip,), labels=(label,), group=clip))
    clips = clips_of(root, PREFIX)
    return to_manifest(f"somethingv2/{split}", path, rows, labels, clips, faults=faults)
