"""What lies on a medium: the rolls in a folder or on an ISO, and what a medium without one is instead."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from rollbuild.errors import DISK, FindingsError, RollbuildError
from rollbuild.files import copy_file, explained, read_limited, walk_tree
from rollbuild.findings import Finding, Severity, warning
from rollbuild.images import IsoImage, open_iso
from rollbuild.location import Location
from rollbuild.rolls.built import MANIFEST, is_outside

_DEPTH = 4
_OLD_PACKAGES = "RedHat"
_OLD_XML = re.compile(r"roll-[^/]+\.xml\Z")
_ARCHES = frozenset(("x86_64", "i386", "ia64", "noarch", "aarch64", "ppc64le", "s390x"))
_SOURCE_MARKS = frozenset(("roll.yaml", "nodes", "graphs", "version.mk"))
_OS_MARKS = frozenset((".treeinfo", "treeinfo", ".discinfo", "media.repo", "LiveOS"))
_NO_FILE = -1
NAMELESS = "there are packages as in a roll of Rocks, and no roll-NAME.xml: this is not added"
"""Said of what Rocks took from install DVDs; its distributions look like that too."""
NAMELESS_HINT = "is it what Rocks took from an install DVD? Import the DVD itself: rollbuild distro import-os"
_XML_LIMIT = 16 * 1024 * 1024
_MANIFEST_LIMIT = 256 * 1024 * 1024

Advance = Callable[[int], object]


class Medium(Protocol):
    """A folder or an ISO. Paths are from its top, with slashes; "" is the top itself."""

    @property
    def shown(self) -> str:
        """How messages name it."""

    def list_folder(self, path: str) -> Mapping[str, bool]:
        """What a folder holds: name -> whether it is a folder. Raises RollbuildError."""

    def files_below(self, path: str) -> Iterator[tuple[str, int]]:
        """(path from that folder, bytes) of every file below. Raises RollbuildError for links, pipes and devices."""

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a file. Raises RollbuildError."""

    def copy_tree(self, path: str, target: Path, advance: Advance | None) -> None:
        """Copy all that a folder holds to `target`, which is not there; what `files_below` refuses may be left out.

        Raises RollbuildError.
        """


@dataclass(frozen=True, slots=True)
class FolderMedium:
    """A folder, also one where a medium is mounted."""

    folder: Path

    @property
    def shown(self) -> str:
        return os.fspath(self.folder)

    def list_folder(self, path: str) -> Mapping[str, bool]:
        here = self.folder / path
        with explained("cannot read", here):
            return {entry.name: entry.is_dir(follow_symlinks=False) for entry in sorted(os.scandir(here), key=_name)}

    def files_below(self, path: str) -> Iterator[tuple[str, int]]:
        for name, status in walk_tree(self.folder / path):
            if stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                what = "a link" if stat.S_ISLNK(status.st_mode) else "a pipe, a device or a socket"
                raise RollbuildError(
                    f"this is {what}, not a file",
                    location=Location(os.fspath(self.folder / path / name)),
                    hint="a roll consists of files: put a copy of the file in its place",
                )

    def read(self, path: str, limit: int) -> bytes:
        return read_limited(self.folder / path, limit)

    def copy_tree(self, path: str, target: Path, advance: Advance | None) -> None:
        with explained("cannot write", target):
            target.mkdir()
        for name, size in self.files_below(path):
            with explained("cannot write", target / name):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(self.folder / path / name, target / name)
            if advance is not None:
                advance(size)


@dataclass(frozen=True, slots=True)
class IsoMedium:
    """An ISO image, read without mounting it."""

    path: Path
    image: IsoImage
    _tree: dict[str, dict[str, int | None]] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        return os.fspath(self.path)

    def _folders(self) -> dict[str, dict[str, int | None]]:
        if not self._tree:
            self._tree[""] = {}
            for entry in self.image.entries():
                if is_outside(entry.path):
                    raise RollbuildError(
                        f"this ISO names a file that leads out of it: {entry.path}",
                        location=Location(self.shown),
                        hint="do not use it: no program that writes ISOs makes such names",
                    )
                parent, _, name = entry.path.rpartition("/")
                size = entry.size if entry.is_file else _NO_FILE
                self._tree.setdefault(parent, {})[name] = None if entry.is_folder else size
                if entry.is_folder:
                    self._tree.setdefault(entry.path, {})
        return self._tree

    def list_folder(self, path: str) -> Mapping[str, bool]:
        return {name: size is None for name, size in sorted(self._folders().get(path, {}).items())}

    def files_below(self, path: str) -> Iterator[tuple[str, int]]:
        for name, size in sorted(self._folders().get(path, {}).items()):
            if size == _NO_FILE:
                raise RollbuildError(
                    "this is a link or a device, not a file", location=Location(f"{self.shown}:{_join(path, name)}")
                )
            if size is not None:
                yield name, size
            else:
                for below, bytes_ in self.files_below(_join(path, name)):
                    yield f"{name}/{below}", bytes_

    def read(self, path: str, limit: int) -> bytes:
        return self.image.read(path, limit)

    def copy_tree(self, path: str, target: Path, advance: Advance | None) -> None:
        self.image.extract(path, target, advance)


