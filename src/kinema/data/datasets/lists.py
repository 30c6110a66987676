"""List files: `path label`, `dir frames label`, `dir start end label`, a clip per line.

A clip may have several labels: `path label label`, or `dir frames label,label`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..manifest import Manifest, ManifestError
from ..readers._images import FRAME_FOLDER_FPS
from ._clips import Clips, find_file
from ._registry import MissingSplitError, register_dataset
from ._rows import Row, numbered_lines, read_names, read_numbered_names, to_manifest
from .folder import SPLIT_FOLDERS
from .table import sorted_labels

LIST_ENDING = ".txt"
LIST_ENDINGS = (LIST_ENDING, ".csv")  # inside a folder; a single .csv file is a table
LIST_FOLDERS = ("", "annotations")
VIDEO_FOLDERS = ("", "videos", "rawframes", "frames")
SPLIT_WORDS = {word: split for split, names in SPLIT_FOLDERS.items() for word in names}
WORD = re.compile(r"[A-Za-z]+")
NUMBERED = re.compile(r"(.+\.[A-Za-z][A-Za-z0-9]{1,3}) (\d+(?: \d+)+)")
FORMS = ("path label", "dir frames label", "dir start end label")

Lines = list[tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line in its parts: the clip, (frames) or (first, last frame) or nothing, the classes."""

    where: str
    clip: str
    stretch: list[int]
    labels: tuple[str, ...]


@register_dataset("lists")
def lists(root: Path, split: str) -> Manifest:
    """The list in `root` or `root/annotations` whose name has the word train, val or test.

    `train.txt`, `train.csv` and `kinetics400_train_list_videos.txt` are such names.
    """
    found = _lists_of(root)
    if "train" not in found:
        wanted = "a train.txt, or another .txt or .csv file with train in its name"
        raise ManifestError(str(root), [f"has no {wanted}, nor has {root / 'annotations'}"])
    if split not in found:
        raise MissingSplitError("lists", split, tuple(found))
    return _read(found, root)[split]


def read_list(path: Path, *, root: Path | None = None) -> dict[str, Manifest]:
    """The manifests of a list file and of those beside it, by split.

    A line is `path label`, `dir frames label` or `dir start end label`: a video file or a folder of
    frames, how many of its frames count or which (the first is 1, the last is included), and the
    class. It is split from the right, so paths may hold spaces; which of the three a file has is
    told by the clips on disk. Paths are relative to `root` or its folders `videos`, `rawframes` and
    `frames`.

    Several classes are joined by commas, or by spaces where they are numbers. Three numbers after a
    folder of frames are a stretch and a class, unless another line of the file has two.

    Classes are text, or numbers. Numbers stand for the lines of a `label_map.txt`, from 0, or of a
    `classInd.txt` (`1 <class>`); where there is neither, the classes are the distinct numbers of
    all lists, by value. Where `path` has the word train, val or test in its name, the lists that
    are named like it with the other words in its place belong to it.

    Args:
        path: the list.
        root: what paths are relative to; None: the folder of the list.

    Raises:
        ManifestError: with the first faulty lines, by their number.
    """
    found = _family(path)
    if "train" not in found:
        remedy = "a list of training clips is needed; name it like this one, with train in its name"
        raise ManifestError(str(path), ["there is no list of training clips beside it"], remedy)
    return _read(found, path.resolve().parent if root is None else root)


def _family(path: Path) -> dict[str, Path]:
    """The list and those that are named like it, by split."""
    for match in WORD.finditer(path.name):
        if match.group().lower() in SPLIT_WORDS:
            before, after = path.name[: match.start()], path.name[match.end() :]
            found = {SPLIT_WORDS[match.group().lower()]: path}
            for word, split in SPLIT_WORDS.items():
                if (path.parent / f"{before}{word}{after}").is_file():
                    found.setdefault(split, path.parent / f"{before}{word}{after}")
            return found
    return {"train": path}


def _lists_of(root: Path) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for folder in LIST_FOLDERS:
        for path in sorted((root / folder).glob("*")):
            named = {SPLIT_WORDS.get(word.lower()) for word in WORD.findall(path.stem)}
            if path.suffix.lower() in LIST_ENDINGS and len(named - {None}) == 1:
                (split,) = named - {None}
                found.setdefault(str(split), []).append(path)
    for paths in found.values():
        if len(paths) > 1:
            fault = f"has {paths[0].name} and {paths[1].name}"
            raise ManifestError(str(root), [fault], "give the one that is meant, as a file")
    return {split: found[split][0] for split in ("train", "val", "test") if split in found}


