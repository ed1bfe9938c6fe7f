"""Removing machines: first from their containers, then from the database, so that none runs that nobody knows."""

from collections.abc import Iterator, Sequence

from rollbuild.cluster import ADDED, remove_host
from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.vm.driver import Driver
from rollbuild.vm.machines import STOPPED, Machine, Workplace, disks_of_others, drop_state, held, settle
from rollbuild.vm.marks import tidy_moves
from rollbuild.vm.parallel import Report, Result, each
from rollbuild.vm.values import DomainState


def remove(
    workplace: Workplace,
    machines: Sequence[tuple[str, str]],
    *,
    is_forced: bool = False,
    purges: bool = False,
    is_lost: bool = False,
) -> Iterator[Result]:
    """Remove machines, given as (name, container), with their hosts. Disks stay on the container unless `purges`.

    `is_forced`: also those that run. `is_lost`: a container that does not answer is gone for good; one that answers is
    asked as ever. MACs are not given out again for a day.
    """
    silent: set[str] = set()

    def work(name: str, container: str) -> Report:
        with held(name):
            machine = workplace.read(name)
            news: tuple[str, ...] = ()
            # Whether such a container answers is found out once, not for each of its machines.
            if machine.container not in silent:
                driver = workplace.make_driver(machine.settings)
                try:
                    state: DomainState | None = driver.states().get(name, DomainState.UNDEFINED)
                except RollbuildError as problem:
                    # Of one that was only added nothing was ever made there.
                    if not is_lost and (problem.exit_code != UNREACHABLE or machine.vm.state != ADDED):
                        raise _explain(problem, machine) from None
                    state = None
                    if is_lost:
                        silent.add(machine.container)
                if state is not None:
                    news = _take_away(workplace, driver, machine, state, is_forced=is_forced, purges=purges)
            news += tidy_moves(workplace, name, is_last=True)
            with workplace.writing() as c:
                remove_host(c, name)
        return Report(news=news)

    return each(machines, work)


def _take_away(
    workplace: Workplace, driver: Driver, machine: Machine, state: DomainState, *, is_forced: bool, purges: bool
) -> tuple[str, ...]:
    """From its container; what stays there, in words."""
    name, container = machine.name, machine.container
    machine = settle(workplace, driver, machine, state)
    if state.is_on and not is_forced:
        raise RollbuildError(
            f"{name} is {'running' if state is DomainState.ACTIVE else state} on {container}",
            hint=f"rocks stop host vm {name}; or force=yes, which cuts its power",
        )
    if state.is_on:
        machine = workplace.note(machine, STOPPED)
        driver.stop(name)
    with workplace.reading() as c:
        shared = disks_of_others(c, machine.vm)
    purged = tuple(disk for disk in machine.disks if purges and disk.path not in shared)
    driver.remove(name, purged)
    drop_state(workplace, driver, machine)
    there = set(machine.disks) - set(driver.missing_disks(machine.disks))
    return tuple(
        f"{disk.path} on {container} stays: it is the disk of {shared[disk.path]} too"
        if disk.path in shared
        else f"its disk stays on {container}: {disk.path} (purge=yes would remove it)"
        for disk in sorted(there, key=lambda disk: disk.path)
    )


def _explain(problem: RollbuildError, machine: Machine) -> RollbuildError:
    if problem.exit_code != UNREACHABLE:
        return problem
    gone = f"when {machine.container} is gone for good: rocks remove host vm {machine.name} lost=yes"
    hint = f"{problem.hint} And {gone}" if problem.hint else gone
    return RollbuildError(problem.message, hint=hint, exit_code=UNREACHABLE)
