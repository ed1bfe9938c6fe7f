"""The store: the folder that keeps rolls, OS trees and distributions.

```text
STORE/
    rolls.json                          the rolls that were added, and which are enabled
    rolls/NAME/VERSION-RELEASE/ARCH/    a built roll each, never changed once it is there
    os/NAME/  os/NAME.json              OS trees, and what was found of each
    distributions/NAME/1/ 2/ ...        generations; `current` is a link to the one in use
    cache/                              may be deleted at any time
    lock
```
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, locked, read_limited, write_atomically
from rollbuild.location import Location
from rollbuild.rolls.built import BuiltRoll, read_built_roll
from rollbuild.rolls.identity import RollId

INDEX = "rolls.json"
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

        Makes the store's folder. Raises RollbuildError: BUSY while another process holds it, DISK.
        """
        with explained("cannot make the store", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", doing, wait_seconds=wait_seconds):
            yield

    def read_index(self) -> tuple[AddedRoll, ...]:
        """The rolls that were added, sorted; none where there is no store yet.

        Raises RollbuildError: REFUSED for an index that is damaged, DISK when it cannot be read.
        """
        path = self.folder / INDEX
        if not os.path.lexists(path):
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
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise RollbuildError(
                f"the store's list of rolls is damaged: {' '.join(str(problem).split())}",
                location=Location(os.fspath(path)),
                hint="move it away and add the rolls again; they are all still in the folder rolls/",
            ) from None
        return tuple(sorted(rolls, key=lambda roll: roll.id))

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
        built = read_built_roll(folder)
        if built.digest != roll.digest or built.id != roll.id:
            raise RollbuildError(
                f"roll {roll.id} was changed since it was added",
                location=Location(os.fspath(folder)),
                hint="remove the roll and add it again",
            )
        return built
