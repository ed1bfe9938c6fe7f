"""Reading files with limits, and what to say when the disk refuses."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from rollbuild.errors import DISK, RollbuildError
from rollbuild.location import Location

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or write to another disk",
    errno.EDQUOT: "the disk quota is used up: free some space or ask for more",
    errno.EROFS: "the file system is mounted read-only: write somewhere else",
    errno.EACCES: "check the owner and the permissions of the file and of the folders above it",
    errno.EPERM: "check the owner and the permissions of the file and of the folders above it",
    errno.ENOENT: "check the spelling, and that the folder exists",
    errno.ENOTDIR: "a part of this path is a file where a folder is needed",
    errno.EISDIR: "this is a folder where a file is needed",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EBUSY: "it is a mount point or in use: name a folder below it",
    errno.ELOOP: "its symbolic links point to each other",
    errno.EIO: "the disk reports a hardware error: look at the system's log",
}


def explain_os_error(error: OSError, doing: str, path: str | os.PathLike[str]) -> RollbuildError:
    """The refusal, exit code DISK, that tells a user what failed; `doing` reads like `cannot write`."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    hint = _REMEDIES.get(error.errno or 0, "")
    return RollbuildError(f"{doing} {os.fspath(path)}: {reason}", hint=hint, exit_code=DISK)


@contextmanager
def explained(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError of the block into the refusal of `explain_os_error`."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, doing, path) from error


def read_limited(path: str | os.PathLike[str], limit_bytes: int) -> bytes:
    """The bytes of a regular file of at most `limit_bytes`.

    Raises RollbuildError: DISK when there is no such file or it cannot be read, or is a folder, pipe or
    device; REFUSED when it is larger.
    """
    location = Location(os.fspath(path))
    with explained("cannot read", path):
        # A named pipe without a writer would block an ordinary open for ever.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
                raise RollbuildError(f"this is {kind} where a file is needed", location=location, exit_code=DISK)
            pieces = []
            wanted = limit_bytes + 1
            # The size may be out of date, and is 0 for the files of /proc.
            while wanted and (piece := os.read(file, min(wanted, max(status.st_size + 1, 65536)))):
                pieces.append(piece)
                wanted -= len(piece)
        finally:
            os.close(file)
    if not wanted:
        raise RollbuildError(
            f"this file is larger than {limit_bytes:,} bytes",
            location=location,
            hint="is it the right file? Nothing of this kind is that large",
        )
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
