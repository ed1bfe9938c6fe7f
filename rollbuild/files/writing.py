"""Writing files so that whatever stops the work leaves what was there before, whole."""

import itertools
import os
from collections.abc import Iterable
from contextlib import suppress

from rollbuild.errors import RollbuildError
from rollbuild.files.linking import make_folder
from rollbuild.files.reading import explain_os_error, explained

PREFIX = ".rollbuild-"

# Temporary names must differ between threads, forked workers and containers that share a folder and a pid.
_process = os.urandom(4).hex()
_counter = itertools.count()


def write_atomically(path: str | os.PathLike[str], content: bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Write a file so that it is either whole or as it was before.

    `mode` is the permissions, less the umask: 0o600 for what holds a secret. With `sync` the bytes are on
    the disk before the name is. Raises RollbuildError, exit code DISK.
    """
    folder, name = os.path.split(os.fspath(path))
    write_many(folder or ".", [(name, content)], mode=mode, sync=sync)


def write_many(
    folder: str | os.PathLike[str],
    items: Iterable[tuple[str, bytes]],
    *,
    mode: int = 0o644,
    sync: bool = False,
) -> int:
    """Write files, each atomically, into a folder that exists; return how many.

    Raises RollbuildError: REFUSED for a name that is no plain file name, DISK when the disk refuses. The
    files written before that stay; no half file does.
    """
    count = 0
    name = ""
    temporary = f"{PREFIX}{_process}-{os.getpid()}-{next(_counter)}"
    with explained("cannot write into", folder):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, content in items:
            refuse_path(name)
            try:
                write_new(directory, temporary, content, mode, sync)
                os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException as problem:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=directory)
                # Not `explained`: entering it for each of many small files takes as long as writing them.
                if isinstance(problem, OSError):
                    raise explain_os_error(problem, "cannot write", os.path.join(folder, name)) from problem
                raise
            count += 1
        if sync:
            with explained("cannot write into", folder):
                os.fsync(directory)
    finally:
        os.close(directory)
    return count


def write_folder(folder: str | os.PathLike[str], items: Iterable[tuple[str, bytes]], *, mode: int = 0o644) -> None:
    """Make a folder, where there is none of its name, with these files: it appears when all of them are written.

    Twice as fast as `write_many`, which has a temporary name for each. A killed process leaves a folder beside it whose
    name begins with PREFIX. Raises RollbuildError as `write_many` does.
    """
    stage = os.path.join(os.path.dirname(folder), f"{PREFIX}{_process}-{os.getpid()}-{next(_counter)}")
    names = []
    with explained("cannot write", folder):
        make_folder(stage)
        directory = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name, content in items:
                refuse_path(name)
                names.append(name)
                write_new(directory, name, content, mode, False)
            os.rename(stage, folder)
        except BaseException:
            for name in names:
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
            with suppress(OSError):
                os.rmdir(stage)
            raise
        finally:
            os.close(directory)


def write_new(directory: int, name: str, content: bytes, mode: int, sync: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, mode, dir_fd=directory)
    try:
        written = os.write(file, content)
        while written < len(content):
            written += os.write(file, memoryview(content)[written:])
        if sync:
            os.fsync(file)
    finally:
        os.close(file)


def refuse_path(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise RollbuildError(f"{name!r} is no file name", hint="a name here has no folder in it")
