"""ActivityNet v1.3 (Heilbron et al., CVPR 2015): its annotated stretches, or its whole videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..manifest import Manifest, ManifestError
from ._clips import Clips, find_file, need_file
from ._registry import MissingSplitError, register_dataset
from ._rows import Row, read_json, read_names, take, to_manifest

LIST_FOLDERS = ("", "annotations")
LIST_NAMES = ("activity_net.v1-3.min.json", "activity_net.v1-3.json")
SUBSETS = {"train": "training", "val": "validation"}
VIDEO_FOLDERS = ("videos", "rawframes", "")


@dataclass(frozen=True)
class _Stretch:
    """One annotation of a video: the number it has there, its class, first and last second."""

    video: str
    subset: str
    number: int
    label: str
    start: float
    end: float


@register_dataset("activitynet")
def activitynet(root: Path, split: str) -> Manifest:
    """A record per annotation of `activity_net.v1-3.min.json`, from its first to its last second.

    Videos are `v_<id>.mp4` or `<id>.mp4` in `root/videos` or `root`; those that are not there are
    left out, since many links are dead, and the name of the manifest says how many there are.
    Classes are in the order of a `label_map.txt`, or else in alphabetical order. The test subset
    has no labels.
    """
    path, stretches, labels = _read(root, split, "activitynet")
    rows = [
        Row(
            where=f"{each.video} annotation {each.number}",
            names=_names(each.video),
            labels=(each.label,),
            id=f"v_{each.video}@{each.number}",
            start=each.start,
            end=each.end,
            group=each.video,
        )
        for each in stretches
    ]
    clips = Clips(root, VIDEO_FOLDERS)
    return to_manifest(f"activitynet/{split}", path, rows, labels, clips, incomplete=True)


@register_dataset("activitynet_untrimmed")
def activitynet_untrimmed(root: Path, split: str) -> Manifest:
    """A record per video of the same file, as a whole, with the labels of all its annotations."""
    path, stretches, labels = _read(root, split, "activitynet_untrimmed")
    found: dict[str, dict[str, None]] = {}
    for each in stretches:
        found.setdefault(each.video, {})[each.label] = None
    rows = [
        Row(where=video, names=_names(video), labels=tuple(those), id=f"v_{video}", group=video)
        for video, those in found.items()
    ]
    clips = Clips(root, VIDEO_FOLDERS)
    return to_manifest(f"activitynet_untrimmed/{split}", path, rows, labels, clips, incomplete=True)


def _names(video: str) -> tuple[str, str]:
    return f"v_{video}.mp4", f"{video}.mp4"


def _read(root: Path, split: str, name: str) -> tuple[Path, list[_Stretch], tuple[str, ...]]:
    """(the file, the annotations of the split, all class names)."""
    if split not in SUBSETS:
        raise MissingSplitError(name, split, tuple(SUBSETS))
    path = need_file(root, LIST_NAMES, LIST_FOLDERS)
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ManifestError(str(path), ['must be an object with the key "database"'])
    stretches: list[_Stretch] = []
    faults = []
    for video, entry in content["database"].items():
        try:
            stretches += _stretches(video, entry)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ManifestError(str(path), faults)
    order = find_file(root, ["label_map.txt"], LIST_FOLDERS)
    labels = tuple(sorted({e.label for e in stretches})) if order is None else read_names(order)
    return path, [each for each in stretches if each.subset == SUBSETS[split]], labels


def _stretches(video: str, entry: object) -> Iterator[_Stretch]:
    subset = take(Literal["training", "validation", "testing"], entry, "subset", video)
    annotations = take(tuple[object, ...], entry, "annotations", video)
    for number, each in enumerate(annotations, start=1):
        where = f"{video} annotation {number}"
        label = take(str, each, "label", where)
        start, end = take(tuple[float, float], each, "segment", where)
        yield _Stretch(video, subset, number, label, start, end)
