"""Moving machines to other containers: cold, with what they have in memory and on their disks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from rollbuild.cluster import VmDisk, check_saved, next_slice, set_vm
from rollbuild.errors import RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.machines import (
    SAVED,
    Machine,
    Workplace,
    check_own_disks,
    container_settings,
    disks_of_others,
    held,
    settle,
)
from rollbuild.vm.marks import Mark, copying, find_mark, macs_of, tidy_moves
from rollbuild.vm.parallel import Report, Result, each
from rollbuild.vm.room import Room
from rollbuild.vm.running import check_no_others, restore_one, save_one
from rollbuild.vm.values import DomainState, GuestDisk


def move(
    workplace: Workplace,
    machine: tuple[str, str],
    to: str,
    file: str = "",
    *,
    overcommits: bool = False,
    is_forced: bool = False,
) -> Iterator[Result]:
    """Move a machine, given as (name, container), to another container.

    One that runs is saved, and goes on there. The database names the new container only when all is there, and the
    disks on the old one are removed after that: at any moment one whole machine is where the database says. `file` is
    where its memory is saved, on both; without it, beside its disks. Raises RollbuildError for no such path.
    """
    if file:
        check_saved(file)

    def work(name: str, container: str) -> Report:
        with held(name):
            news = tidy_moves(workplace, name, to=to)
            machine = workplace.read(name)
            report = _move(workplace, machine, to, file, overcommits=overcommits, is_forced=is_forced)
        return replace(report, news=(*news, *report.news))

    return each((machine,), work)


def _move(workplace: Workplace, machine: Machine, to: str, file: str, *, overcommits: bool, is_forced: bool) -> Report:
    name, container = machine.name, machine.container
    if to == container:
        if machine.vm.state == SAVED:
            # A move that was cut off may have let it go on already.
            here = workplace.make_driver(machine.settings)
            machine = settle(workplace, here, machine, here.states().get(name, DomainState.UNDEFINED))
        is_saved = machine.vm.state == SAVED
        return Report(news=(f"{name} is on {to} already{f', saved: rocks restore host vm {name}' * is_saved}",))
    with workplace.reading() as c:
        settings = container_settings(c, to)
        number = next_slice(c, to, settings.first_slice)
    if settings.is_xen != machine.settings.is_xen:
        raise RollbuildError(f"{container} and {to} have different hypervisors, and {name} fits to one of them")
    source, target = workplace.make_driver(machine.settings), workplace.make_driver(settings)
    state = source.states().get(name, DomainState.UNDEFINED)
    machine = settle(workplace, source, machine, state)
    if machine.may_be_installing and state.is_on:
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
    with workplace.reading() as c:
        check_own_disks(c, new.vm)
        shared = disks_of_others(c, machine.vm)
    room = Room(target)
    if state.is_on:
        room.take_memory(new, is_forced=is_forced)
    there = set(machine.disks) - set(source.missing_disks(machine.disks))
    pairs = [(old, now) for old, now in zip(machine.disks, new.disks, strict=True) if old in there]
    room.take_disks(new, [now for _, now in pairs], overcommits=overcommits)
    place = new.state_file(file)
    if file:
        check_no_others(workplace, new, place)
    if not is_forced and find_mark(machine, to) is None:
        _check_target(target, new, [*(now for _, now in pairs), *((place,) if file else ())])
    memory = machine.state_file(file) if state.is_on else machine.saved_state
    own = [disk for disk in machine.disks if disk.path not in shared]
    mark = Mark(
        *(name, container, to, macs_of(machine)), disks=(*own, memory), copies=(*(now for _, now in pairs), place)
    )
    mark.put()
    lines: list[str] = []
    news: tuple[str, ...] = ()
    is_here = True
    try:
        if state.is_on:
            machine = save_one(workplace, source, machine, state, file)
            lines.append("Saving the VM's current state.")
        is_saved = machine.vm.state == SAVED
        if is_saved and machine.saved_state not in source.missing_disks((machine.saved_state,)):
            lines.append(f"Copying the VM's current state to {to}.")
            _copy(source, target, machine.saved_state, place)
        for old, now in pairs:
            lines.append(f"Moving virtual disk ({old.path}) to {to}")
            _copy(source, target, old, now)
        # From here on nothing can start it on the old container but this database.
        source.remove(name)
        with workplace.writing() as c:
            set_vm(c, name, container=to, slice=number, disks=new.vm.disks, saved=place.path if is_saved else "")
        is_here = False
        news = tidy_moves(workplace, name, is_told=False)
        if state.is_on:
            lines.append(f"Restarting the VM on {to}.")
            restore_one(workplace, target, workplace.read(name), is_forced=is_forced)
    except RollbuildError as problem:
        # Whoever moves what runs must know that it does not run now.
        where = container if is_here else to
        if state.is_on and workplace.read(name).vm.state == SAVED:
            hint = f"{name} is saved on {where}: rocks restore host vm {name} lets it go on there"
            said = f"{problem.hint}; {hint}" if problem.hint else hint
            raise RollbuildError(problem.message, hint=said, exit_code=problem.exit_code) from None
        raise
    if is_saved and not state.is_on:
        news = (f"{name} is on {to}, saved: rocks restore host vm {name}", *news)
    return Report(tuple(lines), news)


def _check_target(target: Driver, new: Machine, disks: Sequence[GuestDisk]) -> None:
    """Raises RollbuildError for disks that are there already."""
    if there := set(disks) - set(target.missing_disks(disks)):
        paths = ", ".join(sorted(disk.path for disk in there))
        raise RollbuildError(
            f"{new.container} has a disk that {new.name} would overwrite: {paths}",
            hint=f"is it that of a VM which was removed? rocks move host vm {new.name} {new.container} force=yes "
            "overwrites it",
        )


def _machine_there(machine: Machine, folder: str, to: str) -> Machine:
    """The same machine with its image files in the folder of the new container."""
    disks: list[VmDisk] = []
    for disk in machine.vm.disks:
        path = f"{folder}/{PurePosixPath(disk.path).name}" if disk.kind == "file" else disk.path
        disks.append(replace(disk, path=path))
    return replace(machine, vm=replace(machine.vm, container=to, disks=tuple(disks)))


def _copy(source: Driver, target: Driver, old: GuestDisk, new: GuestDisk) -> None:
    """Through a sparse file of this machine: containers do not let each other in."""
    with copying() as copy:
        source.fetch_disk(old, copy)
        target.send_disk(new, copy)
