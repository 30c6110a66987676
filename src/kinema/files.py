"""Files that are either whole or not there."""

from __future__ import annotations

import os
import re
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
    if isinstance(path, RemotePath) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()):
        raise ValueError(f"{path}: results are written to folders of this machine, not to a URL")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
