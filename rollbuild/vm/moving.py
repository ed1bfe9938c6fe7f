"""Moving machines to other containers: cold, with what they have in memory and on their disks."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rollbuild.cluster import VmDisk, next_slice, set_vm
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.vm.driver import Driver
from rollbuild.vm.machines import INSTALLING, SAVED, Machine, Workplace, container_settings, held, settle
from rollbuild.vm.parallel import Report, Result, each
from rollbuild.vm.room import Room
from rollbuild.vm.running import restore_one, save_one
from rollbuild.vm.values import DomainState, GuestDisk

_STAGE = "/var/lib/rollbuild/moving"


def move(
    workplace: Workplace, machine: tuple[str, str], to: str, *, overcommits: bool = False, is_forced: bool = False
) -> Iterator[Result]:
    """Move a machine, given as (name, container), to another container.

    One that runs is saved, and goes on there. The database names the new container only when all is there, and the
    disks on the old one are removed after that: at any moment one whole machine is where the database says.
    """

    def work(name: str, container: str) -> Report:
        with held(name):
            return _move(workplace, workplace.read(name), to, overcommits=overcommits, is_forced=is_forced)

    return each((machine,), work)


def _move(workplace: Workplace, machine: Machine, to: str, *, overcommits: bool, is_forced: bool) -> Report:
    name, container = machine.name, machine.container
    if to == container:
        saved = f", saved: rocks restore host vm {name}" if machine.vm.state == SAVED else ""
        return Report(news=(f"{name} is on {to} already{saved}",))
    with workplace.reading() as c:
        settings = container_settings(c, to)
        number = next_slice(c, to, settings.first_slice)
    if settings.is_xen != machine.settings.is_xen:
        raise RollbuildError(f"{container} and {to} have different hypervisors, and {name} fits to one of them")
    source, target = workplace.make_driver(machine.settings), workplace.make_driver(settings)
    state = source.states().get(name, DomainState.UNDEFINED)
    machine = settle(workplace, source, machine, state)
    if machine.vm.state == INSTALLING and state.is_on:
        raise RollbuildError(f"{name} is installing on {container}", hint="wait until it is done, or stop it")
    if target.states().get(name, DomainState.UNDEFINED).is_on:
        raise RollbuildError(
            f"{to} runs a machine {name} already", hint="it is none of the database's: look at it, and end it there"
        )
    new = replace(_machine_there(machine, settings.disk_folder, to), settings=settings)
    if new.disks != machine.disks and (state.is_on or machine.vm.state == SAVED):
        raise RollbuildError(
            f"{name} would have its disks elsewhere on {to}, which its saved state does not know",
            hint=f"move it when it is off: rocks stop host vm {name} action=shutdown",
        )
    room = Room(target)
    if state.is_on:
        room.take_memory(new, is_forced=is_forced)
    there = set(machine.disks) - set(source.missing_disks(machine.disks))
    pairs = [(old, now) for old, now in zip(machine.disks, new.disks, strict=True) if old in there]
    room.take_disks(new, [now for _, now in pairs], overcommits=overcommits)
    lines = []
    if state.is_on:
        machine = save_one(workplace, source, machine, state)
        lines.append("Saving the VM's current state.")
    if machine.vm.state == SAVED and machine.saved_state not in source.missing_disks((machine.saved_state,)):
        lines.append(f"Copying the VM's current state to {to}.")
        _copy(source, target, machine.saved_state, new.saved_state)
    for old, now in pairs:
        lines.append(f"Moving virtual disk ({old.path}) to {to}")
        _copy(source, target, old, now)
    # From here on nothing can start it on the old container but this database.
    source.remove(name)
    with workplace.writing() as c:
        set_vm(c, name, container=to, slice=number, disks=new.vm.disks)
    moved = workplace.read(name)
    source.remove_disks((*machine.disks, machine.saved_state))
    if state.is_on:
        lines.append(f"Restarting the VM on {to}.")
        restore_one(workplace, target, moved, is_forced=is_forced)
    is_saved = not state.is_on and moved.vm.state == SAVED
    return Report(tuple(lines), (f"{name} is on {to}, saved: rocks restore host vm {name}",) if is_saved else ())


def _machine_there(machine: Machine, folder: str, to: str) -> Machine:
    """The same machine with its image files in the folder of the new container."""
    disks: list[VmDisk] = []
    for disk in machine.vm.disks:
        path = f"{folder}/{PurePosixPath(disk.path).name}" if disk.kind == "file" else disk.path
        disks.append(replace(disk, path=path))
    return replace(machine, vm=replace(machine.vm, container=to, disks=tuple(disks)))


def _copy(source: Driver, target: Driver, old: GuestDisk, new: GuestDisk) -> None:
    """Through a sparse file of this machine: containers do not let each other in."""
    stage = system_path(_STAGE)
    stage.mkdir(parents=True, exist_ok=True)
    stage.chmod(0o700)
    with tempfile.TemporaryDirectory(dir=stage) as folder:
        copy = Path(folder, "disk")
        source.fetch_disk(old, copy)
        target.send_disk(new, copy)
