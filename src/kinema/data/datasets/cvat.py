"""Exports of CVAT (`CVAT for images 1.1`): the tags of a video's frames are its labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..manifest import Manifest, ManifestError
from ._clips import Clips
from ._rows import Row, read_text, to_manifest
from .table import split_named

CVAT_ENDING = ".xml"
VIDEO_FOLDERS = ("", "videos", "data")
REMEDY = "export the task or the project as 'CVAT for images 1.1'"


def read_cvat(path: Path, *, root: Path | None = None) -> dict[str, Manifest]:
    """The manifests of an export of a task or a project, by split.

    A video is a task. It has the labels of all tags on its frames, whichever frames they are on;
    boxes and other shapes are passed over. Only `CVAT for images 1.1` keeps tags, `CVAT for video`
    leaves them out. A video is looked for by the name that the task has it under (`source`), below
    `root` and its folders `videos` and `data`. Videos without a tag are left out, and the name of
    the manifest says so. The subset of a task (Train, Validation, Test) is the split. Classes are
    the labels of the task or project that a tag may have, in their order there.

    Args:
        path: `annotations.xml` of the export.
        root: what names are relative to; None: the folder of the export.

    Raises:
        ManifestError: naming the file, the task and the rule.
    """
    tree = _parse(path)
    meta = tree.find("meta")
    tasks = [] if meta is None else list(meta.iter("task"))
    if not tasks:
        raise ManifestError(str(path), ["names no task, and so no video"], REMEDY)
    if tree.find("track") is not None:
        raise ManifestError(str(path), ["has tracks, so it is of 'CVAT for video'"], REMEDY)
    tags = _tags(path, tree, [_text(task, "id") for task in tasks])
    rows: dict[str, list[Row]] = {}
    totals: Counter[str] = Counter()
    faults = []
    for task in tasks:
        number = _text(task, "id")
        where = f"task {number} ({_text(task, 'name')})"
        # older versions have the source of a single task beside it
        source = _text(task, "source") or (_text(meta, "source") if len(tasks) == 1 else "")
        subset = _text(task, "subset")
        try:
            split = split_named("" if subset.lower() == "default" else subset)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if not source:
            faults.append(f"{where} names no video as its source; it is one of pictures")
            continue
        totals[split] += 1
        if labels := tuple(tags[number]):
            row = Row(where=where, names=(source,), labels=labels, group=source)
            rows.setdefault(split, []).append(row)
    if faults or not rows:
        raise ManifestError(str(path), faults or ["has no tag on any frame"])
    classes = _classes(tree)
    clips = Clips(path.resolve().parent if root is None else root, VIDEO_FOLDERS)
    parts = {}
    for split, those in rows.items():
        share = f" ({len(those)} of {totals[split]} videos)" if len(those) < totals[split] else ""
        parts[split] = to_manifest(f"{path.stem}/{split}{share}", path, those, classes, clips)
    return parts


def _parse(path: Path) -> Element:
    try:
        tree = ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise ManifestError(str(path), [f"is not XML: {error}"]) from None
    if tree.tag != "annotations":
        raise ManifestError(str(path), [f"must begin with <annotations>, not <{tree.tag}>"], REMEDY)
    return tree


def _tags(path: Path, tree: Element, tasks: list[str]) -> dict[str, dict[str, None]]:
    """Of each task the labels of the tags, in the order they come."""
    found: dict[str, dict[str, None]] = {task: {} for task in tasks}
    faults = []
    for image in tree.iter("image"):
        where = f"image {image.get('name') or image.get('id')}"
        task = image.get("task_id") or (tasks[0] if len(tasks) == 1 else "")
        if task not in found:
            faults.append(f"{where}: task_id {task!r} is not among the tasks {', '.join(tasks)}")
            continue
        for tag in image.iter("tag"):
            label = tag.get("label")
            if not label:
                faults.append(f"{where}: a tag lacks its label")
            else:
                found[task][label] = None
    if faults:
        raise ManifestError(str(path), faults)
    return found


def _classes(tree: Element) -> tuple[str, ...]:
    """Names of the labels that a tag may have; `any` is the type of labels for everything."""
    labels = tree.iterfind("meta//labels/label")
    kept = [label for label in labels if _text(label, "type") in ("", "any", "tag")]
    return tuple(dict.fromkeys(_text(label, "name") for label in kept))


def _text(element: Element | None, name: str) -> str:
    """The text of a child; empty where there is none."""
    return "" if element is None else (element.findtext(name) or "").strip()
