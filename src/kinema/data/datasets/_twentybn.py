"""What Something-Something and Jester have in common: numbered clips and lists of `id;label`."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest
from ._clips import Clips, need_file, need_list
from ._rows import Row, numbered_lines, read_names, to_manifest

LIST_FOLDERS = ("", "annotations", "labels")


def list_names(prefix: str, ending: str) -> dict[str, list[str]]:
    """What the lists are called; the later releases leave the prefix out. Test has no labels."""
    words = {"train": "train", "val": "validation"}
    return {s: [f"{prefix}-{word}{ending}", f"{word}{ending}"] for s, word in words.items()}


def clips_of(root: Path, prefix: str) -> Clips:
    """Clips lie in `root/20bn-<prefix>`, `root/videos`, `root/rawframes`, `root/frames`, `root`."""
    return Clips(root, (f"20bn-{prefix}", "videos", "rawframes", "frames", ""))


def read_id_lists(name: str, prefix: str, root: Path, split: str) -> Manifest:
    """`<prefix>-labels.csv` with a class per line, `<prefix>-train.csv` with lines `id;class`.

    Classes are in the order of the labels file. The official test list has no labels.

    Args:
        name: of the data set.
        prefix: of its files.
        root: folder of the data set; the lists may be in its folder `annotations` or `labels`.
        split: `train` or `val`.

    Raises:
        ManifestError: for lists that are not there or disagree, and for missing clips.
        MissingSplitError: for another split, or a validation list that is not there.
    """
    path = need_list(name, root, split, list_names(prefix, ".csv"), LIST_FOLDERS)
    labels = read_names(need_file(root, [f"{prefix}-labels.csv", "labels.csv"], LIST_FOLDERS))
    rows, faults = [], []
    for line, text in numbered_lines(path):
        clip, semicolon, label = text.partition(";")
        if not semicolon:
            faults.append(f"line {line} must be '<id>;<class>', it is {text!r}")
        else:
            those = (label.strip(),)
            rows.append(Row(where=f"line {line}", names=(clip,), labels=those, group=clip))
    return to_manifest(f"{name}/{split}", path, rows, labels, clips_of(root, prefix), faults=faults)
