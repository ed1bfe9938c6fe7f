"""Where an OS tree can come from: a folder, or an ISO image read without mounting it."""

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol

from rollbuild.distribution.ostree import RECORD
from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import copy_file, copy_symlink, explained, link_file, read_limited, walk_tree
from rollbuild.images import IsoImage, check_iso, open_iso
from rollbuild.location import Location

_DEEPEST_GLANCE = 3
_MOST_GLANCED = 20_000

Advance = Callable[[int], object]
Progress = Callable[[int | None, str], AbstractContextManager[Advance]]
"""Begins a part of the work, of so many bytes (None: not known) and with a label; yields who is told bytes done."""


def no_progress(_total: int | None, _label: str) -> AbstractContextManager[Advance]:
    """Tells nobody."""
    return nullcontext(lambda _count: None)


def in_turn(advance: Advance) -> Advance:
    """Who is told of progress is told by one thread at a time."""
    lock = Lock()

    def tell(count: int) -> None:
        with lock:
            advance(count)

    return tell


@dataclass(slots=True)
class Brought:
    """How many files were linked, and how many were written."""

    linked: int = 0
    written: int = 0


class OsMedium(Protocol):
    """A folder or an ISO. Paths are from its top, with slashes."""

    @property
    def shown(self) -> str:
        """How messages name it."""

    @property
    def words(self) -> str:
        """What it is, in words: `ISO x.iso`."""

    def sizes(self) -> Mapping[str, int]:
        """Every file: path -> bytes. Raises RollbuildError."""

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a file. Raises RollbuildError."""

    def bytes_to_write(self, store: Path) -> int:
        """What bringing it into a store will take of its disk. Raises RollbuildError."""

    def bring(self, target: Path, advance: Advance) -> Brought:
        """Put every file below `target`, a folder that is there; `advance` is told bytes. Raises RollbuildError."""


@dataclass(slots=True)
class FolderMedium:
    """A folder, and repositories beside it that its `.treeinfo` names: folder in the OS tree -> where it is.

    `label`: the URL that it was fetched from.
    """

    folder: Path
    copies: bool = False
    label: str = ""
    beside: dict[str, Path] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return self.label or os.fspath(self.folder)

    @property
    def words(self) -> str:
        return f"mirror {self.label}" if self.label else f"folder {self.folder}"

    def place(self, path: str) -> Path:
        """Where a file of the tree lies."""
        top, _, rest = path.partition("/")
        return self.beside[top] / rest if top in self.beside else self.folder / path

    def glance(self) -> dict[str, int]:
        """The files of its first folders, as `sizes` has them, for a look at what may be anything, `/` too."""
        found: dict[str, int] = {}
        waiting = [""]
        while waiting and len(found) < _MOST_GLANCED:
            prefix = waiting.pop(0)
            with suppress(OSError):  # what cannot be read is not what is looked for
                for entry in sorted(os.scandir(self.folder / prefix), key=lambda entry: entry.name):
                    if entry.is_dir(follow_symlinks=False):
                        if prefix.count("/") < _DEEPEST_GLANCE and entry.name != RECORD:
                            waiting.append(f"{prefix}{entry.name}/")
                    elif entry.is_file(follow_symlinks=False):
                        found[prefix + entry.name] = entry.stat().st_size
        return found

    def add_beside(self, name: str, folder: Path) -> None:
        """Take a folder beside this one into the tree. Raises RollbuildError when the name is taken."""
        if os.path.lexists(self.folder / name):
            raise RollbuildError(
                f"{folder} belongs into this tree as {name}, and there is another {name} in it",
                location=Location(self.shown),
            )
        self.beside[name] = folder
        self._sizes.clear()

    def sizes(self) -> Mapping[str, int]:
        if not self._sizes:
            for prefix, folder in {"": self.folder, **self.beside}.items():
                self._look(f"{prefix}/" if prefix else "", folder)
        return self._sizes

    def _look(self, prefix: str, folder: Path) -> None:
        for name, status in walk_tree(folder):
            if not prefix and name.partition("/")[0] in (RECORD, "lost+found"):
                continue
            if stat.S_ISREG(status.st_mode):
                self._sizes[prefix + name] = status.st_size
            elif stat.S_ISLNK(status.st_mode):
                self._links[prefix + name] = name
            elif not stat.S_ISDIR(status.st_mode):
                raise RollbuildError(
                    "this is a pipe, a device or a socket, not a file", location=Location(os.fspath(folder / name))
                )

    def read(self, path: str, limit: int) -> bytes:
        return read_limited(self.place(path), limit)

    def bytes_to_write(self, store: Path) -> int:
        with explained("cannot read", self.folder):
            linkable = not self.copies and os.stat(self.folder).st_dev == os.stat(store).st_dev
        return 0 if linkable else sum(self.sizes().values())

    def bring(self, target: Path, advance: Advance) -> Brought:
        done, made = Brought(), {target}
        for path, size in self.sizes().items():
            there = target / path
            _make_folder(there.parent, made)
            if self.copies:
                copy_file(self.place(path), there)
                linked = False
            else:
                linked = link_file(self.place(path), there)
            done.linked += linked
            done.written += not linked
            advance(size)
        for path, inside in self._links.items():
            _make_folder((target / path).parent, made)
            copy_symlink(self.place(path), target / path, inside)
        return done


@dataclass(slots=True)
class IsoMedium:
    """An ISO image; `open_iso_medium` makes it."""

    path: Path
    image: IsoImage
    label: str = ""
    _sizes: dict[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return os.fspath(self.path)

    @property
    def words(self) -> str:
        return self.label or f"ISO {self.path.name}"

    def sizes(self) -> Mapping[str, int]:
        if not self._sizes:
            for entry in self.image.entries():
                if entry.path.startswith("/") or ".." in entry.path.split("/"):
                    raise RollbuildError(
                        f"this ISO names a file that leads out of it: {entry.path}",
                        location=Location(self.shown),
                        hint="do not use it: no program that writes ISOs makes such names",
                    )
                if entry.path.partition("/")[0] == RECORD:
                    raise RollbuildError(
                        f"this ISO holds {RECORD}, which is what a store notes of an OS tree",
                        location=Location(self.shown),
                        hint=f"make the ISO of the tree without {RECORD}, or import the folder that it was made of",
                    )
                if entry.is_file:
                    self._sizes[entry.path] = entry.size
        return self._sizes

    def read(self, path: str, limit: int) -> bytes:
        return self.image.read(path, limit)

    def bytes_to_write(self, store: Path) -> int:
        return sum(self.sizes().values())

    def bring(self, target: Path, advance: Advance) -> Brought:
        self.image.extract("", target, advance)
        return Brought(written=len(self.sizes()))


def open_medium(
    path: Path, *, copies: bool = False, label: str = "", progress: Progress = no_progress
) -> FolderMedium | IsoMedium:
    """A folder, or an ISO that is whole. Raises RollbuildError: REFUSED for what is neither, or was cut short."""
    if not os.path.lexists(path):
        raise RollbuildError(f"there is no {path}", hint="name an ISO, a folder or a URL (http://...)", exit_code=DISK)
    if path.is_dir():
        return FolderMedium(path, copies=copies)
    image = open_iso(path)
    with progress(image.size, f"checking {path.name}") as advance:
        check_iso(path, advance=advance)
    return IsoMedium(path, image, label)


def _make_folder(folder: Path, made: set[Path]) -> None:
    if folder in made:
        return
    _make_folder(folder.parent, made)
    with explained("cannot write", folder):
        folder.mkdir()
        folder.chmod(0o755)  # web servers read it, whatever the umask
    made.add(folder)
