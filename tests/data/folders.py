"""Data sets of the smallest kind: files that are there, and what a manifest says of them."""

from pathlib import Path

from kinema.data import Manifest


def put(path: Path, content: str = "video") -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def videos(root: Path, *names: str) -> None:
    """Files that are called like videos."""
    for name in names:
        put(root / name)


def frames(root: Path, *names: str) -> None:
    """Folders that hold a picture."""
    for name in names:
        put(root / name / "00001.jpg")


def rows(manifest: Manifest) -> list[tuple[str, str]]:
    """(id, class) of each record."""
    return [(r.id, manifest.labels[r.label or 0]) for r in manifest.records]


def labels_of(manifest: Manifest) -> list[tuple[str, ...]]:
    """The classes of each record."""
    return [tuple(manifest.labels[i] for i in r.labels) for r in manifest.records]
