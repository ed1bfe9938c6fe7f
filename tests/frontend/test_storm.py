"""A thousand machines at once, and kills in the middle: each gets one name, one address, one Kickstart."""

import asyncio
import logging
import signal
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from rollbuild.cluster import (
    INSTALLED,
    install_states,
    list_audit,
    list_events,
    list_hosts,
    list_installs,
    list_interfaces,
)
from rollbuild.frontend import FrontEnd, diff_configuration, ensure_applied, open_front_end
from tests.frontend.service.conftest import fill, made, open_on, postgresql, root
from tests.frontend.storms import STAGES, Program, Storm, insert_ethers, mac_of, running, service

__all__ = ["made", "postgresql", "root"]

pytestmark = pytest.mark.long

log = logging.getLogger("storm")
COUNT = 1000
_FORMER = 3
"""Hosts that are there before."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def check(front_end: FrontEnd, storm: Storm, *, was_killed: bool) -> None:
    """Nothing doubled, nothing lost; and the files are those of the database."""
    assert storm.wrong[:10] == []
    macs = {mac_of(number) for number in range(storm.count)}
    assert set(storm.leases) >= macs and len(storm.tokens) == len(set(storm.tokens.values())) == storm.count
    with front_end.database.reading() as c:
        hosts = [host for host in list_hosts(c) if host.appliance == "compute"]
        interfaces = {one.mac: one for one in list_interfaces(c) if one.mac in macs}
        states = install_states(c)
        attempts = Counter(len(list_installs(c, host)) for host in storm.tokens)
        events = [Counter(event.stage for event in list_events(c, host)) for host in storm.tokens]
    assert [host.name for host in hosts] == [f"compute-0-{rank}" for rank in range(storm.count + _FORMER)]
    assert set(interfaces) == macs
    assert {(one.address, one.host) for one in interfaces.values()} == {storm.leases[mac] for mac in macs}
    assert {(host.boot_action, host.held) for host in hosts if host.name in storm.tokens} == {("os", "")}
    assert {states[host].state for host in storm.tokens} == {INSTALLED}
    assert attempts == {1: storm.count}, "a repeat is no attempt"
    assert all(found[stage] >= 1 for found in events for stage in STAGES)
    if not was_killed:
        assert storm.cut == 0
        assert {states[host].fetches for host in storm.tokens} == {1}
        assert all(found[stage] == 1 for found in events for stage in ("ks-fetched", *STAGES))
    assert diff_configuration(front_end) == ""


def tell(front_end: FrontEnd, storm: Storm) -> None:
    """Log how many of each there were in a second: see them with --log-cli-level=INFO."""
    with front_end.database.reading() as c:
        generations = [row.time for row in list_audit(c, limit=10_000) if row.command.startswith("insert-ethers")]
        states = install_states(c)
    installs = [states[host] for host in storm.tokens]
    for name, times in (
        ("inserted", generations),
        ("kickstarts", [install.given for install in installs]),
        ("installed", [install.finished for install in installs]),
    ):
        seconds = max(times) - min(times)
        log.info("%d %s in %.1f s: %.0f in a second", storm.count, name, seconds, storm.count / max(seconds, 0.001))


def run(storm: Storm, *disasters: Callable[[Storm], Coroutine[None, None, None]]) -> None:
    asyncio.run(storm.run(*disasters))


def test_a_thousand_machines_at_once(root: Path, tmp_path: Path) -> None:
    front_end = open_front_end()
    with front_end.database:
        port = free_port()
        inserting = insert_ethers(tmp_path)
        storm = Storm(root, tmp_path, (port,), COUNT)
        with running(inserting, service(tmp_path, port)):
            run(storm)
            assert inserting.end() == 0
        check(front_end, storm, was_killed=False)
        tell(front_end, storm)


def disasters(
    inserting: Program, services: list[Program]
) -> tuple[Callable[[Storm], Coroutine[None, None, None]], ...]:
    """Kills while machines are inserted, while they fetch and while they report; each is started again at once."""

    async def again(program: Program) -> None:
        await asyncio.to_thread(program.end, signal.SIGKILL)
        await asyncio.to_thread(program.start)

    async def stop_inserting(storm: Storm) -> None:
        for count in (1, COUNT // 4):
            while inserting.said.read_text().count('"event": "inserted"') < count:
                await asyncio.sleep(0.01)
            await again(inserting)
        await storm.reach("kickstart", COUNT // 2)
        await again(inserting)

    async def stop_serving(storm: Storm) -> None:
        for number, (what, share) in enumerate((("kickstart", 0.1), ("pre-start", 0.5), ("post-done", 0.3))):
            await storm.reach(what, int(COUNT * share))
            await again(services[number % len(services)])

    return stop_inserting, stop_serving


def test_kills_in_the_middle(root: Path, tmp_path: Path) -> None:
    front_end = open_front_end()
    with front_end.database:
        port = free_port()
        inserting, serving = insert_ethers(tmp_path), service(tmp_path, port)
        storm = Storm(root, tmp_path, (port,), COUNT)
        with running(inserting, serving):
            run(storm, *disasters(inserting, [serving]))
            assert inserting.end() == 0
        assert (inserting.starts, serving.starts) == (4, 4) and storm.cut > 0
        check(front_end, storm, was_killed=True)


def test_two_services_on_postgresql(root: Path, tmp_path: Path, postgresql: Callable[[], str]) -> None:
    url = postgresql()
    front_end = open_on(url)
    with front_end.database:
        fill(front_end)
        ensure_applied(front_end)
        ports = free_port(), free_port()
        inserting = insert_ethers(tmp_path, url)
        services = [service(tmp_path, port, url) for port in ports]
        storm = Storm(root, tmp_path, ports, COUNT)
        with running(inserting, *services):
            run(storm, *disasters(inserting, services))
            assert inserting.end() == 0
        assert (inserting.starts, sum(one.starts for one in services)) == (4, 5)
        check(front_end, storm, was_killed=True)
        tell(front_end, storm)
