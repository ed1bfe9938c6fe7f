"""One insert-ethers at a time: a lock that dies with its process and says who holds it."""

import errno
import fcntl
import json
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rollbuild.errors import BUSY, RollbuildError
from rollbuild.files import explained, system_path
from rollbuild.frontend.record import make_folders

LOCK = "/run/rollbuild/insert-ethers.lock"
QUEUE_LOCK = "/run/rollbuild/insert-ethers-queue.lock"
_TEXT_LIMIT = 4096
_TRIES, _NAP = 5, 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock. `since` is in seconds of the epoch; 0 and "" where the file does not say."""

    pid: int = 0
    user: str = ""
    since: float = 0.0

    def __str__(self) -> str:
        if not self.pid:
            return "pid unknown"
        return f"pid {self.pid}, {self.user}, since {_spell_time(self.since)}"


@contextmanager
def hold_lock(lock: str = LOCK, *, doing: str = "insert-ethers") -> Iterator[None]:
    """Hold the lock while the block lasts. The kernel drops it when the process ends, however it does.

    Raises RollbuildError: BUSY when another process holds it, DISK when the file cannot be made.
    """
    path = system_path(lock)
    with explained("cannot lock", path):
        make_folders(path.parent)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Another command that only looks whether the lock is held has it for a moment.
        for rest in reversed(range(_TRIES)):
            if _try_lock(file, fcntl.LOCK_EX):
                break
            if not rest:
                raise RollbuildError(
                    f"{doing} is already running ({_read_holder(file)})",
                    hint="leave it there with F8 or F9, or wait until it has ended",
                    exit_code=BUSY,
                )
            time.sleep(_NAP)
        with explained("cannot write", path):
            text = json.dumps({"pid": os.getpid(), "user": _user(), "since": time.time()})
            os.ftruncate(file, 0)
            os.pwrite(file, text.encode(), 0)
        yield
    finally:
        os.close(file)


def find_holder() -> Holder | None:
    """Who runs insert-ethers now, None for nobody."""
    try:
        file = os.open(system_path(LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return None if _try_lock(file, fcntl.LOCK_SH) else _read_holder(file)
    finally:
        os.close(file)


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return False
        raise
    return True


def _read_holder(file: int) -> Holder:
    try:
        data = json.loads(os.pread(file, _TEXT_LIMIT, 0))
        return Holder(int(data["pid"]), str(data["user"])[:64], float(data["since"]))
    except (ValueError, TypeError, KeyError, OSError):
        return Holder()


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _spell_time(seconds: float) -> str:
    try:
        then, now = time.localtime(seconds), time.localtime()
    except (ValueError, OverflowError, OSError):
        return "?"
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
