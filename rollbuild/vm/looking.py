"""What containers say of their machines, all asked at the same time."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rollbuild.cluster import VirtualMachine
from rollbuild.errors import RollbuildError
from rollbuild.vm.machines import Workplace, many_settings
from rollbuild.vm.parallel import MOST_CONTAINERS
from rollbuild.vm.values import DomainState


@dataclass(frozen=True, slots=True)
class Seen:
    """VM -> its state; container -> why it could not be asked."""

    states: Mapping[str, DomainState] = field(default_factory=dict)
    problems: Mapping[str, RollbuildError] = field(default_factory=dict)


def look(workplace: Workplace, vms: Sequence[VirtualMachine]) -> Seen:
    """Ask the containers of some VMs. One that does not answer makes its VMs `unreachable`, and is no error."""
    containers = sorted({vm.container for vm in vms})
    if not containers:
        return Seen()
    with workplace.reading() as c:
        settings = many_settings(c, containers)

    def ask(container: str) -> Mapping[str, DomainState] | RollbuildError:
        try:
            return workplace.make_driver(settings[container]).states()
        except RollbuildError as problem:
            return problem

    with ThreadPoolExecutor(min(len(containers), MOST_CONTAINERS)) as pool:
        answers = dict(zip(containers, pool.map(ask, containers), strict=True))
    problems = {name: answer for name, answer in answers.items() if isinstance(answer, RollbuildError)}
    states = {}
    for vm in vms:
        answer = answers[vm.container]
        if isinstance(answer, RollbuildError):
            states[vm.host] = DomainState.UNREACHABLE
        else:
            state = answer.get(vm.host, DomainState.UNDEFINED)
            states[vm.host] = DomainState.SAVED if vm.saved and not state.is_on else state
    return Seen(states, problems)
