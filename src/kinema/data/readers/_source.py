"""What a decoder opens: a name on this machine, or a remote file whose errors name the URL."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...remote import RemotePath
from ._protocol import VideoError


@contextmanager
def naming(path: Path | RemotePath | str) -> Iterator[None]:
    """Turns the errors of files and connections into a VideoError of this path."""
    try:
        yield
    except OSError as error:
        text = error.strerror or str(error)
        cause = text.removeprefix(f"{path}").lstrip(": ")
        raise VideoError(str(path), None, cause) from error


def source(path: Path) -> str | RemoteSource:
    """What to give `av.open` for a path."""
    return RemoteSource(path) if isinstance(path, RemotePath) else str(path)


class RemoteSource:
    """A remote file for a decoder, which hands on what it raises.

    Args:
        path: of the file.

    Raises:
        VideoError: here and in reading, naming the URL and the cause.
    """

    def __init__(self, path: RemotePath) -> None:
        self.name = str(path)
        with naming(path):
            self._file = path.open("rb")

    def read(self, size: int) -> bytes:
        """Up to so many bytes from where the file stands."""
        with naming(self.name):
            return bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a byte and says to which."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the file stands."""
        return self._file.tell()
