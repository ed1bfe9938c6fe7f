"""Removing machines: first from their containers, then from the database, so that none runs that nobody knows."""

from collections.abc import Iterator, Sequence

from rollbuild.cluster import remove_host
from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.vm.machines import ADDED, STOPPED, Workplace, held, settle
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

    `is_forced`: also those that run. `is_lost`: the container is gone for good, and nothing is asked of it. MACs are
    not given out again for a day.
    """

    def work(name: str, container: str) -> Report:
        with held(name):
            machine = workplace.read(name)
            left: tuple[str, ...] = tuple(disk.path for disk in machine.disks)
            if not is_lost:
                driver = workplace.make_driver(machine.settings)
                try:
                    state = driver.states().get(name, DomainState.UNDEFINED)
                except RollbuildError as problem:
                    if problem.exit_code == UNREACHABLE and machine.vm.state == ADDED:
                        # Nothing of it was ever made there.
                        state, left = DomainState.UNREACHABLE, ()
                    elif problem.exit_code == UNREACHABLE:
                        gone = f"when {container} is gone for good: rocks remove host vm {name} lost=yes"
                        hint = f"{problem.hint} And {gone}" if problem.hint else gone
                        raise RollbuildError(problem.message, hint=hint, exit_code=UNREACHABLE) from None
                    else:
                        raise
                if state is not DomainState.UNREACHABLE:
                    machine = settle(workplace, driver, machine, state)
                    if state.is_on and not is_forced:
                        raise RollbuildError(
                            f"{name} is {'running' if state is DomainState.ACTIVE else state} on {container}",
                            hint=f"rocks stop host vm {name}; or force=yes, which cuts its power",
                        )
                    if state.is_on:
                        machine = workplace.note(machine, STOPPED)
                        driver.stop(name)
                    disks = (*machine.disks, machine.saved_state)
                    driver.remove(name, disks if purges else (machine.saved_state,))
                    there = set(machine.disks) - set(driver.missing_disks(machine.disks)) if left else set()
                    left = tuple(sorted(disk.path for disk in there))
            with workplace.writing() as c:
                remove_host(c, name)
        news = tuple(f"its disk stays on {container}: {path} (purge=yes would remove it)" for path in left)
        return Report(news=news)

    return each(machines, work)
