"""Whole runs against a real database: machines come from an iterator, the configuration is counted."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rollbuild.cluster import (
    Database,
    begin_install,
    configuration_generation,
    deny_discovery,
    find_host,
    find_install,
    list_discoveries,
    list_hosts,
    new_token,
    note_discovery,
    note_event,
    record_event,
    remove_host,
    set_boot,
)
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.frontend.discovery import running
from rollbuild.frontend.discovery.inserting import Placement, insert_machine
from rollbuild.frontend.discovery.running import Discovery
from rollbuild.frontend.discovery.state import State
from rollbuild.frontend.discovery.survey import read_memberships
from rollbuild.frontend.discovery.values import Answer, Asked, Chosen, Key, News, Rules, View
from rollbuild.frontend.record import Record, write_applied

PXE = "PXEClient:Arch:00007:UNDI:003016"
_SECONDS = 15.0


def mac(number: int) -> str:
    return f"52:54:00:aa:{number >> 8:02x}:{number & 255:02x}"


@dataclass
class Run:
    """A run in a thread. `applies` are the generations that were applied."""

    database: Database
    discovery: Discovery
    thread: threading.Thread
    views: list[View] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    applies: list[int] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def until(self, condition: Callable[["Run"], object]) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self), _SECONDS):
                shown = [entry.text for entry in self.views[-1].entries[:5]]
                pytest.fail(f"it never came to that: {shown} {[item.text for item in self.news[-9:]]}")

    def until_lines(self, *lines: str) -> None:
        self.until(lambda run: run.views and [entry.text for entry in run.views[-1].entries] == list(lines))

    def until_told(self, text: str) -> None:
        self.until(lambda run: any(text in item.text for item in run.news))

    def leave(self) -> None:
        self.discovery.put(Key("f9"))
        self.thread.join(_SECONDS)
        assert not self.thread.is_alive()


Begin = Callable[..., Run]


@pytest.fixture
def begin(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    monkeypatch.setattr(running, "_SURVEY", 0.1)
    runs: list[Run] = []

    def begin(
        machines: list[Asked] | None = None,
        membership: str = "Compute",
        failing: list[str] | None = None,
        place: Placement | None = None,
        **rules: Any,
    ) -> Run:
        with database.reading() as c:
            memberships = read_memberships(c)

        def apply() -> str:
            if failing:
                raise RollbuildError(failing.pop(0), hint="look")
            with database.reading() as c:
                generation = configuration_generation(c)
            write_applied(Record(generation))
            with run.changed:
                run.applies.append(generation)
                run.changed.notify_all()
            return f"applied {generation}"

        def show(view: View, news: tuple[News, ...]) -> None:
            with run.changed:
                run.views.append(view)
                run.news += news
                run.changed.notify_all()

        def work() -> None:
            try:
                run.discovery.run(show)
            except Exception as problem:
                run.failures.append(problem)

        state = State(Rules(**{"interface": "eth0", **rules}), memberships)
        discovery = Discovery(database, state, place or Placement(), apply)
        run = Run(database, discovery, threading.Thread(target=work))
        if membership:
            discovery.put(Chosen(membership))
        discovery.read(machines or [])
        run.thread.start()
        runs.append(run)
        return run

    yield begin
    for run in runs:
        run.leave()


def asks(*numbers: int) -> list[Asked]:
    return [Asked(mac(number), PXE, "x86_64", "eth0") for number in numbers]


def gets_kickstart(database: Database, host: str, now: float) -> None:
    with database.recording() as c:
        begin_install(c, host, token=new_token(), address="10.1.255.254", now=now)


def test_from_power_on_to_installed(begin: Begin, database: Database) -> None:
    run = begin(asks(0, 0, 0), "VM Container")
    run.until_lines(f"{mac(0)}   vm-container-0-0   ( )")
    run.until(lambda run: run.applies)
    run.discovery.put(Key("f8"))
    run.until_told("not kickstarted yet: vm-container-0-0")
    now = time.time()
    with database.recording() as c:
        note_event(c, "vm-container-0-0", "refused", "node xen: no package\nmore", now)
    run.until_lines(f"{mac(0)}   vm-container-0-0   (503)   node xen: no package more")
    gets_kickstart(database, "vm-container-0-0", now)
    run.until_lines(f"{mac(0)}   vm-container-0-0   (*)")
    for stage in ("packages", "post-done"):
        with database.recording() as c:
            install = find_install(c, host="vm-container-0-0")
            assert install is not None
            record_event(c, install, stage, "", now + 1)
    run.until_lines(f"{mac(0)}   vm-container-0-0   (*)   installed")
    run.discovery.put(Key("f8"))
    run.thread.join(_SECONDS)
    assert not run.thread.is_alive()
    assert run.news[-1] == News("left", "1 host inserted")


def test_a_failed_install_says_why(begin: Begin, database: Database) -> None:
    run = begin(asks(0))
    run.until_lines(f"{mac(0)}   compute-0-0   ( )")
    gets_kickstart(database, "compute-0-0", time.time())
    with database.recording() as c:
        install = find_install(c, host="compute-0-0")
        assert install is not None
        record_event(c, install, "failed", "no disk\x1b[2J found", time.time())
    run.until_lines(f"{mac(0)}   compute-0-0   (*)   failed: no disk [2J found")


def test_many_machines_are_one_configuration(begin: Begin) -> None:
    run = begin(asks(*range(60)))
    run.until(lambda run: len(run.views[-1].entries) == 60 if run.views else False)
    run.until(lambda run: run.applies)
    run.leave()
    assert len(run.applies) <= 3, run.applies
    with run.database.reading() as c:
        assert configuration_generation(c) == run.applies[-1] < 62, "they are inserted together"


def test_what_other_commands_change_is_applied_too(begin: Begin, database: Database) -> None:
    run = begin()
    run.until(lambda run: run.applies == [2])
    insert_machine(database, Placement(rack=4), mac(7), "login")
    run.until(lambda run: run.applies == [2, 3])


def test_a_checker_that_refuses(begin: Begin) -> None:
    run = begin(asks(0), failing=["dnsmasq: bad option"])
    run.until_told("the configuration was not applied: dnsmasq: bad option (look)")
    run.until_lines(f"{mac(0)}   compute-0-0   ( )")
    run.leave()
    assert run.applies, "it is tried again at the end"


def test_a_configuration_that_is_still_refused_at_the_end(begin: Begin) -> None:
    run = begin(failing=["bad"] * 9)
    run.until_told("not applied")
    run.leave()
    assert [str(problem) for problem in run.failures] == ["bad"]


def test_undo(begin: Begin, database: Database) -> None:
    run = begin(asks(0, 1))
    run.until_lines(f"{mac(1)}   compute-0-1   ( )", f"{mac(0)}   compute-0-0   ( )")
    run.discovery.put(Key("f7"))
    run.until_lines(f"{mac(0)}   compute-0-0   ( )")
    with database.reading() as c:
        assert [host.name for host in list_hosts(c)] == ["compute-0-0", "granite"]


def test_another_command_removes_a_host(begin: Begin, database: Database) -> None:
    run = begin(asks(0, 1))
    run.until_lines(f"{mac(1)}   compute-0-1   ( )", f"{mac(0)}   compute-0-0   ( )")
    with database.writing("rocks remove host compute-0-0") as c:
        remove_host(c, "compute-0-0")
    run.until_lines(f"{mac(1)}   compute-0-1   ( )")


def test_the_next_run_continues(begin: Begin, database: Database) -> None:
    first = begin(asks(0, 1, 2))
    first.until(lambda run: len(run.views[-1].entries) == 3 if run.views else False)
    first.leave()
    gets_kickstart(database, "compute-0-1", time.time())
    with database.writing("rocks set host boot") as c:
        set_boot(c, "compute-0-2", "os")
    second = begin(asks(0, 2, 3))
    shown = {
        f"{mac(3)}   compute-0-3   ( )",
        f"{mac(2)}   known: compute-0-2",
        f"{mac(0)}   compute-0-0   ( )",
        f"{mac(1)}   compute-0-1   (*)",
    }
    second.until(lambda run: run.views and {entry.text for entry in run.views[-1].entries} == shown)


def test_held_until_it_is_approved(begin: Begin, database: Database) -> None:
    run = begin(asks(0), place=Placement(is_held=True))
    run.until_lines(f"{mac(0)}   compute-0-0   ( )   held")
    run.leave()
    again = begin()
    again.until_lines(f"{mac(0)}   compute-0-0   ( )   held")
    with database.writing("rocks set host boot") as c:
        set_boot(c, "compute-0-0", "install")
    again.until_lines(f"{mac(0)}   compute-0-0   ( )")


def test_the_address_is_asked_for(begin: Begin, database: Database) -> None:
    run = begin(asks(0), asks_address=True)
    run.until(lambda run: run.views and run.views[-1].question)
    run.discovery.put(Answer(mac(0), "10.1.1.1"))
    run.until(lambda run: (question := run.views[-1].question) and 'host "granite" already' in question.error)
    run.discovery.put(Answer(mac(0), "10.1.2.3"))
    run.until_lines(f"{mac(0)}   compute-0-0   ( )")
    run.until_told("10.1.2.3")


def test_no_free_address_goes_on(begin: Begin) -> None:
    run = begin(asks(0, 1, 2), place=Placement(base_address="10.1.0.2"))
    run.until_told("has no free address below 10.1.0.2")
    run.until_lines(f"{mac(1)}   compute-0-1   ( )", f"{mac(0)}   compute-0-0   ( )")


def test_the_queue(begin: Begin, database: Database) -> None:
    run = begin([*asks(0, 0), Asked(mac(1), "MSFT 5.0")], "", only_notes=True)
    run.until_told(f"{mac(0)} waits for approval")
    run.leave()
    with database.reading() as c:
        assert [(found.mac, found.times, found.vendor) for found in list_discoveries(c)] == [(mac(0), 2, PXE)]
        assert [host.name for host in list_hosts(c)] == ["granite"]
    assert run.applies == []


def test_a_denied_machine(begin: Begin, database: Database) -> None:
    with database.recording() as c:
        note_discovery(c, mac(0), now=1.0)
        deny_discovery(c, mac(0))
    run = begin(asks(0, 1))
    run.until_lines(f"{mac(1)}   compute-0-0   ( )")


def test_it_leaves_by_itself(begin: Begin, database: Database) -> None:
    run = begin(asks(0, 1), maximum=1, leaves_itself=True, place=Placement(host="alpha"))
    run.until_lines(f"{mac(0)}   alpha   ( )")
    gets_kickstart(database, "alpha", time.time())
    run.thread.join(_SECONDS)
    assert not run.thread.is_alive()
    with database.reading() as c:
        assert find_host(c, "alpha").rank == 0
        assert len(list_hosts(c)) == 2


def test_replacing_does_not_count_the_old_install(begin: Begin, database: Database) -> None:
    insert_machine(database, Placement(), mac(0), "compute")
    gets_kickstart(database, "compute-0-0", 1.0)
    with database.recording() as c:
        install = find_install(c, host="compute-0-0")
        assert install is not None
        record_event(c, install, "post-done", "", 2.0)
    run = begin(asks(1), place=Placement(replaced="compute-0-0"), maximum=1, leaves_itself=True)
    run.until_lines(f"{mac(1)}   compute-0-0   ( )")
    gets_kickstart(database, "compute-0-0", time.time())
    run.thread.join(_SECONDS)
    assert not run.thread.is_alive()


def test_a_database_that_goes_away_is_told(begin: Begin, database: Database) -> None:
    run = begin()
    run.until(lambda run: run.views)
    path = system_path("/var/lib/rollbuild/cluster.db")
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    try:
        run.discovery.read(asks(0))
        run.until_told("was not inserted")
    finally:
        path.rmdir()
        path.with_suffix(".away").rename(path)
