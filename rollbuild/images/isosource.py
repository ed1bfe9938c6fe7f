"""What a folder holds, looked at before an image is made of it."""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import digest_file, explained, walk_tree
from rollbuild.location import Location

_LONGEST_NAME = 253  # bytes; Rock Ridge keeps a name's parts in records of at most 255
_START = 16 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FolderContent:
    """What a folder holds: its regular files with their lstat, those that may be executed, and how many entries."""

    files: Mapping[str, os.stat_result]
    executable: tuple[str, ...]
    entries: int


def look_at(folder: Path) -> FolderContent:
    """Raises RollbuildError: REFUSED for a name or a kind of file that no image holds, DISK for what cannot be read."""
    files: dict[str, os.stat_result] = {}
    executable, entries = [], 0
    for name, status in walk_tree(folder):
        entries += 1
        _check_name(folder, name)
        if stat.S_ISREG(status.st_mode):
            if not os.access(os.path.join(folder, name), os.R_OK):
                raise RollbuildError(
                    f"cannot read {os.path.join(folder, name)}: permission denied",
                    hint="check the owner and the permissions of the file",
                    exit_code=DISK,
                )
            files[name] = status
            if status.st_mode & 0o111:
                executable.append(name)
        elif stat.S_ISLNK(status.st_mode):
            _check_link(folder, name)
        elif not stat.S_ISDIR(status.st_mode):
            raise RollbuildError("this is a pipe, a device or a socket, not a file", location=_at(folder, name))
    return FolderContent(files, tuple(executable), entries)


def _check_name(folder: Path, name: str) -> None:
    own = name.rpartition("/")[2]
    if len(os.fsencode(own)) > _LONGEST_NAME:
        raise RollbuildError(
            f"this name is longer than the {_LONGEST_NAME} bytes that an image holds",
            location=_at(folder, name),
            hint="rename the file",
        )
    if _CONTROL.search(own):
        raise RollbuildError(
            f"this name has a line break or another control character: {own!r}",
            location=_at(folder),
            hint="rename the file",
        )


def _check_link(folder: Path, name: str) -> None:
    with explained("cannot read", os.path.join(folder, name)):
        text = os.readlink(os.path.join(folder, name))
    inside = os.path.normpath(os.path.join(os.path.dirname(name), text))
    if text.startswith("/") or inside == ".." or inside.startswith("../"):
        raise RollbuildError(
            f"this link leads out of the image: {text}",
            location=_at(folder, name),
            hint="copy the file itself in its place",
        )


def find_copies(folder: Path, files: Mapping[str, os.stat_result]) -> dict[str, str]:
    """Which files have the content of an earlier one (the key has that of the value).

    xorriso stores hard links once and copies twice. Which of them two equal files are depends on the disk, so all
    equal files are given to it as one.
    """
    alike: dict[tuple[int, bytes], list[str]] = {}
    sizes = Counter(status.st_size for status in files.values())
    for name, status in files.items():
        if sizes[status.st_size] > 1:
            alike.setdefault((status.st_size, _read_start(folder, name)), []).append(name)
    copies = {}
    for names in alike.values():
        digests: dict[tuple[int, int], str] = {}
        first: dict[str, str] = {}
        for name in names if len(names) > 1 else ():
            inode = files[name].st_dev, files[name].st_ino
            if inode not in digests:
                digests[inode] = digest_file(os.path.join(folder, name))[0]
            original = first.setdefault(digests[inode], name)
            if original != name:
                copies[name] = original
    return copies


def _read_start(folder: Path, name: str) -> bytes:
    """Enough to tell most files of one size apart, without reading all of them."""
    with explained("cannot read", os.path.join(folder, name)), open(folder / name, "rb", buffering=0) as file:
        return hashlib.sha256(file.read(_START)).digest()


def _at(folder: Path, name: str = "") -> Location:
    return Location(os.path.join(folder, name) if name else os.fspath(folder))
