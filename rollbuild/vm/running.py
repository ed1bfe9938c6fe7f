"""What is done with machines that run: stop, pause, resume, save, restore."""

from collections.abc import Callable, Iterator, Sequence

from rollbuild.errors import RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.installing import start_one
from rollbuild.vm.machines import INSTALLING, RUNNING, SAVED, STOPPED, Machine, Workplace, held, settle
from rollbuild.vm.parallel import Report, Result, each
from rollbuild.vm.room import Room
from rollbuild.vm.values import DomainState

STOP_ACTIONS = ("poweroff", "shutdown", "reset", "reboot")
_Work = Callable[[Driver, Machine, DomainState], Report]


def _work_on(workplace: Workplace, machines: Sequence[tuple[str, str]], work: _Work) -> Iterator[Result]:
    def visit(name: str, container: str) -> Report:
        with held(name):
            machine = workplace.read(name)
            driver = workplace.make_driver(machine.settings)
            state = driver.states().get(name, DomainState.UNDEFINED)
            return work(driver, settle(workplace, driver, machine, state), state)

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
        is_installing = machine.vm.state == INSTALLING and machine.installs
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
        news = (f"its install is cut off: rocks start host vm {name} begins it anew",) if is_installing else ()
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


def save(workplace: Workplace, machines: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """Write what machines have in memory beside their disks, and turn them off."""

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if not state.is_on:
            if machine.vm.state == SAVED:
                return Report(news=(f"{machine.name} is saved already",))
            raise _not_running(machine)
        save_one(workplace, driver, machine, state)
        return Report(news=(f"{machine.name} is saved in {machine.saved_state.path} on {machine.container}",))

    return _work_on(workplace, machines, work)


def save_one(workplace: Workplace, driver: Driver, machine: Machine, state: DomainState) -> Machine:
    """Save a machine that runs. Raises RollbuildError for one that installs, or cannot be saved."""
    if machine.vm.state == INSTALLING and machine.installs:
        raise RollbuildError(
            f"{machine.name} is installing, and cannot be saved", hint="wait until it is done, or stop it"
        )
    if state not in (DomainState.ACTIVE, DomainState.PAUSED):
        raise RollbuildError(f"{machine.name} is {state} on {machine.container}, and cannot be saved")
    driver.remove_disks((machine.saved_state,))
    saved = workplace.note(machine, SAVED)
    try:
        driver.save(machine.name, machine.saved_state.path)
    except RollbuildError:
        workplace.note(saved, RUNNING)
        raise
    return saved


def restore(workplace: Workplace, machines: Sequence[tuple[str, str]], *, is_forced: bool = False) -> Iterator[Result]:
    """Let machines that were saved go on. `is_forced`: whatever the container says of its memory."""

    def work(driver: Driver, machine: Machine, state: DomainState) -> Report:
        if state.is_on:
            return Report(news=(f"{machine.name} is {state} on {machine.container} already",))
        if machine.vm.state != SAVED:
            raise RollbuildError(f"{machine.name} is not saved", hint=f"rocks start host vm {machine.name}")
        restore_one(workplace, driver, machine, is_forced=is_forced)
        return Report(lines=(f"Started domain {machine.name}",))

    return _work_on(workplace, machines, work)


def restore_one(workplace: Workplace, driver: Driver, machine: Machine, *, is_forced: bool = False) -> Machine:
    """Let it go on, and remove the saved state: a second time it would not fit to the disk."""
    if driver.missing_disks((machine.saved_state,)):
        raise RollbuildError(
            f"{machine.container} has no saved state of {machine.name}: {machine.saved_state.path}",
            hint=f"start it from its disk: rocks start host vm {machine.name}",
        )
    Room(driver).take_memory(machine, is_forced=is_forced)
    driver.restore(machine.name, machine.saved_state.path)
    driver.remove_disks((machine.saved_state,))
    return workplace.note(machine, RUNNING)


def _not_running(machine: Machine, hint: str = "") -> RollbuildError:
    return RollbuildError(
        f"{machine.name} does not run on {machine.container}", hint=hint or f"rocks start host vm {machine.name}"
    )
