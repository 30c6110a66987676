"""UCF-101 (arXiv:1212.0402) in its official layout, and any other set that is laid out like it."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest
from ..splitting import source_of
from ._clips import Clips, need_file
from ._registry import MissingSplitError, register_variants, three_splits
from ._rows import Row, numbered_lines, read_numbered_names, to_manifest

LIST_FOLDERS = ("", "ucfTrainTestlist")
VIDEO_FOLDERS = ("UCF-101", "videos", "")


def read_ucf101(root: Path, split: str, fold: int) -> Manifest:
    """One official list: `classInd.txt` and `trainlist0N.txt` or `testlist0N.txt`.

    The lists lie in `root` or `root/ucfTrainTestlist`, the class folders in `root/UCF-101`,
    `root/videos` or `root`. A clip may have another ending than the list says. Labels count from 1
    on disk and from 0 here; the test list has none, there the class folder tells.

    Args:
        root: folder of the data set.
        split: `train` or `test`; the official lists have no validation part.
        fold: 1, 2 or 3.

    Raises:
        ManifestError: for lists that are not there or disagree, and for missing clips.
        MissingSplitError: for another split.
    """
    if split not in ("train", "test"):
        raise MissingSplitError("ucf101", split, ("train", "test"))
    labels = read_numbered_names(need_file(root, ["classInd.txt"], LIST_FOLDERS))
    path = need_file(root, [f"{split}list{fold:02d}.txt"], LIST_FOLDERS)
    rows, faults = [], []
    for line, text in numbered_lines(path):
        name, _, number = text.partition(" ")
        label = name.split("/")[0]
        if label in labels and number and number.strip() != str(labels.index(label) + 1):
            expected = labels.index(label) + 1
            faults.append(f"line {line}: label {number.strip()} of {name} must be {expected}")
        rows.append(
            Row(where=f"line {line}", names=(name,), labels=(label,), group=source_of(name))
        )
    clips = Clips(root, VIDEO_FOLDERS)
    return to_manifest(f"ucf101/{split}{fold}", path, rows, labels, clips, faults=faults)


register_variants(read_ucf101, three_splits("ucf101"))
