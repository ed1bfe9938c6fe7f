"""Files and folders that take their places together, when all of them are whole."""

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files.reading import explain_os_error, explained
from rollbuild.files.writing import PREFIX, refuse_path, write_new

_STAGE_PREFIX = f"{PREFIX}stage-"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


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
    with explained("cannot write into", folder):
        target.mkdir(parents=True, exist_ok=True)
        _remove_dead_stages(target)
        stage, lock = _make_stage(target, 0o700)

    def write(name: str, content: bytes) -> None:
        refuse_path(name)
        with explained("cannot write", os.path.join(folder, name)):
            write_new(lock, name, content, mode, False)

    done = False
    try:
        yield write
        with explained("cannot write into", folder):
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
    with explained("cannot write", destination):
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
        with explained("cannot write", destination):
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
        # A listing is much quicker than a pattern where there are ten thousand other files.
        for stage in [parent / name for name in os.listdir(parent) if name.startswith(_STAGE_PREFIX)]:
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
        old = target.with_name(f"{PREFIX}old-{os.urandom(4).hex()}")
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
