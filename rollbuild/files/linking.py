"""Trees of files that share their content with another tree: hard links where they can be, copies elsewhere."""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files.reading import explained
from rollbuild.location import Location

_FICLONE = 0x40049409
_CHUNK = 1024 * 1024
_NO_LINK = frozenset((errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS))
"""Another file system, too many links (ext4: 65,000), fs.protected_hardlinks, no links at all: a copy does."""

Path = str | os.PathLike[str]


def link_file(source: Path, target: Path) -> bool:
    """Give a file a second name, or copy it where that cannot be; whether it was linked.

    The two names may share their content: never write into either, nor change its permissions or times. A copy keeps
    permissions and times. Raises RollbuildError, exit code DISK.
    """
    with explained("cannot write", target):
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in _NO_LINK:
                raise
        else:
            return True
    copy_file(source, target)
    return False


def copy_file(source: Path, target: Path) -> None:
    """Copy a file into a new one, sharing its blocks where the file system can; permissions and times go along.

    Raises RollbuildError, exit code DISK; half a copy is removed.
    """
    with explained("cannot read", source):
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        with explained("cannot write", target):
            status = os.fstat(reader)
            writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _copy_content(reader, writer, status.st_size)
                os.fchmod(writer, stat.S_IMODE(status.st_mode))
                os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
            except BaseException:
                with suppress(OSError):
                    os.unlink(target)
                raise
            finally:
                os.close(writer)
    finally:
        os.close(reader)


def _copy_content(reader: int, writer: int, size: int) -> None:
    with suppress(OSError):  # XFS and Btrfs share the blocks; others refuse
        fcntl.ioctl(writer, _FICLONE, reader)
        return
    while piece := os.read(reader, _CHUNK):
        written = os.write(writer, piece)
        while written < len(piece):
            written += os.write(writer, memoryview(piece)[written:])


def walk_tree(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, sorted, as (path from the folder, with slashes; its lstat); folders before their
    content. Links are not followed. Raises RollbuildError, exit code DISK.
    """
    with explained("cannot read", folder):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        with explained("cannot read", entry.path):
            status = entry.stat(follow_symlinks=False)
        yield entry.name, status
        if stat.S_ISDIR(status.st_mode):
            for name, below in walk_tree(entry.path):
                yield f"{entry.name}/{name}", below


def link_tree(source: Path, target: Path, *, advance: Callable[[], object] | None = None) -> int:
    """Make `target` (its parent exists, it does not) a tree of the same files as `source`; how many files it has.

    Files are linked (see `link_file`), folders made anew (mode 755), symbolic links copied as they are. Raises
    RollbuildError: REFUSED for pipes, devices and links that lead out of the tree, DISK when the disk refuses.
    """
    count = 0
    with explained("cannot write", target):
        os.mkdir(target, 0o755)
    for name, status in walk_tree(source):
        here, there = os.path.join(source, name), os.path.join(target, name)
        if stat.S_ISDIR(status.st_mode):
            with explained("cannot write", there):
                os.mkdir(there, 0o755)
        elif stat.S_ISREG(status.st_mode):
            link_file(here, there)
            count += 1
            if advance is not None:
                advance()
        elif stat.S_ISLNK(status.st_mode):
            copy_symlink(here, there, name)
        else:
            raise RollbuildError("this is a pipe, a device or a socket, not a file", location=Location(here))
    return count


def copy_symlink(source: Path, target: Path, name: str) -> None:
    """Make the same symbolic link again; `name` is its path from the tree that it may not leave.

    Raises RollbuildError: REFUSED when it leads out of that tree, DISK when the disk refuses.
    """
    with explained("cannot read", source):
        text = os.readlink(source)
    inside = os.path.normpath(os.path.join(os.path.dirname(name), text))
    if text.startswith("/") or inside == ".." or inside.startswith("../"):
        raise RollbuildError(
            f"this link leads out of its tree: {text}",
            location=Location(os.fspath(source)),
            hint="copy the file itself in its place",
            exit_code=REFUSED,
        )
    with explained("cannot write", target):
        os.symlink(text, target)


def digest_file(path: Path, *, advance: Callable[[int], object] | None = None) -> tuple[str, int]:
    """(SHA-256 in hexadecimal, size in bytes) of a file; `advance` is told the bytes of each step.

    Raises RollbuildError, exit code DISK.
    """
    digest, size = hashlib.sha256(), 0
    with explained("cannot read", path), open(path, "rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            size += len(piece)
            if advance is not None:
                advance(len(piece))
    return digest.hexdigest(), size