@dataclass(frozen=True, slots=True)
class FoundRoll:
    """A roll on a medium: `path` is its folder from the medium's top. `is_old`: Rocks built it, without roll.json."""

    medium: Medium
    path: str
    is_old: bool

    @property
    def shown(self) -> str:
        """The medium, and the folder on it where it is not the top."""
        return _join(self.medium.shown, self.path) if self.path else self.medium.shown

    def read_description(self) -> tuple[bytes, str]:
        """Its roll.json, or the old roll's roll-NAME.xml, and how messages name that file. Raises RollbuildError."""
        names = self.medium.list_folder(self.path)
        name = next(filter(_OLD_XML.match, names)) if self.is_old else MANIFEST
        limit = _XML_LIMIT if self.is_old else _MANIFEST_LIMIT
        return self.medium.read(_join(self.path, name), limit), f"{self.shown}/{name}"


def open_medium(path: Path) -> Medium:
    """A folder, or an ISO that is whole.

    Raises RollbuildError: DISK where there is nothing, REFUSED for a file that is no ISO or was cut short.
    """
    if path.is_dir():
        return FolderMedium(path)
    if not path.exists():
        raise RollbuildError(f"there is no {path}", hint="name an ISO, a folder or a URL (https://...)", exit_code=DISK)
    if path.suffix == ".rpm":
        raise RollbuildError("this is a package, not a roll", location=Location(os.fspath(path)), hint=_PACKAGES_HINT)
    return IsoMedium(path, open_iso(path))


def find_rolls_on(medium: Medium) -> tuple[tuple[FoundRoll, ...], tuple[Finding, ...]]:
    """The rolls of a medium, at its top or up to four folders down; and warnings about what is only nearly one.

    Raises RollbuildError, which says what it is instead, where there is none.
    """
    nameless: list[Finding] = []
    found = tuple(_search(medium, "", _DEPTH, nameless))
    if not found and nameless:
        raise FindingsError([replace(finding, severity=Severity.ERROR) for finding in nameless])
    if not found:
        raise _explain_none(medium)
    return found, tuple(nameless)


def _search(medium: Medium, path: str, depth: int, nameless: list[Finding]) -> Iterator[FoundRoll]:
    names = medium.list_folder(path)
    if names.get(MANIFEST) is False:
        yield FoundRoll(medium, path, is_old=False)
    elif any(_OLD_XML.match(name) and not is_folder for name, is_folder in names.items()) and (
        names.get(_OLD_PACKAGES) or os.path.basename(_join(os.path.abspath(medium.shown), path)) in _ARCHES
    ):
        yield FoundRoll(medium, path, is_old=True)
    elif path and names.get(_OLD_PACKAGES):
        nameless.append(warning("ROLL-FILE", NAMELESS, Location(_join(medium.shown, path)), NAMELESS_HINT))
    elif depth:
        for name, is_folder in names.items():
            if is_folder and not name.startswith("."):
                yield from _search(medium, _join(path, name), depth - 1, nameless)


_PACKAGES_HINT = "make a roll of packages: rollbuild new roll NAME, put them into its packages/, rollbuild roll build"


def _explain_none(medium: Medium) -> RollbuildError:
    """What a medium without a roll is, and what to do with it."""
    names = medium.list_folder("")
    place = Location(medium.shown)
    if not names:
        return RollbuildError("this is empty", location=place, hint="is it mounted, and was it copied whole?")
    if not _OS_MARKS.isdisjoint(names):
        return RollbuildError(
            "this is a medium of an operating system, not a roll",
            location=place,
            hint=f"import it: rollbuild distro import-os {medium.shown}",
        )
    folders = [name for name, is_folder in names.items() if is_folder]
    sources = [name for name in folders if _is_source(medium.list_folder(name))]
    if _is_source(names) or sources:
        built = medium.shown if _is_source(names) else _join(medium.shown, sources[0])
        return RollbuildError(
            "this is the source of a roll, which is not built",
            location=place,
            hint=f"build it first: rollbuild roll build {built}",
        )
    below = [name for folder in folders for name in medium.list_folder(folder)]
    if any(name.endswith(".rpm") for name in (*names, *below)):
        return RollbuildError("these are packages, not a roll", location=place, hint=_PACKAGES_HINT)
    if any(name.endswith(".iso") for name in names):
        hint = f"name them: rollbuild roll add {_join(medium.shown, '*.iso')}"
        return RollbuildError("these are ISO images, and no folder of a roll", location=place, hint=hint)
    return RollbuildError(
        "there is no roll here", location=place, hint="a roll is a folder NAME/VERSION/ARCH with a roll.json"
    )


def _is_source(names: Mapping[str, bool]) -> bool:
    return MANIFEST not in names and not _SOURCE_MARKS.isdisjoint(names)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path and name else path or name


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
