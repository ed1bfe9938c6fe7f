"""What was found out about package files before, kept so that a repository's metadata is made again in no time.

Whatever is wrong with the cache, it answers less: each row is sealed with a digest of its content, and what is not
as it was written counts as unknown. It may be deleted at any time, and several processes may use it at once.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from rollbuild.packages.metadata_chunks import CHANGELOG_LIMIT, Chunks, Identity
from rollbuild.packages.native import load_createrepo

_FORMAT = 1
_WAIT_SECONDS = 5.0
_MOST_BYTES = 4 * 1024 * 1024 * 1024
_AT_ONCE = 500
_YOUNG_NS = 2_000_000_000
"""A file that changed this short a time ago can change again without getting another time of change."""

_LOW = (1 << 63) - 1  # what SQLite can hold of an unsigned number
_TABLES = """
CREATE TABLE IF NOT EXISTS file (inode INTEGER PRIMARY KEY, device INTEGER, size INTEGER, changed INTEGER,
  touched INTEGER, digest TEXT, nevra TEXT, cuts TEXT, data BLOB, seal BLOB);
CREATE TABLE IF NOT EXISTS block (key BLOB PRIMARY KEY, data BLOB, seal BLOB);
"""
# Files of two file systems may share an inode's number: the later takes the place, and the other is read again.
_FIND_FILES = "SELECT inode, device, size, changed, touched, digest, nevra, cuts, data, seal FROM file WHERE inode IN "
_FIND_BLOCKS = "SELECT key, data, seal FROM block WHERE key IN "


def _marks(values: Sequence[object]) -> str:
    return f"({','.join('?' * len(values))})"


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
            database.executescript(_TABLES)
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

    def find(self, identities: Sequence[Identity]) -> tuple[Mapping[Identity, Chunks], Mapping[Identity, Chunks]]:
        """The Chunks of files that are as they were, and of those whose times of change alone differ.

        A new hard link changes a file's inode, and so does whoever changes its content and sets its times back.
        """
        same: dict[Identity, Chunks] = {}
        likely: dict[Identity, Chunks] = {}
        if self._database is None:
            return same, likely
        wanted = {(one[1] & _LOW, one[0] & _LOW): one for one in identities}
        inodes = sorted({inode for inode, _ in wanted})
        try:
            for start in range(0, len(inodes), _AT_ONCE):
                some = inodes[start : start + _AT_ONCE]
                for row in self._database.execute(_FIND_FILES + _marks(some), some):
                    identity = wanted.get(row[:2])
                    if identity is None or row[2:4] != identity[2:4] or row[9] != _seal(*row[:8], data=row[8]):
                        continue
                    (same if row[4] == identity[4] else likely)[identity] = _unpack(*row[5:9], size=row[2])
        except (sqlite3.Error, ValueError, TypeError, AttributeError, UnicodeError) as problem:
            self._forget(problem)
            return {}, {}
        return same, likely

    def find_blocks(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The blocks that were kept under these keys."""
        found: dict[bytes, bytes] = {}
        if self._database is None:
            return found
        try:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                for key, data, seal in self._database.execute(_FIND_BLOCKS + _marks(some), some):
                    if seal == _seal(key, data=data):
                        found[key] = data
        except (sqlite3.Error, ValueError, TypeError, UnicodeError) as problem:
            self._forget(problem)
            return {}
        return found

    def keep(self, files: Iterable[tuple[Identity, Chunks]], blocks: Mapping[bytes, bytes]) -> None:
        """Keep the Chunks of files, and blocks."""
        if self._database is None:
            return
        newest = time.time_ns() - _YOUNG_NS
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR REPLACE INTO file VALUES (?,?,?,?,?,?,?,?,?,?)",
                (_pack(identity, chunks) for identity, chunks in files if identity[4] < newest),
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO block VALUES (?,?,?)",
                ((key, data, _seal(key, data=data)) for key, data in blocks.items()),
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


def _seal(*parts: object, data: bytes = b"") -> bytes:
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(data)
    return digest.digest()[:16]


def _pack(identity: Identity, chunks: Chunks) -> tuple[object, ...]:
    device, inode, size, changed, touched = identity
    pieces = chunks.before, chunks.after, chunks.filelists, chunks.other
    data, cuts = b"".join(pieces), " ".join(str(len(piece)) for piece in pieces)
    row = (inode & _LOW, device & _LOW, size, changed, touched, chunks.sha256, chunks.nevra, cuts)
    return (*row, data, _seal(*row, data=data))


def _unpack(digest: str, nevra: str, cuts: str, data: bytes, *, size: int) -> Chunks:
    one, two, three, _ = map(int, cuts.split())
    two += one
    three += two
    return Chunks(digest, size, nevra, data[:one], data[one:two], data[two:three], data[three:])
