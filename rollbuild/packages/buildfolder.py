"""The folder that packages are built in: private, and with the same path every time."""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained

_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+\Z")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder to build in that has the same path every time, because source packages hold that path.

    It has the empty folders that rpmbuild knows, FILES, RESULT and home; afterwards it is gone. Builds of one user take
    turns in it. Raises RollbuildError: DISK, REFUSED when rpmbuild cannot work below TMPDIR.
    """
    base = Path(tempfile.gettempdir())
    with explained("cannot make a temporary folder in", base):
        top, lock = _lock_folder([base / "rollbuild-rpm", base / f"rollbuild-rpm-{os.getuid()}"])
    try:
        _empty(top)  # a build that was killed left something
        if not _PLAIN_PATH.match(os.fspath(top)):
            raise RollbuildError(
                f"rpmbuild cannot work in {top}: the path has blanks or other special characters",
                hint="set TMPDIR to a folder with a plain name",
            )
        for name in ("BUILD", "BUILDROOT", "RPMS", "SRPMS", "SOURCES", "SPECS", "FILES", "RESULT", "home"):
            with explained("cannot write into", top):
                (top / name).mkdir()
        yield top
    finally:
        _empty(top)
        with suppress(OSError):
            top.rmdir()
        os.close(lock)


def _lock_folder(candidates: Sequence[Path]) -> tuple[Path, int]:
    """The first of these folders that is ours, made where it is missing, and the open lock on it."""
    for top in candidates:
        while True:
            with suppress(FileExistsError):
                top.mkdir(mode=0o700)
            try:
                lock = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError:
                break
            status = os.fstat(lock)
            if status.st_uid != os.getuid():
                os.close(lock)
                break
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever had it before us removed it when done.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(top), status):
                    os.fchmod(lock, 0o700)
                    return top, lock
            os.close(lock)
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _empty(folder: Path) -> None:
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
