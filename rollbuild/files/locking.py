"""Locks that die with their process."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rollbuild.errors import BUSY, RollbuildError
from rollbuild.files.reading import explained

_NAP_SECONDS = 0.1


@contextmanager
def locked(path: str | os.PathLike[str], doing: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and stays, while the block lasts.

    `doing` says in words what the lock is for. The kernel drops the lock when the process ends, however it does.
    Raises RollbuildError: BUSY when another process still holds it after `wait_seconds`, DISK when the file cannot
    be made.
    """
    end = time.monotonic() + wait_seconds
    with explained("cannot lock", path):
        # Whoever may read it could hold it for ever.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _try_lock(file):
                if time.monotonic() >= end:
                    raise RollbuildError(
                        f"another rollbuild is {doing}",
                        hint=f"try again when it is done; it holds {os.fspath(path)}",
                        exit_code=BUSY,
                    )
                time.sleep(_NAP_SECONDS)
            yield
        finally:
            os.close(file)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return False
        raise
    return True
