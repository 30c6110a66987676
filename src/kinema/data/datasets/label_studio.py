"""Exports of Label Studio (JSON and JSON-MIN): classes of videos, and of stretches of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from ..manifest import Manifest, ManifestError
from ..readers import VIDEO_ENDINGS
from ._clips import Clips
from ._rows import Row, read_json, read_text, take, to_manifest
from .table import sorted_labels, split_named

LABEL_STUDIO_ENDING = ".json"
VIDEO_FOLDERS = ("", "videos", "media", "upload")
CONFIG = "config.xml"  # the labeling interface, which an export does not hold
USUAL_RATE = 24.0  # frames per second of a Video tag that does not say
UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>.+)")  # what an uploaded file is called
KINDS = ("choices", "timelinelabels", "labels")

Object = Mapping[str, object]


@dataclass(frozen=True)
class Result:
    """What an annotator said of a video, or of a stretch of it.

    Attributes:
        tag: name of the control it was given with.
        labels: one or several.
        frames: first and last frame of the stretch, counted from 1; None: not told in frames.
        seconds: the stretch in seconds; None: not told in seconds.
    """

    tag: str
    labels: tuple[str, ...]
    frames: tuple[int, int] | None = None
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Task:
    """A video and the answers to it, one per annotator who did not skip it."""

    where: str
    data: Object
    answers: list[list[Result]]


def read_label_studio(path: Path, *, root: Path | None = None) -> dict[str, Manifest]:
    """The manifests of an export, by split.

    `Choices` of a `Video` are the labels of the video; `TimelineLabels`, or `Labels` of its sound
    track, make a record of each stretch. The video is the one value of the task's data that ends
    like a video file: an uploaded file (`/data/upload/1/1a2b3c4d-jump.mp4`, also looked for as
    `jump.mp4`), a local file (`/data/local-files/?d=a/jump.mp4`), an address or a path. It is
    looked for below `root` and its folders `videos`, `media`, `upload`, by its path and its name.

    Tasks that were skipped or have no label are left out, and the name of the manifest says how
    many remain. Several annotations of a task must agree, unless one is marked as ground truth.
    Stretches are counted in frames of the `frameRate` of the `Video` tag, which is `fps` in the
    task's data, or in the labeling interface, saved as `config.xml` beside the export. `split` in
    the task's data says train, val or test. Classes are the labels found, sorted.

    Args:
        path: the export, a list of tasks.
        root: what paths are relative to; None: the folder of the export.

    Raises:
        ManifestError: with the first faulty tasks, by their place in the list, from 1.
    """
    home = path.resolve().parent
    rows: dict[str, list[Row]] = {}
    totals: Counter[str] = Counter()
    tasks, faults = _tasks(path)
    for task in tasks:
        try:
            split = split_named(str(task.data.get("split") or ""))
            found = list(_rows(task, home))
        except ValueError as error:
            faults.append(f"{task.where}: {error}")
            continue
        totals[split] += 1
        if found:
            rows.setdefault(split, []).extend(found)
    if faults or not rows:
        raise ManifestError(str(path), faults or ["has no task with a label"])
    labels = sorted_labels(
        label for those in rows.values() for row in those for label in row.labels
    )
    clips = Clips(home if root is None else root, VIDEO_FOLDERS)
    parts = {}
    for split, those in rows.items():
        kept = len({row.where for row in those})
        share = f" ({kept} of {totals[split]} tasks)" if kept < totals[split] else ""
        parts[split] = to_manifest(f"{path.stem}/{split}{share}", path, those, labels, clips)
    return parts


def _tasks(path: Path) -> tuple[list[Task], list[str]]:
    """(the tasks, what is wrong with others)."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ManifestError(str(path), ["must be a list of tasks, as Label Studio exports them"])
    tasks: dict[str, Task] = {}
    faults = []
    for number, entry in enumerate(content, start=1):
        where = f"task {number}"
        try:
            if not isinstance(entry, Mapping):
                raise ValueError(f"{where} must be an object")
            if "annotations" in entry or "data" in entry:
                data, answers = take(Object, entry, "data", where), _full(entry, where)
            else:
                data, answers = _minimal(entry, where)
        except ValueError as error:
            faults.append(str(error))
            continue
        # JSON-MIN has an entry per annotation; those of a task have its id
        key = where if "data" in entry else entry["id"]
        same = tasks.setdefault(str(key), Task(where, data, []))
        same.answers.extend(answers)
    return list(tasks.values()), faults


def _full(task: Object, where: str) -> list[list[Result]]:
    """The answers of a task of the JSON export."""
    answers, true = [], []
    for annotation in take(tuple[object, ...], task, "annotations", where):
        results = [
            result
            for entry in take(tuple[object, ...], annotation, "result", where)
            for result in _results(entry, where)
        ]
        if not annotation.get("was_cancelled"):
            answers.append(results)
            true += [results] if annotation.get("ground_truth") else []
    return true or answers