def _read(found: dict[str, Path], root: Path) -> dict[str, Manifest]:
    clips = Clips(root, VIDEO_FOLDERS)
    labels, names = _label_map(found["train"].parent, root)
    parts = {
        split: _entries(list(numbered_lines(path)), clips, names) for split, path in found.items()
    }
    if not labels:
        labels = sorted_labels(
            label for entries, _ in parts.values() for entry in entries for label in entry.labels
        )
    return {split: _manifest(found[split], *parts[split], labels, clips) for split in found}


def _label_map(home: Path, root: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """(class names, the name of each class by what a list may call it); empty: there is no map."""
    for folder in dict.fromkeys((home, root, root / "annotations")):
        if path := find_file(folder, ["label_map.txt"]):
            labels, first = read_names(path), 0
        elif path := find_file(folder, ["classInd.txt"]):
            labels, first = read_numbered_names(path), 1
        else:
            continue
        numbers = {str(number): label for number, label in enumerate(labels, start=first)}
        return labels, {label: label for label in labels} | numbers
    return (), {}


def _entries(lines: Lines, clips: Clips, names: dict[str, str]) -> tuple[list[Entry], list[str]]:
    """(the lines in their parts, what is wrong with the other ones)."""
    numbers = _form(lines, clips)
    entries, faults = [], []
    for line, text in lines:
        clip, *rest = _split(text, numbers, clips) or ("",)
        between, last = rest[:numbers], rest[numbers:]
        words = [w for word in last for w in ([word] if word in names else word.split(","))]
        where = f"line {line}"
        if not clip or not all(words):
            faults.append(f"{where} must be '{FORMS[numbers]}' like the first, it is {text!r}")
        elif len(last) > 1 and not all(word.isdecimal() for word in words):
            faults.append(f"{where}: several labels in words need commas between them: {text!r}")
        elif between and numbers == 2 and int(between[0]) < 1:
            faults.append(f"{where}: frames count from 1, the stretch begins at {between[0]}")
        else:
            labels = tuple(names.get(word, word) for word in words)
            stretch = [int(number) for number in between]
            entries.append(Entry(where=where, clip=clip, stretch=stretch, labels=labels))
    return entries, faults


def _manifest(
    path: Path, entries: list[Entry], faults: list[str], labels: tuple[str, ...], clips: Clips
) -> Manifest:
    rows = []
    for entry in entries:
        clip, stretch = entry.clip, entry.stretch
        first, last = (1, *stretch)[-2:] if stretch else (1, None)
        rows.append(
            Row(
                where=entry.where,
                names=(clip,),
                labels=entry.labels,
                id=f"{clip}@{stretch[0]}-{stretch[1]}" if len(stretch) == 2 else clip,
                start=(first - 1) / FRAME_FOLDER_FPS,
                end=None if last is None else last / FRAME_FOLDER_FPS,
            )
        )
    name = f"{path.resolve().parent.name}/{path.stem}"
    return to_manifest(name, path, rows, labels, clips, faults=faults)


def _form(lines: Lines, clips: Clips) -> int:
    """How many numbers stand between clip and labels: the fewest after a clip that is there.

    Folders of frames have up to two; what stands after a video is all labels.
    """
    fewest = None
    for _, text in lines:
        for clip, *rest in _ways(text):
            path = clips.find(clip)
            if path is not None:
                numbers = min(len(rest) - 1, 2) if path.is_dir() else 0
                if numbers < 2:
                    return numbers
                fewest = numbers
                break
    return fewest or 0


def _split(text: str, numbers: int, clips: Clips) -> list[str]:
    """Clip and words after it, of several ways that with the longest path that is there; or []."""
    ways = [way for way in _ways(text) if len(way) > numbers + 1]
    if len(ways) > 1:
        for way in ways:
            if clips.find(way[0]) is not None:
                return way
        if not numbers and (video := NUMBERED.fullmatch(text)):
            return [video[1], *video[2].split(" ")]
    return ways[0] if ways else []


def _ways(text: str) -> Iterator[list[str]]:
    """A line as clip and words after it, all of them numbers but the last: one word, two, ..."""
    words = text.split(" ")
    for count in range(1, len(words)):
        if count > 1 and not words[-count].isdecimal():
            return
        yield [" ".join(words[:-count]), *words[-count:]]
