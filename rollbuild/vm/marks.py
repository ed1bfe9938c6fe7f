"""Marks of moves: what a move copies from where to where, kept on the front end until nothing of it is left over."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited, system_path, write_atomically
from rollbuild.vm.machines import Machine, Workplace, container_settings, files_there
from rollbuild.vm.parallel import Report
from rollbuild.vm.values import GuestDisk

_STAGE = "/var/lib/rollbuild/moving"
_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """A move of the machine `name` from `container` to `to`: `disks` are what it has here, `copies` there."""

    name: str
    container: str
    to: str
    macs: tuple[str, ...]
    disks: tuple[GuestDisk, ...] = ()
    copies: tuple[GuestDisk, ...] = ()

    @property
    def file(self) -> Path:
        # One for each container that it leaves: the next move need not wait until the last one is tidied up. Names of
        # hosts have no dots.
        return system_path(_STAGE) / f"{self.name}.{self.container}.mark"

    def put(self) -> None:
        make_stage()
        values = {"to": self.to, "macs": self.macs, "disks": _as_data(self.disks), "copies": _as_data(self.copies)}
        write_atomically(self.file, json.dumps(values).encode())

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)

    def is_of(self, machine: Machine) -> bool:
        """Whether it is of this machine: another one may get the name, and none the MAC."""
        return self.macs == macs_of(machine)


def macs_of(machine: Machine) -> tuple[str, ...]:
    return tuple(one.mac for one in machine.interfaces)


def read_marks(name: str) -> tuple[Mark, ...]:
    """Those of a machine of that name. One that cannot be read is of no use to anybody, and is passed over."""
    found = []
    for file in sorted(system_path(_STAGE).glob(f"{name}.*.mark")):
        try:
            data = json.loads(read_limited(file, _LIMIT))
            found.append(
                Mark(
                    *(name, file.name.split(".")[1], str(data["to"]), tuple(data["macs"])),
                    disks=tuple(GuestDisk(**disk) for disk in data["disks"]),
                    copies=tuple(GuestDisk(**disk) for disk in data["copies"]),
                )
            )
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def find_mark(machine: Machine, to: str) -> Mark | None:
    """That of a move to `to` which was cut off before the database named the new container."""
    for mark in read_marks(machine.name):
        if mark.is_of(machine) and (mark.container, mark.to) == (machine.container, to):
            return mark
    return None


def tidy_moves(
    workplace: Workplace, name: str, *, to: str = "", is_last: bool = False, is_told: bool = True
) -> tuple[str, ...]:
    """Remove what moves of a machine, which the caller holds, left on other containers; what was done, in words.

    What cannot be reached is told, and tried again by the next command for that machine. `to` is a container that it
    is to be moved to: a move to elsewhere that was cut off is then given up. `is_last`: the machine is to be removed.
    What was removed is not said unless `is_told`.
    """
    news: list[str] = []
    for mark in read_marks(name):
        machine = workplace.read(name)
        if not mark.is_of(machine):
            mark.remove()
        elif mark.container != machine.container:
            news += _tidy(workplace, mark, mark.container, mark.disks, is_last=is_last, is_told=is_told)
        elif is_last or (to and mark.to not in (to, machine.container)):
            news += _tidy(workplace, mark, mark.to, mark.copies, is_last=is_last, is_told=is_told)
    return tuple(news)


def and_tidied(workplace: Workplace, name: str, report: Report) -> Report:
    """The report of a command, with what was left over from moves of its machine."""
    return replace(report, news=(*report.news, *tidy_moves(workplace, name)))


def _tidy(
    workplace: Workplace, mark: Mark, container: str, disks: Sequence[GuestDisk], *, is_last: bool, is_told: bool
) -> tuple[str, ...]:
    name = mark.name
    paths = ", ".join(disk.path for disk in disks)
    try:
        with workplace.reading() as c:
            settings = container_settings(c, container)
            used = files_there(c, container)
        driver = workplace.make_driver(settings)
        mine = [disk for disk in disks if disk.path not in used]
        missing = driver.missing_disks(mine)
        there = [disk for disk in mine if disk not in missing]
        driver.remove_disks(there)
    except RollbuildError as problem:
        left = f"{container} may still have what a move of {name} left there: {paths}"
        if is_last:
            mark.remove()
            return (f"{left} ({problem.message})",)
        return (f"{left}; the next command for {name} tries again to remove it ({problem.message})",)
    mark.remove()
    if not there or not is_told:
        return ()
    return (f"removed from {container}, where a move of {name} left it: {', '.join(disk.path for disk in there)}",)


def _as_data(disks: Sequence[GuestDisk]) -> list[dict[str, Any]]:
    return [{"path": disk.path, "device": disk.device, "size": disk.size, "kind": disk.kind} for disk in disks]


@contextmanager
def copying() -> Iterator[Path]:
    """A path for the copy of a disk, which is removed in the end."""
    with tempfile.TemporaryDirectory(dir=make_stage()) as folder:
        yield Path(folder, "disk")


def make_stage() -> Path:
    stage = system_path(_STAGE)
    stage.mkdir(parents=True, exist_ok=True)
    stage.chmod(0o700)
    return stage
