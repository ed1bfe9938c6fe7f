"""Reading and writing files so that whatever stops the work leaves what was there before, whole."""

import errno
import fcntl
import itertools
import os
import signal
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.location import Location

_PREFIX = ".rollbuild-"
_STAGE_PREFIX = f"{_PREFIX}stage-"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100

# Temporary names must differ between threads, forked workers and containers that share a folder and a pid.
_process = os.urandom(4).hex()
_counter = itertools.count()

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
def _explained(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
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
    with _explained("cannot read", path):
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
    temporary = f"{_PREFIX}{_process}-{os.getpid()}-{next(_counter)}"
    with _explained("cannot write into", folder):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, content in items:
            _refuse_path(name)
            with _explained("cannot write", os.path.join(folder, name)):
                try:
                    _write_new(directory, temporary, content, mode, sync)
                    os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=directory)
                    raise
            count += 1
        if sync:
            with _explained("cannot write into", folder):
                os.fsync(directory)
    finally:
        os.close(directory)
    return count


def _write_new(directory: int, name: str, content: bytes, mode: int, sync: bool) -> None:
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


def _refuse_path(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise RollbuildError(f"{name!r} is no file name", hint="a name here has no folder in it")


@contextmanager
def staged_files(folder: str | os.PathLike[str], *, mode: int = 0o644) -> Iterator[Callable[[str, bytes], None]]:
    """Write files that take their places in `folder` together, when the block ends well.

    Yields `write(name, content)`. The folder is made where it is missing; other files in it stay, and a file that
    was there keeps its permissions. When the block fails or is interrupted nothing has changed; while the files take
    their places signals wait. Raises RollbuildError: REFUSED for a name that is no plain file
    name, DISK when the disk refuses.
    """
    target = Path(folder)
    made = [path for path in (target, *target.parents) if not path.exists()]
    with _explained("cannot write into", folder):
        target.mkdir(parents=True, exist_ok=True)
        _remove_dead_stages(target)
        stage, lock = _make_stage(target, 0o700)

    def write(name: str, content: bytes) -> None:
        _refuse_path(name)
        with _explained("cannot write", os.path.join(folder, name)):
            _write_new(lock, name, content, mode, False)

    done = False
    try:
        yield write
        with _explained("cannot write into", folder):
            directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                names = sorted(os.listdir(lock))  # also what forked workers have written
                for name in names:
                    _prepare_place(name, folder, directory, lock)
                with _uninterrupted():
                    for name in names:
                        os.replace(name, name, src_dir_fd=lock, dst_dir_fd=directory)
            finally:
                os.close(directory)
        done = True
    finally:
        _remove_tree(stage)
        os.close(lock)
        if not done:
            with suppress(OSError):
                for path in made:
                    path.rmdir()


def _prepare_place(name: str, folder: str | os.PathLike[str], directory: int, stage: int) -> None:
    """See that a staged file can take its place, and give it the permissions of what is there."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(there.st_mode):
        raise explain_os_error(
            IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), "cannot write", os.path.join(folder, name)
        )
    if stat.S_ISREG(there.st_mode):
        os.chmod(name, stat.S_IMODE(there.st_mode), dir_fd=stage)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def staged_folder(destination: str | os.PathLike[str], *, mode: int = 0o755) -> Iterator[Path]:
    """A new folder to fill; when the block ends well it takes the place of `destination`, whole.

    Everything that `destination` held before goes, in one step; when the block fails or is interrupted the
    stage goes and `destination` stays. A stage whose process was killed is removed by the next one beside
    it. Raises RollbuildError, exit code DISK.
    """
    # A link keeps pointing where it points: what it names is replaced.
    target = Path(os.path.realpath(destination))
    with _explained("cannot write", destination):
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if Path.cwd().is_relative_to(target):
            raise RollbuildError(
                f"{os.fspath(destination)} is, or holds, the folder you are in, and would be replaced",
                hint="name a folder of its own for the output",
                exit_code=REFUSED,
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead_stages(target.parent)
        stage, lock = _make_stage(target.parent, mode)
    try:
        yield stage
        with _explained("cannot write", destination):
            _swap(stage, target)
    finally:
        # After a swap of two folders the stage's name is that of the old content.
        _remove_tree(stage)
        os.close(lock)


def _make_stage(parent: Path, mode: int) -> tuple[Path, int]:
    while True:
        stage = parent / f"{_STAGE_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        stage.mkdir(mode=mode)
        try:
            lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            with suppress(OSError):  # some network file systems lock no folders; the cleaner then keeps off
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Before the lock was ours, another process may have taken the new stage for a dead one.
            if stage.exists():
                return stage, lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _remove_tree(folder: Path) -> None:
    import shutil  # slow to import, and only needed where a stage was made

    shutil.rmtree(folder, ignore_errors=True)


def _remove_dead_stages(parent: Path) -> None:
    with suppress(OSError):
        for stage in parent.glob(f"{_STAGE_PREFIX}*"):
            with suppress(OSError):
                lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_tree(stage)
                finally:
                    os.close(lock)


def _swap(stage: Path, target: Path) -> None:
    if not target.exists():
        os.rename(stage, target)
    elif not _exchange(stage, target):
        # Not a stage's name: if this process is killed between the renames, nobody removes the old content.
        old = target.with_name(f"{_PREFIX}old-{os.urandom(4).hex()}")
        os.rename(target, old)
        try:
            os.rename(stage, target)
        except BaseException:
            os.rename(old, target)
            raise
        os.rename(old, stage)


def _exchange(one: Path, other: Path) -> bool:
    """Whether the two names were exchanged in one step; not every file system and libc can."""
    import ctypes  # costs every start of rollbuild more than one swap costs

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))
