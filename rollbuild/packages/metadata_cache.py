"""What was found out about package files before, kept so that a repository's metadata is made again in no time.

Whatever is wrong with the cache, it answers less: each row is sealed with a digest of its content, and what is not
as it was written counts as unknown. It may be deleted at any time, and several processes may use it at once.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from rollbuild.packages.metadata_chunks import CHANGELOG_LIMIT, Identity
from rollbuild.packages.native import load_createrepo

_FORMAT = 2
_WAIT_SECONDS = 5.0
_MOST_BYTES = 4 * 1024 * 1024 * 1024
_AT_ONCE = 500
_YOUNG_NS = 2_000_000_000
"""A file that changed this short a time ago can change again without getting another time of change."""

_BUCKET = 8
"""Files whose inodes differ in so many low bits only are kept together: what is made together is looked for so."""

_TABLE = "CREATE TABLE IF NOT EXISTS item (key TEXT PRIMARY KEY, data BLOB, seal BLOB)"
_FIND = "SELECT key, data, seal FROM item WHERE key IN "

Known = tuple[str, str]
"""What is known of a file: its SHA-256, and the key of the item that its Chunks are in."""


class MetadataCache:
    """A cache in a folder; None keeps nothing. It raises nothing: where it fails, it forgets.

    The file's name says which version of createrepo_c wrote what is in it: another may write otherwise.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._database: sqlite3.Connection | None = None
        self._path = ""
        if folder is not None:
            version = load_createrepo().VERSION
            self._path = os.path.join(folder, f"metadata-{_FORMAT}-{CHANGELOG_LIMIT}-{version}.sqlite")
            self._open()

    def __enter__(self) -> "MetadataCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self, again: bool = True) -> None:
        database = None
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with suppress(FileNotFoundError):
                if os.stat(self._path).st_size > _MOST_BYTES:
                    os.unlink(self._path)
            database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            # What a power failure spoils is found out by the seals.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_TABLE)
        except (sqlite3.Error, OSError) as problem:
            if database is not None:
                database.close()
            # Busy, read-only and full are OperationalError: the file may be good then.
            if again and isinstance(problem, sqlite3.DatabaseError) and not _passes(problem):
                self._remove()
                self._open(again=False)
            return
        self._database = database

    def _remove(self) -> None:
        for end in ("", "-journal"):
            with suppress(OSError):
                os.unlink(self._path + end)

    def _forget(self, problem: Exception) -> None:
        """After a failure: nothing more is read or kept; a damaged file goes."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if not _passes(problem):
            self._remove()

    def find_files(self, identities: Iterable[Identity]) -> tuple[dict[Identity, Known], dict[Identity, Known]]:
        """What is known of files that are as they were, and of those whose time of change alone differs.

        A new hard link changes a file's time, and so does whoever changes its content and sets its other times back.
        """
        same: dict[Identity, Known] = {}
        likely: dict[Identity, Known] = {}
        wanted = list(identities)
        buckets = self._find_buckets(wanted)
        for identity in wanted:
            device, inode, size, changed, touched = identity
            row = buckets[inode >> _BUCKET].get(f"{device}/{inode}")
            if row is not None and row[0] == size and row[1] == changed:
                (same if row[2] == touched else likely)[identity] = row[3], row[4]
        return same, likely

    def _find_buckets(self, identities: Iterable[Identity]) -> dict[int, dict[str, Any]]:
        names = {f"files {number}": number for number in {identity[1] >> _BUCKET for identity in identities}}
        found = self.find(names)
        return {number: json.loads(found.get(name, b"{}")) for name, number in names.items()}

    def find(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The items that were kept under these keys."""
        found: dict[str, bytes] = {}
        wanted = sorted(set(keys))
        try:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                if self._database is None:
                    break
                for key, data, seal in self._database.execute(f"{_FIND}({','.join('?' * len(some))})", some):
                    if seal == _seal(key, data):
                        found[key] = data
        except (sqlite3.Error, ValueError, TypeError, AttributeError, UnicodeError) as problem:
            self._forget(problem)
            return {}
        return found

    def keep(self, files: Sequence[tuple[Identity, Known]], items: Mapping[str, bytes]) -> None:
        """Keep what is known of files, and items; their keys say all that their content depends on."""
        if self._database is None:
            return
        newest = time.time_ns() - _YOUNG_NS
        try:
            self._database.execute("BEGIN IMMEDIATE")
            buckets = self._find_buckets(identity for identity, _ in files)
            for (device, inode, size, changed, touched), known in files:
                if touched < newest:
                    buckets[inode >> _BUCKET][f"{device}/{inode}"] = size, changed, touched, *known
            about = {f"files {number}": json.dumps(bucket).encode() for number, bucket in buckets.items()}
            if self._database is not None:
                self._database.executemany(
                    "INSERT OR REPLACE INTO item VALUES (?,?,?)",
                    ((key, data, _seal(key, data)) for key, data in {**items, **about}.items()),
                )
                self._database.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as problem:
            self._forget(problem)


def _passes(problem: Exception) -> bool:
    """Whether a failure says nothing against the file: it is locked, the disk is full, the folder is read-only."""
    code = getattr(problem, "sqlite_errorcode", None)
    passing = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
    passing |= {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
    return code is not None and code & 0xFF in passing


def _seal(key: str, data: bytes) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(data)
    return digest.digest()[:16]
