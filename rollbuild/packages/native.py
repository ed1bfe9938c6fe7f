"""createrepo_c, and the files that it and others compress."""

import bz2
import gzip
import io
import lzma
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.files import explain_os_error, read_limited
from rollbuild.location import Location

_GZIP, _XZ, _BZIP2, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd"


@cache
def load_createrepo() -> Any:
    """The module createrepo_c. Raises RollbuildError, exit code MISSING_PROGRAM."""
    try:
        with silent_library():
            import createrepo_c
    except ImportError:
        raise RollbuildError(
            "the Python package createrepo_c is missing",
            hint="install it: pip install createrepo_c, or the package python3-createrepo_c",
            exit_code=MISSING_PROGRAM,
        ) from None
    return createrepo_c


@contextmanager
def silent_library() -> Iterator[None]:
    """Without standard error, to which createrepo_c writes what its exceptions say too.

    The RPM library inside complains at its start when the machine has no RPM of its own.
    """
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError):
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def read_compressed(path: str, limit_bytes: int) -> bytes:
    """The content of a file that may be compressed with gzip, xz, bzip2 or zstd; at most `limit_bytes`.

    Raises RollbuildError for a file that is cut, damaged or too large.
    """
    data = read_limited(path, limit_bytes)
    try:
        if data.startswith(_ZSTD):
            with plain_copy(path) as plain:
                return read_limited(plain, limit_bytes)
        opened = _open_packed(data)
        if opened is None:
            return data
        with opened as file:
            data = file.read(limit_bytes + 1)
    except (EOFError, OSError, lzma.LZMAError, zlib.error, ValueError) as problem:
        raise damaged(path, str(problem)) from None
    if len(data) > limit_bytes:
        raise RollbuildError(f"unpacked, this file is larger than {limit_bytes:,} bytes", location=Location(path))
    return data


def is_packed(path: str) -> bool:
    """Whether a file is compressed. Raises RollbuildError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(6).startswith((_GZIP, _XZ, _BZIP2, _ZSTD))
    except OSError as problem:
        raise explain_os_error(problem, "cannot read", path) from problem


def _open_packed(data: bytes) -> io.BufferedIOBase | None:
    packed = io.BytesIO(data)
    if data.startswith(_GZIP):
        return gzip.GzipFile(fileobj=packed)
    if data.startswith(_XZ):
        return lzma.LZMAFile(packed)
    return bz2.BZ2File(packed) if data.startswith(_BZIP2) else None


@contextmanager
def plain_copy(path: str) -> Iterator[str]:
    """The path of a copy that is not compressed, for as long as the block lasts. Raises RollbuildError."""
    library = load_createrepo()
    with tempfile.TemporaryDirectory(prefix="rollbuild-") as folder:
        plain = os.path.join(folder, "plain.xml")
        try:
            with silent_library():
                library.decompress_file(path, plain, library.AUTO_DETECT_COMPRESSION)
        except library.CreaterepoCError as problem:
            raise damaged(path, str(problem)) from None
        except OSError as problem:
            raise explain_os_error(problem, "cannot unpack", path) from problem
        if not os.path.getsize(plain):  # how the library takes zstd that is none
            raise damaged(path, "it unpacks to nothing")
        yield plain


def damaged(path: str, problem: str) -> RollbuildError:
    """The refusal of a metadata file that cannot be read."""
    return RollbuildError(
        f"this file is cut short or damaged: {' '.join(problem.split())}",
        location=Location(path),
        hint="fetch it again, or make the metadata anew with createrepo_c",
    )
