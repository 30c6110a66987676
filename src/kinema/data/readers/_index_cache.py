"""Packet indexes of files that were read before, so that their packets are passed over once only.

The cache may be deleted at any time. An index counts as long as the file's path, size and time of
change, and the decoder's version, are what they were.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from ...files import atomic
from ._packets import PacketIndex

PACKETS_FILE = "packets.sqlite"
KEPT = 4096  # indexes in memory; one takes a few kilobytes

Key: TypeAlias = tuple[str, int, int, str]
"""Absolute path, bytes, time of change in nanoseconds, version of the decoder."""

IndexEntry: TypeAlias = tuple[Key, bytes]
"""A file and its packet index, as it is stored."""


class IndexCache:
    """Indexes in memory and, read only, in a file; any number of processes may share the file.

    Args:
        file: what `write_indexes` wrote; None or no such file: memory only.
        version: of the decoder.
    """

    def __init__(self, file: Path | None, version: str) -> None:
        self.file, self.version = file, version
        self._memory: OrderedDict[Key, PacketIndex] = OrderedDict()

    def get(self, path: Path) -> PacketIndex | None:
        """The index of a file; None where it is not known or the file has changed since."""
        key = self._key(path)
        index = self._memory.get(key) or self._stored(key)
        if index is not None:
            self._remember(key, index)
        return index

    def put(self, path: Path, index: PacketIndex) -> None:
        """Keeps the index of a file in memory."""
        self._remember(self._key(path), index)

    def entries(self) -> list[IndexEntry]:
        """What is in memory, for `write_indexes`."""
        return [(key, index.to_bytes()) for key, index in self._memory.items()]

    def _key(self, path: Path) -> Key:
        about = path.stat()
        return str(path.absolute()), about.st_size, about.st_mtime_ns, self.version

    def _remember(self, key: Key, index: PacketIndex) -> None:
        self._memory[key] = index
        self._memory.move_to_end(key)
        if len(self._memory) > KEPT:
            self._memory.popitem(last=False)

    def _stored(self, key: Key) -> PacketIndex | None:
        if self.file is None:
            return None
        try:
            # nobody writes into the file, so nothing is locked and no connection crosses a fork
            address = f"{self.file.absolute().as_uri()}?mode=ro&immutable=1"
            with closing(sqlite3.connect(address, uri=True)) as store:
                found = store.execute(
                    "SELECT data FROM packets WHERE path=? AND size=? AND changed=? AND version=?",
                    key,
                ).fetchone()
            return PacketIndex.from_bytes(found[0]) if found else None
        except (sqlite3.Error, ValueError):  # not there or damaged: the packets tell it again
            return None


def write_indexes(file: Path, entries: Iterable[IndexEntry]) -> None:
    """Adds indexes to a file, which is replaced as a whole, so that readers see the old or the new.

    Args:
        file: made where it does not exist, and anew where it is damaged.
        entries: of `IndexCache.entries`.
    """
    with atomic(file) as temporary, closing(sqlite3.connect(temporary)) as store:
        store.execute(
            "CREATE TABLE packets"
            " (path TEXT PRIMARY KEY, size INT, changed INT, version TEXT, data BLOB)"
        )
        insert = "INSERT OR REPLACE INTO packets VALUES (?, ?, ?, ?, ?)"
        store.executemany(insert, _rows(file))
        store.executemany(insert, ((*key, data) for key, data in entries))
        store.commit()


def _rows(file: Path) -> list[tuple[str, int, int, str, bytes]]:
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as store:
            return store.execute(
                "SELECT path, size, changed, version, data FROM packets"
            ).fetchall()
    except sqlite3.Error:
        return []
