"""Installing machines, and starting those that are installed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rollbuild.cluster import ADDED, make_url_token, set_boot, set_vm
from rollbuild.errors import BUSY, UNREACHABLE, RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.machines import (
    INSTALLING,
    RUNNING,
    SAVED,
    UNKNOWN,
    Machine,
    Workplace,
    drop_state,
    held,
    settle,
    show_time,
)
from rollbuild.vm.marks import and_tidied
from rollbuild.vm.parallel import Crew, Report, Result, each
from rollbuild.vm.room import Room
from rollbuild.vm.values import DomainState, VirtType
from rollbuild.vm.virsh import CONFIG_FOLDER

_UNUSED = "unused"


def create(
    workplace: Workplace,
    machines: Sequence[tuple[str, str]],
    *,
    is_forced: bool = False,
    overcommits: bool = False,
) -> Iterator[Result]:
    """Install machines, given as (name, container): what is on their disks is lost.

    All those of a container are checked before the first of them is made. `is_forced`: also those that were installed
    already, and whatever the container says of its memory.
    """

    def visit(container: str, names: Sequence[str], crew: Crew) -> None:
        with ExitStack() as locks:
            ready: list[tuple[Machine, VirtType]] = []
            driver: Driver | None = None
            room: Room | None = None
            states: dict[str, DomainState] = {}
            free: list[str] = []
            # All of them first: what is seen of one stays so until it is done.
            for name in names:
                try:
                    locks.enter_context(held(name))
                    free.append(name)
                except RollbuildError as problem:
                    crew.hand_in(Result(name, container, error=problem))
            for name in free:
                try:
                    machine = workplace.read(name)
                    if machine.container != container:
                        raise RollbuildError(
                            f"{name} was moved to {machine.container} meanwhile", hint="try again", exit_code=BUSY
                        )
                    if driver is None or room is None:
                        driver = workplace.make_driver(machine.settings)
                        room, states = Room(driver), dict(driver.states())
                    machine = settle(workplace, driver, machine, states.get(name, DomainState.UNDEFINED))
                    _check_create(driver, machine, states.get(name, DomainState.UNDEFINED), is_forced=is_forced)
                    virt_type = workplace.choose_virt_type(machine)
                    # What would fail without the container fails before it is asked for anything.
                    machine.guest(virt_type)
                    workplace.make_installer(name, _UNUSED, virt_type)
                    room.take_memory(machine, is_forced=is_forced)
                    room.take_disks(machine, driver.missing_disks(machine.disks), overcommits=overcommits)
                    ready.append((machine, virt_type))
                except RollbuildError as problem:
                    if problem.exit_code == UNREACHABLE:
                        raise
                    crew.hand_in(Result(name, container, error=problem))
            for machine, virt_type in ready:
                if crew.is_stopped or driver is None:
                    return
                try:
                    report = and_tidied(workplace, machine.name, _install(workplace, driver, machine, virt_type))
                    crew.hand_in(Result(machine.name, container, report.lines, report.news))
                except RollbuildError as problem:
                    crew.hand_in(Result(machine.name, container, error=problem))

    return Crew(machines).run(visit)


def _check_create(driver: Driver, machine: Machine, state: DomainState, *, is_forced: bool) -> None:
    name, container = machine.name, machine.container
    if state.is_on:
        if machine.vm.state == INSTALLING and machine.installs:
            raise RollbuildError(
                f"{name} is already installing on {container}{_since(machine)}", hint=f"watch it: rocks-console {name}"
            )
        raise RollbuildError(
            f"{name} is {_running(state)} on {container}", hint=f"to install it anew, first: rocks stop host vm {name}"
        )
    if is_forced:
        return
    if is_installed(machine):
        raise RollbuildError(
            f"{name} is installed already: its disk would be overwritten",
            hint=f"start it: rocks start host vm {name}; or lose what is on it: rocks create host vm {name} force=yes",
        )
    if machine.vm.state != INSTALLING:
        _check_leftover(driver, machine)


def _check_leftover(driver: Driver, machine: Machine) -> None:
    """Raises RollbuildError for disks that are there before the machine ever was."""
    there = set(machine.disks) - set(driver.missing_disks(machine.disks))
    if not there:
        return
    name, paths = machine.name, ", ".join(sorted(disk.path for disk in there))
    if machine.vm.state == UNKNOWN:
        first = f"rocks set host boot {name} action=os, then " if machine.installs else ""
        raise RollbuildError(
            f"it is not known whether {name} is installed, and its disk on {machine.container} would be overwritten: "
            f"{paths}",
            hint=f"start it from its disk: {first}rocks start host vm {name}; or lose what is on it: "
            f"rocks create host vm {name} force=yes",
        )
    raise RollbuildError(
        f"{machine.container} has a disk that {name} would overwrite: {paths}",
        hint=f"is it that of a VM which was removed? rocks create host vm {name} force=yes overwrites it",
    )


def is_installed(machine: Machine) -> bool:
    """Whether the database knows that it has a system on its disk."""
    if machine.vm.state == INSTALLING:
        return machine.is_reported or not machine.installs
    return machine.vm.state not in (UNKNOWN, ADDED)


def _install(workplace: Workplace, driver: Driver, machine: Machine, virt_type: VirtType) -> Report:
    """Have it install itself. What is intended is in the database before the container is asked for anything."""
    if machine.vm.state in (SAVED, UNKNOWN):
        drop_state(workplace, driver, machine)
    with workplace.writing() as c:
        set_boot(c, machine.name, "install")
        kind = "hvm" if virt_type is VirtType.KVM else str(virt_type)
        vm = set_vm(c, machine.name, state=INSTALLING, virt_type=kind, saved="")
        token = make_url_token(c, machine.name, workplace.clock())
    machine = replace(machine, vm=vm)
    installer = workplace.make_installer(machine.name, token, virt_type)
    for disk in driver.missing_disks(machine.disks):
        driver.make_disk(disk)
    driver.start(machine.guest(virt_type), driver.put_installer(machine.name, installer))
    return Report(_started(machine, virt_type))


def start(workplace: Workplace, machines: Sequence[tuple[str, str]], *, is_forced: bool = False) -> Iterator[Result]:
    """Start machines as their boot actions say: from their disks, or an install that did not come to its end.

    `is_forced`: whatever the container says of its memory, and without the state that one was saved in.
    """

    def work(name: str, container: str) -> Report:
        with held(name):
            machine = workplace.read(name)
            report = start_one(workplace, workplace.make_driver(machine.settings), machine, is_forced=is_forced)
            return and_tidied(workplace, name, report)

    return each(machines, work)


def start_one(workplace: Workplace, driver: Driver, machine: Machine, *, is_forced: bool = False) -> Report:
    """Start one machine, which the caller holds. Raises RollbuildError."""
    name, container = machine.name, machine.container
    state = driver.states().get(name, DomainState.UNDEFINED)
    machine = settle(workplace, driver, machine, state)
    if state.is_on:
        raise _cannot_start(machine, state)
    virt_type = workplace.choose_virt_type(machine)
    if machine.vm.state == SAVED and machine.saved_state not in driver.missing_disks((machine.saved_state,)):
        if not is_forced:
            raise RollbuildError(
                f"{name} is saved on {container}",
                hint=f"let it go on: rocks restore host vm {name}; or lose what it had in memory: "
                f"rocks start host vm {name} force=yes",
            )
        drop_state(workplace, driver, machine)
    if machine.host.held:
        raise RollbuildError(
            f"{name} is held: {machine.host.held}", hint=f"when it may install again: rocks create host vm {name}"
        )
    if machine.installs:
        if machine.vm.state in (UNKNOWN, ADDED) and not is_forced:
            _check_leftover(driver, machine)
        workplace.make_installer(name, _UNUSED, virt_type)
        room = Room(driver)
        room.take_memory(machine, is_forced=is_forced)
        room.take_disks(machine, driver.missing_disks(machine.disks), overcommits=is_forced)
        report = _install(workplace, driver, machine, virt_type)
        again = " again" if machine.vm.state == INSTALLING else ""
        return replace(report, news=(f"{name} is to install itself: its install starts{again}", *report.news))
    if machine.vm.state == ADDED:
        raise RollbuildError(f"{name} was never installed", hint=f"rocks create host vm {name}")
    if missing := driver.missing_disks(machine.disks):
        raise RollbuildError(
            f"{container} has no disk {missing[0].path} of {name}",
            hint=f"was it never installed? rocks create host vm {name}",
        )
    Room(driver).take_memory(machine, is_forced=is_forced)
    workplace.note(machine, RUNNING)
    driver.start(machine.guest(virt_type))
    return Report(_started(machine, virt_type))


def _cannot_start(machine: Machine, state: DomainState) -> RollbuildError:
    name, container = machine.name, machine.container
    if machine.vm.state == INSTALLING and machine.installs:
        return RollbuildError(
            f"{name} is still installing on {container}{_since(machine)}", hint=f"watch it: rocks-console {name}"
        )
    if machine.vm.state == INSTALLING and state is DomainState.ACTIVE:
        return RollbuildError(
            f"{name} is installed, and its installer still runs on {container}",
            hint="try again when it has turned itself off, in a moment",
            exit_code=BUSY,
        )
    hints = {
        DomainState.PAUSED: f"let it go on: rocks resume host vm {name}",
        DomainState.CRASHED: f"look at it: rocks-console {name}; then rocks stop host vm {name}",
    }
    return RollbuildError(f"{name} is {_running(state)} on {container}", hint=hints.get(state, ""))


def _running(state: DomainState) -> str:
    words = {DomainState.ACTIVE: "already running", DomainState.SHUTDOWN: "shutting down"}
    return words.get(state, str(state))


def _since(machine: Machine) -> str:
    return f" (since {show_time(machine.since)})" if machine.since else ""


def _started(machine: Machine, virt_type: VirtType) -> tuple[str, ...]:
    started = f"Started domain {machine.name}"
    if virt_type is VirtType.KVM:
        return (started,)
    return (f'Using config file "{CONFIG_FOLDER}/{machine.name}"', started)