def _results(entry: object, where: str) -> Iterator[Result]:
    kind = take(str, entry, "type", f"{where}: a result")
    if kind in KINDS:
        tag = take(str, entry, "from_name", f"{where}: a result")
        yield from _read_value(tag, kind, take(Object, entry, "value", where), where)


def _minimal(task: Object, where: str) -> tuple[Object, list[list[Result]]]:
    """(data, the answer) of an entry of the JSON-MIN export: results stand behind the id."""
    keys = list(task)
    if "id" not in keys or "annotator" not in keys[keys.index("id") :]:
        raise ValueError(f"{where} has neither annotations (JSON) nor id and annotator (JSON-MIN)")
    tags = keys[keys.index("id") + 1 : keys.index("annotator")]
    results: list[Result] = []
    for tag in tags:
        value = task[tag]
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                results.append(Result(tag, (each,)))
            elif isinstance(each, Mapping):
                for kind in KINDS:
                    if kind in each:
                        results += _read_value(tag, kind, each, where)
    return {key: value for key, value in task.items() if key not in tags}, [results]


def _read_value(tag: str, kind: str, value: Object, where: str) -> Iterator[Result]:
    labels = take(tuple[str, ...], value, kind, f"{where}: {tag}")
    if kind == "timelinelabels":
        for each in take(tuple[object, ...], value, "ranges", f"{where}: {tag}"):
            frames = (take(int, each, key, f"{where}: {tag}") for key in ("start", "end"))
            yield Result(tag, labels, frames=(next(frames), next(frames)))
    elif kind == "labels":
        seconds = (take(float, value, key, f"{where}: {tag}") for key in ("start", "end"))
        yield Result(tag, labels, seconds=(next(seconds), next(seconds)))
    else:
        yield Result(tag, labels)


def _rows(task: Task, home: Path) -> Iterator[Row]:
    """A row per stretch, or one for the whole video."""
    answers = [results for results in task.answers if results]
    if not answers:
        return
    results = answers[0]
    if any(set(other) != set(results) for other in answers):
        raise ValueError(
            f"its {len(answers)} annotations differ; keep one of them, or mark it as ground truth"
        )
    tags = sorted({result.tag for result in results})
    if len(tags) > 1:
        raise ValueError(f"has results of several tags ({', '.join(tags)}); keep those of one")
    names = _names(task.data)
    stretches = [result for result in results if result.frames or result.seconds]
    if not stretches:
        labels = tuple(dict.fromkeys(label for result in results for label in result.labels))
        yield Row(where=task.where, names=names, labels=labels, group=names[0])
    for result in stretches:
        start, end = result.seconds or _seconds(result.frames or (0, 0), task.data, home)
        yield Row(
            where=task.where,
            names=names,
            labels=result.labels,
            id=f"{names[0]}@{start:g}-{end:g}",
            start=start,
            end=end,
            group=names[0],
        )


def _seconds(frames: tuple[int, int], data: Object, home: Path) -> tuple[float, float]:
    first, last = frames
    if not 1 <= first <= last:
        raise ValueError(f"frames {first} to {last} must rise and count from 1")
    rate = _rate(data, home)
    return (first - 1) / rate, last / rate


def _rate(data: Object, home: Path) -> float:
    """Frames per second that stretches are counted in."""
    if "fps" in data:
        told, where = data["fps"], "fps in its data"
    elif (config := home / CONFIG).is_file():
        try:
            video = ElementTree.fromstring(read_text(config)).find(".//Video")
        except ElementTree.ParseError as error:
            raise ValueError(f"{config} is not XML: {error}") from None
        found = {} if video is None else {k.lower(): v for k, v in video.attrib.items()}
        told, where = found.get("framerate", USUAL_RATE), f"frameRate in {config}"
    else:
        raise ValueError(
            "its stretches are counted in frames, and nothing says how many a second has; save the "
            f"labeling interface as {config}, or add fps to the data of the tasks"
        )
    try:
        rate = float(str(told))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise ValueError(f"{where} is {told!r} and must be a number above 0")
    return rate


def _names(data: Object) -> tuple[str, ...]:
    """What the video of a task may be called on disk, its full path first."""
    found = [text for text in data.values() if isinstance(text, str) and _is_video(_path(text))]
    if len(found) != 1:
        listed = f"{len(found)}: {', '.join(found)}" if found else "none"
        raise ValueError(f"its data must have one value that is a video, it has {listed}")
    path = _path(found[0])
    name = path.rsplit("/", 1)[-1]
    names = [found[0], path, unquote(path), name, unquote(name)]
    if uploaded := UPLOADED.fullmatch(unquote(name)):
        names.append(uploaded["name"])
    return tuple(dict.fromkeys(names[1:] if "://" in names[0] or "?" in names[0] else names))


def _path(address: str) -> str:
    """The path of an address, without host; that of a local file stands in the query."""
    parts = urlsplit(address)
    if parts.path.endswith("/data/local-files/"):
        return parse_qs(parts.query).get("d", [""])[0]
    return parts.path.lstrip("/") if parts.scheme else parts.path


def _is_video(path: str) -> bool:
    return Path(path).suffix.lower() in VIDEO_ENDINGS
