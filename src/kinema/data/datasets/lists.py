"""List files: `path label`, `dir frames label`, `dir start end label`, a clip per line."""

from __future__ import annotations

import re
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
SEVERAL = re.compile(r"(.+\.[A-Za-z][A-Za-z0-9]{1,3}) (\d+(?: \d+)+)")
FORMS = ("path label", "dir frames label", "dir start end label")

Lines = list[tuple[int, str]]


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
    texts = {split: list(numbered_lines(path)) for split, path in found.items()}
    tokens = [text.rpartition(" ")[2] for lines in texts.values() for _, text in lines]
    labels, names = _labels(found["train"].parent, root, tokens)
    return {
        split: _manifest(path, texts[split], labels, names, Clips(root, VIDEO_FOLDERS))
        for split, path in found.items()
    }


def _labels(home: Path, root: Path, tokens: list[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """(class names, the name of each class a list names by another word)."""
    for folder in dict.fromkeys((home, root, root / "annotations")):
        if path := find_file(folder, ["label_map.txt"]):
            labels, first = read_names(path), 0
        elif path := find_file(folder, ["classInd.txt"]):
            labels, first = read_numbered_names(path), 1
        else:
            continue
        return labels, {str(number): label for number, label in enumerate(labels, start=first)}
    return sorted_labels(tokens), {}


def _manifest(
    path: Path, lines: Lines, labels: tuple[str, ...], names: dict[str, str], clips: Clips
) -> Manifest:
    numbers = _form(lines, clips)
    rows, faults = [], []
    for line, text in lines:
        words = text.rsplit(" ", numbers + 1)
        clip, between, label = words[0], words[1:-1], words[-1]
        where = f"line {line}"
        if len(words) < numbers + 2 or not all(word.isdecimal() for word in between):
            faults.append(f"{where} must be '{FORMS[numbers]}' like the first, it is {text!r}")
            continue
        if not numbers and (video := SEVERAL.fullmatch(text)):
            several = f"several labels of {video[1]}: {video[2]}"
            faults.append(f"{where} has {several}; a clip has one label here")
            continue
        first, last = (1, *map(int, between))[-2:] if between else (1, None)
        if first < 1:
            faults.append(f"{where}: frames count from 1, the stretch begins at {first}")
            continue
        start = (first - 1) / FRAME_FOLDER_FPS
        end = None if last is None else last / FRAME_FOLDER_FPS
        row_id = f"{clip}@{between[0]}-{between[1]}" if numbers == 2 else clip
        label = names.get(label, label)
        rows.append(Row(where=where, names=(clip,), label=label, id=row_id, start=start, end=end))
    name = f"{path.resolve().parent.name}/{path.stem}"
    return to_manifest(name, path, rows, labels, clips, faults=faults)


def _form(lines: Lines, clips: Clips) -> int:
    """How many numbers stand between clip and class: with so many, the first clip is there."""
    for _, text in lines:
        for numbers in range(len(FORMS)):
            words = text.rsplit(" ", numbers + 1)
            if len(words) == numbers + 2 and all(word.isdecimal() for word in words[1:-1]):
                clip = clips.find(words[0])
                if clip is not None and (not numbers or clip.is_dir()):
                    return numbers
    return 0
