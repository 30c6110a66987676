"""Data behind a URL: paths that read like `pathlib.Path`. The one place that knows fsspec.

`s3://bucket/clips`, `https://host/list.csv`, `hf://datasets/user/name`, `memory://clips`: whatever
fsspec has a package for, which also finds the credentials. Nothing is written to a URL.
"""

from __future__ import annotations

import io
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import unquote

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WEB = ("http", "https")
NOT_THERE = (404, 410)  # answers of a web server
BLOCK = 2**20  # bytes of one request
BLOCKS = 16  # of a file that stay in memory


def to_path(text: str | Path) -> Path:
    """A path on this machine, or a `RemotePath` for text that begins like `s3://`."""
    if isinstance(text, RemotePath):
        return text
    if isinstance(text, str) and URL.match(text):
        return cast(Path, RemotePath(text))  # it has what is used of a Path
    return Path(text)


def join(home: Path, text: str | Path) -> Path:
    """`home / text`, where either may be a URL."""
    other = to_path(text)
    return other if isinstance(other, RemotePath) else home / other


@dataclass(frozen=True)
class RemoteStat:
    """What is known of a file or folder.

    Attributes:
        st_size: bytes; -1: the server does not say.
        st_mtime_ns: when it was changed; 0: the server does not say.
        folder: whether it is one.
    """

    st_size: int
    st_mtime_ns: int
    folder: bool


