"""Trees of files that share their content with another tree: hard links where they can be, copies elsewhere."""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files.reading import explained
from rollbuild.location import Location

_FICLONE = 0x40049409
_CHUNK = 1024 * 1024
_FOLDER_MODE = 0o755
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


def link_names(
    source: Path, target: Path, names: Iterable[tuple[str, str]], *, advance: Callable[[], object] | None = None
) -> int:
    """Give files of one folder names in another, which both exist; how many could be linked.

    `names`: (name in `source`, new name in `target`). The others are copied; see `link_file`. Much faster than
    `link_file` for each, as the kernel looks up the two folders once. Raises RollbuildError, exit code DISK.
    """
    linked = 0
    with explained("cannot read", source):
        reader = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with explained("cannot write into", target):
            writer = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name, new in names:
                try:
                    os.link(name, new, src_dir_fd=reader, dst_dir_fd=writer, follow_symlinks=False)
                    linked += 1
                except OSError:
                    # Copies it where that is the remedy, else says what is wrong.
                    linked += link_file(os.path.join(source, name), os.path.join(target, new))
                if advance is not None:
                    advance()
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return linked


def make_folder(path: Path) -> None:
    """Make a folder that all may read, whatever the umask. Raises OSError."""
    os.mkdir(path, _FOLDER_MODE)
    if stat.S_IMODE(os.lstat(path).st_mode) != _FOLDER_MODE:
        os.chmod(path, _FOLDER_MODE)


def link_tree(source: Path, target: Path, *, advance: Callable[[], object] | None = None) -> int:
    """Make `target` (its parent exists, it does not) a tree of the same files as `source`; how many files it has.

    Files are linked (see `link_file`), folders made anew (mode 755, whatever the umask), symbolic links copied as they
    are. Raises RollbuildError: REFUSED for pipes, devices and links that lead out of the tree, DISK when the disk
    refuses.
    """
    with explained("cannot write", target):
        make_folder(target)
    return _link_below(os.fspath(source), os.fspath(target), "", advance)


def _link_below(source: str, target: str, inside: str, advance: Callable[[], object] | None) -> int:
    """Link what a folder holds into one that exists; `inside` is the path of both from the top of their trees."""
    with explained("cannot read", source):
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    files, folders = [], []
    for entry in entries:
        if entry.is_symlink():
            copy_symlink(entry.path, os.path.join(target, entry.name), os.path.join(inside, entry.name))
        elif entry.is_file(follow_symlinks=False):
            files.append((entry.name, entry.name))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        else:
            raise RollbuildError("this is a pipe, a device or a socket, not a file", location=Location(entry.path))
    link_names(source, target, files, advance=advance)
    count = len(files)
    for name in folders:
        there = os.path.join(target, name)
        with explained("cannot write", there):
            make_folder(there)
        count += _link_below(os.path.join(source, name), there, os.path.join(inside, name), advance)
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
