"""Where the files of a data set lie: annotation files, and clips by what a list calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..manifest import ManifestError
from ..readers import VIDEO_ENDINGS
from ._registry import MissingSplitError

ENDINGS = (".avi", ".mp4", ".mkv", ".webm")
FOLDER = "/"  # the ending of a folder of frames that is named like a video without its ending


class Clips:
    """Finds video files and frame folders below a few places.

    A clip may have another ending than its list says (a transcoded copy), or be a folder of frames.
    The spelling of the last hit is tried first, so that a large data set costs one look per clip.

    Args:
        root: folder of the data set.
        folders: places below it, in order.
    """

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self._root, self._folders = root, tuple(folders)
        self._places = [root / folder for folder in folders if (root / folder).is_dir()]
        self._last: tuple[Path, int, str] | None = None

    def __str__(self) -> str:
        return ", ".join(str(self._root / folder) for folder in self._folders)

    def find(self, *names: str) -> Path | None:
        """The clip called by one of these names, relative to a place; None: there is none."""
        for spelling in self._spellings(names):
            place, which, ending = spelling
            name = _stem(names[which]) if ending else names[which]
            path = place / f"{name}{ending}"
            if path.is_file() if _ends_like_video(path.name) else path.is_dir():
                self._last = spelling
                return path
        return None

    def _spellings(self, names: Sequence[str]) -> Iterator[tuple[Path, int, str]]:
        """(place, index of the name, ending); an empty ending takes the name as it is."""
        if self._last is not None and self._last[1] < len(names):
            yield self._last
        for ending in ("", *ENDINGS, FOLDER):
            for place in self._places:
                for which in range(len(names)):
                    yield place, which, ending


def find_file(root: Path, names: Sequence[str], folders: Sequence[str] = ("",)) -> Path | None:
    """The first of the annotation files that is there."""
    places = (root / folder / name for folder in folders for name in names)
    return next((place for place in places if place.is_file()), None)


def need_file(root: Path, names: Sequence[str], folders: Sequence[str] = ("",)) -> Path:
    """`find_file`, or a `ManifestError` that says what was looked for, and where."""
    path = find_file(root, names, folders)
    if path is None:
        others = [str(root / folder) for folder in folders if folder]
        also = f", nor has {' or '.join(others)}" if others else ""
        raise ManifestError(str(root), [f"has no {' or '.join(names)}{also}"])
    return path


def need_list(
    name: str,
    root: Path,
    split: str,
    names: Mapping[str, Sequence[str]],
    folders: Sequence[str] = ("",),
) -> Path:
    """The annotation file of a split.

    Args:
        name: of the data set.
        root: its folder.
        split: that is wanted.
        names: what the file may be called, by split; the first split is the one for training.
        folders: where it may lie below root.

    Raises:
        ManifestError: when the file of the first split is not there.
        MissingSplitError: for a split that is not named, or another one whose file is not there.
    """
    first, *others = names
    if split == first:
        return need_file(root, names[first], folders)
    path = find_file(root, names[split], folders) if split in others else None
    if path is None:
        found = [other for other in others if find_file(root, names[other], folders)]
        raise MissingSplitError(name, split, (first, *found))
    return path


def _ends_like_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_ENDINGS


def _stem(name: str) -> str:
    """The name without the ending of a video; other dots are part of the name."""
    return name.rsplit(".", 1)[0] if _ends_like_video(name) else name
