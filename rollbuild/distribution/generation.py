"""Generations of a distribution: numbered folders that never change, and the link `current` to the one in use."""

import errno
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import explained
from rollbuild.rolls import Store

CURRENT = "current"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation; `folder` holds its tree."""

    distribution: str
    number: int
    folder: Path
    is_current: bool

    def __str__(self) -> str:
        return f"{self.distribution}@{self.number}"


def check_distribution_name(name: str) -> None:
    """Refuse what cannot be the name of a distribution. Raises RollbuildError."""
    if not _NAME.match(name) or len(name) > 64:
        hint = "at most 64 lower-case letters, digits and `. _ -` are allowed, first a letter or digit"
        raise RollbuildError(f"{name!r} is no name of a distribution", hint=hint, exit_code=USAGE)


def distribution_names(store: Store) -> tuple[str, ...]:
    """The distributions of a store that have a generation, sorted. Raises RollbuildError, exit code DISK."""
    with explained("cannot read", store.distributions_folder):
        try:
            entries = sorted(entry.name for entry in os.scandir(store.distributions_folder) if entry.is_dir())
        except FileNotFoundError:
            return ()
    return tuple(name for name in entries if _NAME.match(name) and read_generations(store, name))


def read_generations(store: Store, name: str) -> tuple[Generation, ...]:
    """The generations of a distribution, oldest first; none where there is no such distribution.

    Raises RollbuildError, exit code DISK.
    """
    folder = store.distributions_folder / name
    with explained("cannot read", folder):
        try:
            found = sorted(int(entry.name) for entry in os.scandir(folder) if _is_generation(entry))
        except (FileNotFoundError, NotADirectoryError):
            return ()
    current = _read_current(folder)
    return tuple(Generation(name, number, folder / str(number), number == current) for number in found)


def _is_generation(entry: os.DirEntry[str]) -> bool:
    return bool(_NUMBER.match(entry.name)) and entry.is_dir(follow_symlinks=False)


def _read_current(folder: Path) -> int:
    """The number of the generation in use; 0 for none."""
    with suppress(OSError):
        text = os.readlink(folder / CURRENT)
        if _NUMBER.match(text):
            return int(text)
    return 0


def find_generation(store: Store, name: str, number: int | None = None) -> Generation:
    """A generation of a distribution, the one in use when no number is given. Raises RollbuildError."""
    check_distribution_name(name)
    generations = read_generations(store, name)
    if not generations:
        known = distribution_names(store)
        hint = f"there is: {', '.join(known)}" if known else "rollbuild distro create makes one"
        raise RollbuildError(f"there is no distribution {name} in {store.folder}", hint=hint, exit_code=USAGE)
    for generation in generations:
        if generation.number == number or (number is None and generation.is_current):
            return generation
    listed = ", ".join(str(generation.number) for generation in generations)
    message = f"distribution {name} has no generation {number}" if number else f"no generation of {name} is in use"
    raise RollbuildError(message, hint=f"there is: {listed}", exit_code=USAGE)


def switch_current(generation: Generation) -> None:
    """Let `current` name this generation, in one step; the caller holds the store's lock.

    Raises RollbuildError, exit code DISK; then `current` is as it was.
    """
    folder = generation.folder.parent
    link = folder / CURRENT
    temporary = folder / f".rollbuild-{CURRENT}"
    with explained("cannot switch", link):
        if os.path.lexists(link) and not link.is_symlink():
            raise FileExistsError(errno.EEXIST, "there is a file or folder of this name where a link belongs")
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # of a process that was killed; the lock says that there is no other
        os.symlink(str(generation.number), temporary)
        os.rename(temporary, link)
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names of a folder. Raises OSError."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
