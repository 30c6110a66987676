"""Files that are either whole or not there."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .remote import RemotePath


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`, which becomes `path` at the end of the block.

    An exception inside the block leaves `path` as it was and removes the temporary file.

    Raises:
        ValueError: for a URL.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder beside `path`, which becomes `path` at the end of the block.

    An exception inside the block removes it. What a killed process left behind is removed by the
    next one that writes the same folder; its name begins with a dot.

    Raises:
        ValueError: for a URL.
    """
    temporary = _temporary(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        shutil.rmtree(left)
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    if isinstance(path, RemotePath) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()):
        raise ValueError(f"{path}: results are written to folders of this machine, not to a URL")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.part")
