"""Whether files have the content they should have, and whether they fit on the disk."""

import hashlib
import io
import os
import re
from pathlib import Path

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained

DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""The checksums that repositories use -> how many hexadecimal digits each has."""
_HEXADECIMAL = re.compile(r"[0-9a-f]+\Z")


def is_checksum(checksum: tuple[str, str]) -> bool:
    """Whether (algorithm, lower-case hexadecimal digits) can be compared."""
    algorithm, digits = checksum
    return DIGITS.get(algorithm) == len(digits) and bool(_HEXADECIMAL.match(digits))


def digest_open(file: io.BufferedIOBase, algorithm: str) -> str:
    """The digest of the rest of an open file, in hexadecimal digits."""
    return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def has_content(path: Path, size: int | None, checksum: tuple[str, str]) -> bool:
    """Whether a regular file is there with this size (None: any) and checksum (algorithm, digits).

    Raises RollbuildError, exit code DISK.
    """
    with explained("cannot read", path):
        if path.is_symlink() or not path.is_file() or (size is not None and path.stat().st_size != size):
            return False
        with path.open("rb") as file:
            return digest_open(file, checksum[0]) == checksum[1].lower()


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse what does not fit into the free space of a folder's disk. Raises RollbuildError, exit code DISK."""
    with explained("cannot write into", folder):
        status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise RollbuildError(
            f"{what} needs {show_size(needed)} in {folder}, and {show_size(free)} are free",
            hint="free some space or write to another disk",
            exit_code=DISK,
        )


def show_size(count: int) -> str:
    """Bytes for people: `12,345 bytes`, `120.5 MiB`, `10.5 GiB`."""
    if count < 1024**2:
        return f"{count:,} bytes"
    return f"{count / 1024**2:,.1f} MiB" if count < 10 * 1024**3 else f"{count / 1024**3:,.1f} GiB"
