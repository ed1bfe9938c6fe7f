"""The store: the folder that keeps rolls, OS trees and distributions.

```text
STORE/
    rolls.json                          the rolls that were added, and which are enabled
    rolls/NAME/VERSION-RELEASE/ARCH/    a built roll each, never changed once it is there
    rolls/.changing/                    only while rolls are added or removed; the next change cleans up after a crash
    os/NAME/  os/NAME.json              OS trees, and what was found of each
    distributions/NAME/1/ 2/ ...        generations; `current` is a link to the one in use
    cache/                              may be deleted at any time
    lock
```
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import explained, locked, read_limited, write_atomically
from rollbuild.location import Location
from rollbuild.rolls.built import MANIFEST, BuiltRoll, read_built_roll
from rollbuild.rolls.identity import RollId

INDEX = "rolls.json"
CHANGING = ".changing"
_JOURNAL = "journal.json"
_FORMAT = 1
_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AddedRoll:
    """A roll of the store; `digest` is that of its contents, `source` says where it came from."""

    id: RollId
    enabled: bool
    digest: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A store, whether or not its folder exists yet."""

    folder: Path

    @property
    def rolls_folder(self) -> Path:
        return self.folder / "rolls"

    @property
    def os_folder(self) -> Path:
        return self.folder / "os"

    @property
    def distributions_folder(self) -> Path:
        return self.folder / "distributions"

    @property
    def cache_folder(self) -> Path:
        return self.folder / "cache"

    def folder_of(self, roll: RollId) -> Path:
        """Where an added roll lies."""
        return self.rolls_folder / roll.name / f"{roll.version}-{roll.release}" / roll.arch

    @contextmanager
    def locked(self, doing: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the store's lock while the block lasts; whoever changes the store does. `doing`: see files.locked.

        Makes the store's folder, and cleans up after a change of its rolls that was killed. Raises RollbuildError:
        BUSY while another process holds it, REFUSED for a damaged index after such a change, DISK.
        """
        self._refuse_no_folder()
        with explained("cannot make the store", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", doing, wait_seconds=wait_seconds):
            self._clean_up()
            yield

    def read_index(self) -> tuple[AddedRoll, ...]:
        """The rolls that were added, sorted; none where there is no store yet.

        Raises RollbuildError: REFUSED for an index that is damaged, DISK when it cannot be read.
        """
        path = self.folder / INDEX
        if not os.path.lexists(path):
            self._refuse_no_folder()
            return ()
        try:
            content = json.loads(read_limited(path, _LIMIT))
            if content["format"] != _FORMAT:
                raise RollbuildError(
                    f"this store has format {content['format']}, this rollbuild knows {_FORMAT}",
                    location=Location(os.fspath(path)),
                    hint="use a newer rollbuild",
                )
            rolls = [
                AddedRoll(
                    RollId(*(str(item[key]) for key in ("name", "version", "release", "arch"))),
                    bool(item["enabled"]),
                    str(item["digest"]),
                    str(item.get("source", "")),
                )
                for item in content["rolls"]
            ]
        except (RollbuildError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            if isinstance(problem, RollbuildError) and problem.location is not None:
                raise
            raise RollbuildError(
                f"the store's list of rolls is damaged: {' '.join(str(problem).split())}",
                location=Location(os.fspath(path)),
                hint=f"move it away and add the rolls again: rollbuild roll add {self.rolls_folder}",
            ) from None
        return tuple(sorted(rolls, key=lambda roll: roll.id))

    def _refuse_no_folder(self) -> None:
        """Raises RollbuildError, exit code DISK, for a store that is a file, or a link to nowhere."""
        if os.path.lexists(self.folder) and not self.folder.is_dir():
            what = "this link leads nowhere" if self.folder.is_symlink() else "this is no folder"
            raise RollbuildError(
                f"{what}, and so no store",
                location=Location(os.fspath(self.folder)),
                hint="name the store's folder with --store DIR or ROLLBUILD_STORE",
                exit_code=DISK,
            )

    def write_index(self, rolls: Sequence[AddedRoll]) -> None:
        """Replace the list of rolls, atomically; the caller holds the lock. Raises RollbuildError, exit code DISK."""
        content = {
            "format": _FORMAT,
            "rolls": [
                {
                    "name": roll.id.name,
                    "version": roll.id.version,
                    "release": roll.id.release,
                    "arch": roll.id.arch,
                    "enabled": roll.enabled,
                    "digest": roll.digest,
                    "source": roll.source,
                }
                for roll in sorted(rolls, key=lambda roll: roll.id)
            ],
        }
        data = (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        write_atomically(self.folder / INDEX, data, sync=True)

    def read_roll(self, roll: AddedRoll) -> BuiltRoll:
        """An added roll's roll.json. Raises RollbuildError when it is not the one that was added."""
        folder = self.folder_of(roll.id)
        hint = "add it again with --replace, or remove it"
        if (self.rolls_folder / CHANGING / _JOURNAL).exists():
            hint = "rolls are being added or removed just now, or that was cut off: do it again"
        if not folder.is_dir():
            raise RollbuildError(f"roll {roll.id} is gone", location=Location(os.fspath(folder)), hint=hint)
        built = read_built_roll(folder)
        if built.digest != roll.digest or built.id != roll.id:
            raise RollbuildError(
                f"roll {roll.id} was changed since it was added", location=Location(os.fspath(folder)), hint=hint
            )
        return built

    def unlisted_folders(self) -> tuple[Path, ...]:
        """Folders below rolls/ that look like rolls and are not in the index: it was lost, or somebody put them there.

        Raises RollbuildError.
        """
        listed = {self.folder_of(roll.id) for roll in self.read_index()}
        with explained("cannot read", self.rolls_folder):
            found = sorted(path.parent for path in self.rolls_folder.glob(f"[!.]*/*/*/{MANIFEST}"))
        return tuple(folder for folder in found if folder not in listed)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder on the file system of the rolls, to stage them in while the block lasts; the caller holds the lock.

        Raises RollbuildError, exit code DISK.
        """
        work = self.rolls_folder / CHANGING
        with explained("cannot write", work):
            work.mkdir(parents=True)
        try:
            yield work
        finally:
            self._clean_up()

    def change_rolls(self, work: Path, changes: Mapping[RollId, Path | None], index: Sequence[AddedRoll]) -> None:
        """Put staged folders (below `work`, see `work_folder`) in the places of rolls, take rolls away (None), and
        write the index: all of it, or nothing.

        A process that is killed on the way leaves a journal, with which the next one that takes the lock undoes
        everything, or, when the index was written already, removes what is left over. Raises RollbuildError, exit
        code DISK.
        """
        rolls = list(changes)
        for number, roll in enumerate(rolls):
            staged = changes[roll]
            if staged is not None:
                with explained("cannot write", staged):
                    os.rename(staged, work / f"new-{number}")
        entries = [[roll.name, roll.version, roll.release, roll.arch] for roll in rolls]
        write_atomically(work / _JOURNAL, json.dumps(entries).encode(), sync=True)
        for number, roll in enumerate(rolls):
            place = self.folder_of(roll)
            with explained("cannot write", place):
                place.parent.mkdir(parents=True, exist_ok=True)
                if os.path.lexists(place):
                    os.rename(place, work / f"old-{number}")
                if changes[roll] is not None:
                    os.rename(work / f"new-{number}", place)
                    _sync_folder(place.parent)
        self.write_index(index)

    def _clean_up(self) -> None:
        """Undo or finish what a killed change left, and remove the work folder; the caller holds the lock."""
        work = self.rolls_folder / CHANGING
        if not work.is_dir():
            return
        journal = work / _JOURNAL
        if journal.exists():
            digests = {roll.id: roll.digest for roll in self.read_index()}
            try:
                rolls = [RollId(*map(str, parts)) for parts in json.loads(read_limited(journal, _LIMIT))]
            except (RollbuildError, ValueError, TypeError, RecursionError):
                raise RollbuildError(
                    "what an interrupted change of the rolls left is damaged",
                    location=Location(os.fspath(journal)),
                    hint=f"look at {work}, then remove it",
                ) from None
            for number, roll in enumerate(rolls):
                self._settle(roll, digests.get(roll), work, number)
            with explained("cannot write", journal):
                journal.unlink()
        import shutil

        shutil.rmtree(work, ignore_errors=True)

    def _settle(self, roll: RollId, digest: str | None, work: Path, number: int) -> None:
        """See that what the index says of a roll is what lies in its place."""
        place = self.folder_of(roll)
        if digest is not None and _digest_of(place) == digest:
            return
        with explained("cannot write", place):
            old = work / f"old-{number}"
            if digest is not None and _digest_of(old) != digest:
                return  # it was damaged before; `read_roll` tells
            if place.exists():
                os.rename(place, work / f"undone-{number}")
            if digest is not None:
                os.rename(old, place)
                return
            for folder in (place.parent, place.parent.parent):
                with suppress(OSError):  # not empty: other versions and architectures stay
                    folder.rmdir()


def _digest_of(folder: Path) -> str:
    try:
        return read_built_roll(folder).digest
    except RollbuildError:
        return ""


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
