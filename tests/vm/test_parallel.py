"""Several containers at the same time: each waits for its own only, and results come in the order that was asked."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from rollbuild.cluster import add_host
from rollbuild.errors import UNREACHABLE, RollbuildError
from rollbuild.vm import DomainState, FakeDriver, WantedVm, add, create, stop
from rollbuild.vm.parallel import Crew, Report, Result, each
from tests.vm.sites import Cluster

FIVE = [(f"compute-0-{number}-1", f"vm-container-0-{number}") for number in range(5)]


def test_all_containers_are_worked_on_at_the_same_time() -> None:
    # Nobody comes through before all are there.
    together = threading.Barrier(len(FIVE), timeout=30)

    def work(name: str, container: str) -> Report:
        together.wait()
        return Report((name,))

    assert [result.name for result in each(FIVE, work)] == [name for name, _ in FIVE]


def test_machines_of_a_container_come_one_after_another() -> None:
    busy = threading.Lock()

    def work(name: str, container: str) -> Report:
        assert busy.acquire(blocking=False)
        busy.release()
        return Report((name,))

    names = [(f"compute-0-0-{number}", "vm-container-0-0") for number in range(20)]
    assert [result.lines for result in each(names, work)] == [(name,) for name, _ in names]


def test_one_that_does_not_answer_keeps_nobody_waiting() -> None:
    asked = []
    others_done = threading.Event()

    def work(name: str, container: str) -> Report:
        asked.append(name)
        if container == "a":
            assert others_done.wait(30)
            raise RollbuildError("cannot reach a", exit_code=UNREACHABLE)
        if name == "b2":
            others_done.set()
        return Report()

    order = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b")]
    results = list(each(order, work))
    assert [(result.name, result.exit_code) for result in results] == [("a1", 69), ("b1", 0), ("a2", 69), ("b2", 0)]
    # The second machine there is not even tried: the answer would be the same, as late.
    assert "a2" not in asked


def test_a_fault_of_our_own_is_not_lost() -> None:
    def work(name: str, container: str) -> Report:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(each(FIVE, work))


def test_an_early_end_starts_nothing_more() -> None:
    worked = []
    crew = Crew([*FIVE[:1], ("compute-0-0-2", "vm-container-0-0"), ("compute-0-0-3", "vm-container-0-0")])
    is_left = threading.Event()

    def work(container: str, names: Sequence[str], crew: Crew) -> None:
        for name in names:
            if crew.is_stopped:
                return
            worked.append(name)
            crew.hand_in(Result(name, container))
            if len(worked) == 1:
                assert is_left.wait(30)

    results = crew.run(work)
    assert next(results).name == "compute-0-0-1"
    crew._stopped.set()
    is_left.set()
    results.close()  # type: ignore[attr-defined]
    assert worked == ["compute-0-0-1"]


@dataclass(frozen=True, slots=True)
class Meeting(FakeDriver):
    """Answers only when all containers were asked."""

    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))

    def states(self) -> Mapping[str, DomainState]:
        self.together.wait()
        return FakeDriver.states(self)


def test_create_and_stop_ask_all_containers_at_once(cluster: Cluster) -> None:
    with cluster.database.writing("fill") as c:
        for rank in range(2, 5):
            add_host(c, f"vm-container-0-{rank}", appliance="vm-container", rack=0, rank=rank)
        machines = [
            (add(c, f"vm-container-0-{rank}", WantedVm("Compute")).host, f"vm-container-0-{rank}") for rank in range(5)
        ]
    for container in cluster.containers:
        cluster.fake(container).tell(crash_after=None)
    together = threading.Barrier(5, timeout=30)
    workplace = cluster.workplace
    workplace = type(workplace)(
        reading=workplace.reading,
        writing=workplace.writing,
        recording=workplace.recording,
        make_installer=workplace.make_installer,
        make_driver=lambda settings: Meeting(settings.container, cluster.folder / "fake", together=together),
        clock=workplace.clock,
    )
    assert [result.error for result in create(workplace, machines)] == [None] * 5
    assert [result.error for result in stop(workplace, machines)] == [None] * 5
