"""ActivityNet v1.3 (Heilbron et al., CVPR 2015): the annotated stretches of its videos."""

from __future__ import annotations

from pathlib import Path

from ..manifest import Manifest, ManifestError
from ._clips import Clips, find_file, need_file
from ._registry import MissingSplitError, register_dataset
from ._rows import Row, read_json, read_names, to_manifest

LIST_FOLDERS = ("", "annotations")
LIST_NAMES = ("activity_net.v1-3.min.json", "activity_net.v1-3.json")
SUBSETS = {"train": "training", "val": "validation"}
VIDEO_FOLDERS = ("videos", "rawframes", "")


@register_dataset("activitynet")
def activitynet(root: Path, split: str) -> Manifest:
    """A record per annotation of `activity_net.v1-3.min.json`, from its first to its last second.

    Videos are `v_<id>.mp4` or `<id>.mp4` in `root/videos` or `root`; those that are not there are
    left out, since many links are dead, and the name of the manifest says how many there are.
    Classes are in the order of a `label_map.txt`, or else in alphabetical order. The test subset
    has no labels.
    """
    if split not in SUBSETS:
        raise MissingSplitError("activitynet", split, tuple(SUBSETS))
    path = need_file(root, LIST_NAMES, LIST_FOLDERS)
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ManifestError(str(path), ['must be an object with the key "database"'])
    database = content["database"]
    order = find_file(root, ["label_map.txt"], LIST_FOLDERS)
    found = {each["label"] for entry in database.values() for each in entry["annotations"]}
    labels = sorted(found) if order is None else read_names(order)
    rows = [
        Row(
            where=f"{video} annotation {number}",
            names=(f"v_{video}.mp4", f"{video}.mp4"),
            label=each["label"],
            id=f"v_{video}@{number}",
            start=each["segment"][0],
            end=each["segment"][1],
            group=video,
        )
        for video, entry in database.items()
        if entry["subset"] == SUBSETS[split]
        for number, each in enumerate(entry["annotations"], start=1)
    ]
    clips = Clips(root, VIDEO_FOLDERS)
    return to_manifest(f"activitynet/{split}", path, rows, labels, clips, incomplete=True)
