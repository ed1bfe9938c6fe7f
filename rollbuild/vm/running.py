"""What is done with machines that run: stop, pause, resume, save, restore."""

from collections.abc import Callable, Iterator, Sequence

from rollbuild.cluster import check_saved
from rollbuild.errors import UNREACHABLE, USAGE, RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.installing import start_one
from rollbuild.vm.machines import (
    RUNNING,
    SAVED,
    STOPPED,
    UNKNOWN,
    Machine,
    Workplace,
    drop_state,
    files_there,
    held,
    settle,
)
from rollbuild.vm.marks import and_tidied
from rollbuild.vm.parallel import Report, Result, each
from rollbuild.vm.room import Room
from rollbuild.vm.values import DomainState, GuestDisk

STOP_ACTIONS = ("poweroff", "shutdown", "reset", "reboot")
_Work = Callable[[Driver, Machine, DomainState], Report]


def _work_on(workplace: Workplace, machines: Sequence[tuple[str, str]], work: _Work) -> Iterator[Result]:
    def visit(name: str, container: str) -> Report:
        with held(name):
            machine = workplace.read(name)
            driver = workplace.make_driver(machine.settings)
            state = driver.states().get(name, DomainState.UNDEFINED)
            report = work(driver, settle(workplace, driver, machine, state), state)
            return and_tidied(workplace, name, report)

    return each(machines, visit)


def stop(workplace: Workplace, machines: Sequence[tuple[str, str]], action: str = "poweroff") -> Iterator[Result]:
    """Stop machines, given as (name, container). `action` is one of STOP_ACTIONS: cut the power, ask the system to
    shut down, cut the power and start, ask the system to boot again. One that is off stays off."""

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        name = machine.name
        if not state.is_on:
            if action in ("reset", "reboot"):
                raise _not_running(machine, f"rocks start host vm {name}")
            return Report(news=(f"{name} does not run",))
        is_installing = machine.may_be_installing
        if action in ("reset", "reboot"):
            _check_known(machine)
        if action == "reboot":
            if is_installing:
                raise RollbuildError(
                    f"{name} is installing, which a reboot would end", hint=f"rocks stop host vm {name} action=reset"
                )
            driver.reboot(name)
            return Report()
        if not is_installing and machine.vm.state != STOPPED:
            machine = workplace.note(machine, STOPPED)
        if action == "shutdown":
            driver.shut_down(name)
            return Report(news=(f"{name} is asked to shut down; rocks list host vm status=yes shows when it is off",))
        driver.stop(name)
        is_cut_off = is_installing and machine.vm.state != UNKNOWN
        news = (f"its install is cut off: rocks start host vm {name} begins it anew",) if is_cut_off else ()
        if action == "reset":
            return start_one(workplace, driver, machine)
        return Report(news=news)

    return _work_on(workplace, machines, work)


