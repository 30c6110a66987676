"""HMDB-51 (Kuehne et al., ICCV 2011) in its official layout."""

from __future__ import annotations

import re
from pathlib import Path

from ..manifest import Manifest, ManifestError
from ..splitting import source_of
from ._clips import Clips
from ._registry import MissingSplitError, register_variants, three_splits
from ._rows import Row, numbered_lines, to_manifest

LIST_FOLDERS = ("testTrainMulti_7030_splits", "testTrainMulti_7030splits", "splits", "")
VIDEO_FOLDERS = ("hmdb51_org", "videos", "rawframes", "")
USES = {"0": None, "1": "train", "2": "test"}
# the film, then the action, body parts, camera motion, people, viewpoint, quality and a counter
PARTS = r"_{label}_[fhlu]_(?:cm|nm)_np\d_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+\.avi"


def read_hmdb51(root: Path, split: str, fold: int) -> Manifest:
    """One official split: a file `<class>_test_splitN.txt` for each class.

    Its lines are `clip.avi 1` for training, 2 for testing, 0 for neither. They lie in `root` or
    `root/testTrainMulti_7030_splits`, the class folders in `root/hmdb51_org`, `root/videos` or
    `root`. Classes are in alphabetical order.

    Args:
        root: folder of the data set.
        split: `train` or `test`; the official lists have no validation part.
        fold: 1, 2 or 3.

    Raises:
        ManifestError: for lists that are not there, other lines, and missing clips.
        MissingSplitError: for another split.
    """
    if split not in ("train", "test"):
        raise MissingSplitError("hmdb51", split, ("train", "test"))
    ending = f"_test_split{fold}.txt"
    folder, paths = _lists(root, ending)
    labels = sorted(path.name.removesuffix(ending) for path in paths)
    rows, faults = [], []
    for label in labels:
        for line, text in numbered_lines(folder / f"{label}{ending}"):
            name, _, use = text.rpartition(" ")
            where = f"{label}{ending} line {line}"
            if use not in USES or not name:
                faults.append(f"{where} must be '<clip>.avi 0', 1 or 2, it is {text!r}")
            elif USES[use] == split:
                path = f"{label}/{name.strip()}"
                rows.append(
                    Row(where=where, names=(path,), labels=(label,), group=_film(path, label))
                )
    clips = Clips(root, VIDEO_FOLDERS)
    return to_manifest(f"hmdb51/{split}{fold}", folder, rows, labels, clips, faults=faults)


register_variants(read_hmdb51, three_splits("hmdb51"))


def _lists(root: Path, ending: str) -> tuple[Path, list[Path]]:
    for folder in LIST_FOLDERS:
        if paths := list((root / folder).glob(f"*{ending}")):
            return root / folder, paths
    raise ManifestError(str(root), [f"has no <class>{ending}, nor has {root / LIST_FOLDERS[0]}"])


def _film(path: str, label: str) -> str:
    """What a clip was cut from: its name up to the action."""
    name = path.rsplit("/", 1)[-1]
    match = re.search(PARTS.format(label=re.escape(label)), name)
    return name[: match.start()] if match else source_of(name)