class RemotePath:
    """A file or folder behind a URL, as far as reading data asks for a path.

    It holds text only: the connection is fsspec's, one per process, so a path may travel into
    loader processes. A web server does not tell files from folders: there, a name with an ending is
    a file.

    Args:
        url: `protocol://...`; web addresses may have a query.

    Raises:
        ValueError: for a chain of protocols (`zip://a.mp4::s3://b/c.zip`).
    """

    def __init__(self, url: str) -> None:
        self._scheme, _, rest = url.partition("://")
        if "::" in rest:
            raise ValueError(f"{url} chains protocols with '::'; give the URL of plain files")
        rest, mark, query = rest.partition("?") if self._scheme in WEB else (rest, "", "")
        self._query = mark + query
        self._root = "/" * rest.startswith("/")
        self._pure = PurePosixPath(_folded(rest))
        self._known: RemoteStat | None = None

    def __str__(self) -> str:
        return f"{self._scheme}://{self._root}{self._pure if self._pure.name else ''}{self._query}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __truediv__(self, other: str | PurePath) -> Path:
        text = other.as_posix() if isinstance(other, PurePath) else other
        if URL.match(text) or text.startswith("/"):
            return to_path(text)
        return cast(Path, RemotePath(f"{self._scheme}://{self._root}{self._pure}/{text}"))

    def __reduce__(self) -> tuple[type[RemotePath], tuple[str]]:
        return RemotePath, (str(self),)

    @property
    def name(self) -> str:
        """The last part."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The ending of the last part, with its dot."""
        return self._pure.suffix

    @property
    def parent(self) -> RemotePath:
        """The folder it is in."""
        return RemotePath(f"{self._scheme}://{self._root}{self._pure.parent}")

    def as_posix(self) -> str:
        """The URL."""
        return str(self)

    def resolve(self) -> RemotePath:
        """Itself: URLs are whole."""
        return self

    def absolute(self) -> RemotePath:
        """Itself: URLs are whole."""
        return self

    def is_relative_to(self, other: object) -> bool:
        """Never: URLs are stored whole."""
        return False

    def is_symlink(self) -> bool:
        """Never: a URL tells of no links."""
        return False

    def exists(self) -> bool:
        """Whether there is such a file or folder; a failing connection is an OSError, not a no."""
        return self._about() is not None

    def is_file(self) -> bool:
        """Whether it is a file."""
        about = self._about()
        return about is not None and not about.folder

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        if self._scheme in WEB and self.suffix:
            return False
        about = self._about()
        return about is not None and about.folder

    def stat(self) -> RemoteStat:
        """What is known of it.

        Raises:
            FileNotFoundError: naming the URL.
        """
        about = self._about()
        if about is None:
            raise FileNotFoundError(f"{self}: no such file")
        return about

    def iterdir(self) -> Iterator[Path]:
        """What lies in the folder, sorted."""
        with self._explained():
            system, path = self._system()
            entries = system.ls(path, detail=True)
        home = str(path).strip("/")
        for entry in sorted(entries, key=lambda entry: str(entry["name"])):
            inside, _, name = str(entry["name"]).rstrip("/").rpartition("/")
            if not name or inside.strip("/") != home or "?" in name:
                continue  # a page has links to other places too
            child = self / (unquote(name) if self._scheme in WEB else name)
            if self._scheme not in WEB:  # a page does not tell sizes
                cast(RemotePath, child)._known = _read_about(entry)
            yield child

    def glob(self, pattern: str) -> Iterator[Path]:
        """What lies in the folder, if there is one, and has such a name; of this level only."""
        if self.is_dir():
            yield from (entry for entry in self.iterdir() if entry.match(pattern))

    def match(self, pattern: str) -> bool:
        """Whether the name fits a shell pattern."""
        return self._pure.match(pattern)

    def open(
        self, mode: str = "r", *, encoding: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """The file for reading: in pieces as `rb`, whole as text.

        Raises:
            OSError: naming the URL and the cause.
            ValueError: for writing.
        """
        if mode == "rb":
            return cast(IO[Any], RemoteFile(self))
        if mode not in ("r", "rt"):
            raise ValueError(f"{self} cannot be opened with mode={mode!r}; URLs are only read")
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding, newline=newline)

    def read_bytes(self) -> bytes:
        """The whole file."""
        with self._explained():
            system, path = self._system()
            return cast(bytes, system.cat_file(path))

    def read_text(self, encoding: str | None = None) -> str:
        """The whole file as text."""
        with self.open(encoding=encoding) as file:
            return cast(str, file.read())

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`; all of the file from a server that gives no parts."""
        with self._explained():
            system, path = self._system()
            if getattr(system, "async_impl", False):
                return cast(bytes, system.cat_file(path, start=start, end=end))
            with system.open(path, "rb", cache_type="none") as file:  # blocks are kept here
                file.seek(start)
                return cast(bytes, file.read(end - start))

    def _about(self) -> RemoteStat | None:
        """What is known of it, asked for once; None: it is not there."""
        if self._known is None:
            with self._explained():
                system, path = self._system()
                try:
                    about = _read_about(system.info(path))
                except FileNotFoundError as error:
                    cause = error.__cause__  # fsspec's web client calls every failure so
                    if cause is None or getattr(cause, "status", None) in NOT_THERE:
                        return None
                    raise cause from None
            folder = not self.suffix if self._scheme in WEB else about.folder
            self._known = replace(about, folder=folder)
        return self._known

    def _system(self) -> tuple[Any, str]:
        """(file system of this process, its name for the path); fsspec keeps the connections."""
        from fsspec.core import url_to_fs

        return cast(tuple[Any, str], url_to_fs(str(self)))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Every package has errors of its own; they become OSErrors that name the URL."""
        try:
            yield
        except ImportError as error:
            text = f"{self} needs a package that is not installed ({error})"
            raise ImportError(f"{text}; pip install 'kinema[remote]'") from error
        except FileNotFoundError:
            raise FileNotFoundError(f"{self}: no such file") from None
        except ValueError as error:
            raise ValueError(f"{self} cannot be read: {error}") from error
        except Exception as error:
            cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise OSError(f"{self} cannot be read: {cause}") from error


class RemoteFile(io.RawIOBase):
    """A remote file that can be read anywhere: fetched in blocks, the last used of which are kept.

    A video is read a little at its beginning, a little at its end and then somewhere in between;
    only those blocks travel.

    Args:
        path: of the file.
    """

    def __init__(self, path: RemotePath) -> None:
        self.name = str(path)
        self._path, self._size, self._at = path, path.stat().st_size, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._whole: bytes | None = None
        if self._size < 0:
            self._keep_whole(path.read_bytes())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer up to the end of a block at most."""
        number, offset = divmod(self._at, BLOCK)
        piece = self._block(number)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        begin = number * BLOCK
        if self._whole is not None or begin >= self._size:
            return (self._whole or b"")[begin : begin + BLOCK]
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        end = min(begin + BLOCK, self._size)
        data = self._path.read_range(begin, end)
        if len(data) != end - begin and len(data) == self._size:
            self._keep_whole(data)
            return self._block(number)
        if len(data) != end - begin:
            told = f"{len(data)} bytes came for {begin} to {end} of {self._size}"
            raise OSError(f"{self.name} cannot be read: {told}")
        self._blocks[number] = data
        if len(self._blocks) > BLOCKS:
            self._blocks.popitem(last=False)
        return data

    def _keep_whole(self, data: bytes) -> None:
        self._whole, self._size = data, len(data)
        self._blocks.clear()


def _read_about(info: Mapping[str, Any]) -> RemoteStat:
    """The entry of a file as fsspec's packages give it; they name the time in several ways."""
    size = info.get("size")
    times = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "created"))
    time = next((time for time in times if time is not None), 0)
    seconds = time.timestamp() if isinstance(time, datetime) else time
    return RemoteStat(
        -1 if size is None else int(size),
        int(seconds * 1e9) if isinstance(seconds, int | float) else 0,
        folder=info.get("type") == "directory",
    )


def _folded(rest: str) -> str:
    """The parts of a path without empty ones, `.` and `..`."""
    parts: list[str] = []
    for part in rest.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)