def pause(workplace: Workplace, machines: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """Let machines stand still in memory; one that does already is left so."""

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if state is DomainState.PAUSED:
            return Report(news=(f"{machine.name} is paused already",))
        if state is not DomainState.ACTIVE:
            raise _not_running(machine)
        driver.pause(machine.name)
        return Report()

    return _work_on(workplace, machines, work)


def resume(workplace: Workplace, machines: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """Let machines that were paused go on."""

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if state is DomainState.ACTIVE:
            return Report(news=(f"{machine.name} is not paused: it runs",))
        if state is not DomainState.PAUSED:
            hint = f"rocks restore host vm {machine.name}" if machine.vm.state == SAVED else ""
            raise _not_running(machine, hint)
        driver.resume(machine.name)
        return Report()

    return _work_on(workplace, machines, work)


def save(workplace: Workplace, machines: Sequence[tuple[str, str]], file: str = "") -> Iterator[Result]:
    """Write what machines have in memory into files of their containers, and turn them off.

    `file` is for one machine: an absolute path; without it, beside its disk. Raises RollbuildError for no such path.
    """
    _check_file(machines, file)

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if not state.is_on:
            if machine.vm.state == SAVED:
                return Report(news=(f"{machine.name} is saved already, in {machine.saved_state.path}",))
            raise _not_running(machine)
        machine = save_one(workplace, driver, machine, state, file)
        return Report(news=(f"{machine.name} is saved in {machine.saved_state.path} on {machine.container}",))

    return _work_on(workplace, machines, work)


def save_one(workplace: Workplace, driver: Driver, machine: Machine, state: DomainState, file: str = "") -> Machine:
    """Save a machine that runs. Raises RollbuildError for one that installs, or cannot be saved."""
    _check_known(machine)
    if machine.may_be_installing:
        raise RollbuildError(
            f"{machine.name} is installing, and cannot be saved", hint="wait until it is done, or stop it"
        )
    if state not in (DomainState.ACTIVE, DomainState.PAUSED):
        raise RollbuildError(f"{machine.name} is {state} on {machine.container}, and cannot be saved")
    place = machine.state_file(file)
    if place != machine.state_file():
        check_free(workplace, driver, machine, place)
    driver.remove_disks((place,))
    saved = workplace.note(machine, SAVED, place.path)
    try:
        driver.save(machine.name, place.path)
    except RollbuildError as problem:
        # A container that hung up may have saved it all the same: what came of it is seen when it answers.
        if problem.exit_code != UNREACHABLE:
            workplace.note(saved, RUNNING)
        raise
    return saved


def check_free(workplace: Workplace, driver: Driver, machine: Machine, place: GuestDisk) -> None:
    """Raises RollbuildError for a file on the machine's container that is there, or is another's."""
    check_no_others(workplace, machine, place)
    if not driver.missing_disks((place,)):
        raise RollbuildError(
            f"{machine.container} has a file {place.path} already, which would be overwritten", hint="another file="
        )


def check_no_others(workplace: Workplace, machine: Machine, place: GuestDisk) -> None:
    """Raises RollbuildError for a file that is a disk on the machine's container, or another one's saved state."""
    with workplace.reading() as c:
        owner = files_there(c, machine.container).get(place.path, "")
    if owner and (owner != machine.name or place.path != machine.vm.saved):
        raise RollbuildError(f"{place.path} on {machine.container} is a file of {owner}", hint="another file=")


def restore(
    workplace: Workplace, machines: Sequence[tuple[str, str]], file: str = "", *, is_forced: bool = False
) -> Iterator[Result]:
    """Let machines that were saved go on. `is_forced`: whatever the container says of its memory.

    `file` is for one machine: the path that its saved state has now, or has where nothing is known of the machine.
    """
    _check_file(machines, file)

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if state.is_on:
            remedy = f"; rocks resume host vm {machine.name}" if state is DomainState.PAUSED else ""
            return Report(news=(f"{machine.name} is {state} on {machine.container} already{remedy}",))
        if file and file != machine.saved_state.path:
            machine = _take_file(workplace, driver, machine, file)
        elif machine.vm.state != SAVED:
            raise RollbuildError(f"{machine.name} is not saved", hint=f"rocks start host vm {machine.name}")
        restore_one(workplace, driver, machine, is_forced=is_forced)
        return Report(lines=(f"Started domain {machine.name}",))

    return _work_on(workplace, machines, work)


def _take_file(workplace: Workplace, driver: Driver, machine: Machine, file: str) -> Machine:
    """The machine, saved in another file than the database says. Raises RollbuildError where that cannot be."""
    name = machine.name
    _check_known(machine)
    if machine.vm.state not in (SAVED, UNKNOWN):
        raise RollbuildError(f"{name} is not saved", hint=f"rocks start host vm {name}")
    if machine.vm.state == SAVED and not driver.missing_disks((machine.saved_state,)):
        raise RollbuildError(
            f"{name} is saved in {machine.saved_state.path}, not in {file}", hint=f"rocks restore host vm {name}"
        )
    place = machine.state_file(file)
    check_no_others(workplace, machine, place)
    if driver.missing_disks((place,)):
        raise RollbuildError(f"{machine.container} has no file {file}")
    return workplace.note(machine, SAVED, file)


def restore_one(workplace: Workplace, driver: Driver, machine: Machine, *, is_forced: bool = False) -> Machine:
    """Let it go on, and remove the saved state: a second time it would not fit to the disk."""
    if driver.missing_disks((machine.saved_state,)):
        raise RollbuildError(
            f"{machine.container} has no saved state of {machine.name}: {machine.saved_state.path}",
            hint=f"was it brought elsewhere there? file=PATH; or start it from its disk: "
            f"rocks start host vm {machine.name}",
        )
    Room(driver).take_memory(machine, is_forced=is_forced)
    driver.restore(machine.name, machine.saved_state.path)
    if not driver.states().get(machine.name, DomainState.UNDEFINED).is_on:
        raise RollbuildError(
            f"{machine.saved_state.path} on {machine.container} is the saved state of another machine, which runs now",
            hint="rocks list host vm status=yes; the file is left there",
        )
    drop_state(workplace, driver, machine)
    return workplace.note(machine, RUNNING)


def _check_file(machines: Sequence[tuple[str, str]], file: str) -> None:
    """Raises RollbuildError, exit code USAGE."""
    if file and len(machines) != 1:
        raise RollbuildError(
            'if you supply the "file" parameter, then you only can specify one VM host',
            hint=f"these words mean {len(machines)}",
            exit_code=USAGE,
        )
    if file:
        check_saved(file)


def _check_known(machine: Machine) -> None:
    """Raises RollbuildError for a machine of which cannot be told whether it is installing."""
    if machine.vm.state == UNKNOWN and machine.installs:
        name = machine.name
        raise RollbuildError(
            f"it is not known whether {name} is installing or was installed",
            hint=f"when it runs from its disk: rocks set host boot {name} action=os",
        )


def _not_running(machine: Machine, hint: str = "") -> RollbuildError:
    return RollbuildError(
        f"{machine.name} does not run on {machine.container}", hint=hint or f"rocks start host vm {machine.name}"
    )
