"""The database of 10,000 hosts: what each command waits for."""

import ipaddress
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

import pytest

from rollbuild.cluster import (
    Database,
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    configuration_generation,
    list_hosts,
    list_interfaces,
    next_address,
    next_mac,
    next_rank,
    open_database,
    select_hosts,
)

HOSTS = 10_000
PRIVATE = Network("private", "10.0.0.0", "255.0.0.0", zone="local", serves_dns=True)
ROUNDS = 9


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Addresses from the top without holes, as insert-ethers gives them, and MACs from the front end's range."""
    file = tmp_path_factory.mktemp("cluster") / "cluster.db"
    highest = int(PRIVATE.network.broadcast_address) - 1
    with open_database(str(file)) as database, database.writing("fill") as c:
        add_network(c, PRIVATE)
        add_network(c, Network("public", "203.0.113.0", "255.255.255.0"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth1", address="203.0.113.77", network="public"))
        for number in range(HOSTS):
            name = f"compute-{number // 40}-{number % 40}"
            add_host(c, name, appliance="compute", rack=number // 40, rank=number % 40)
            mac = f"4e:71:00:40:{number >> 8:02x}:{number & 255:02x}"
            address = str(ipaddress.IPv4Address(highest - number))
            add_interface(c, Interface(name, "eth0", mac, address, "private"))
    return file


def milliseconds(action: Callable[[], object]) -> tuple[float, float]:
    """What a processor worked, which other programs do not change much, and what passed."""
    start, before = time.perf_counter(), time.process_time()
    action()
    return 1000 * (time.process_time() - before), 1000 * (time.perf_counter() - start)


def actions(database: Database, path: Path) -> dict[str, tuple[Callable[[], object], float]]:
    """What is done -> how, and the milliseconds that it may take."""
    numbers = count()

    def select(word: str) -> Callable[[], object]:
        def act() -> None:
            with database.reading() as c:
                assert select_hosts(c, [word])

        return act

    def add() -> None:
        with database.writing("add host") as c:
            rank = next_rank(c, "compute", 900)
            name = f"compute-900-{rank}"
            add_host(c, name, appliance="compute", rack=900, rank=rank)
            address = next_address(c, "private")
            add_interface(c, Interface(name, "eth0", f"52:54:00:00:00:{next(numbers):02x}", address, "private"))

    def add_vm_interface() -> None:
        with database.writing("add interface") as c:
            add_interface(c, Interface("granite", f"vm{next(numbers)}", next_mac(c)))

    def read(function: Callable[..., object]) -> Callable[[], object]:
        def act() -> None:
            with database.reading() as c:
                function(c)

        return act

    def open_again() -> None:
        with open_database(str(path)) as other, other.reading() as c:
            assert configuration_generation(c)

    return {
        "open the database": (open_again, 60),
        "add a host with its interface": (add, 50),
        "add an interface with the next MAC": (add_vm_interface, 50),
        "select compute": (select("compute"), 250),
        "select compute-[0-99]-%": (select("compute-[0-99]-%"), 250),
        "select an address": (select("10.255.255.254"), 20),
        "list hosts": (read(list_hosts), 500),
        "list interfaces": (read(list_interfaces), 500),
    }


def test_commands_in_a_large_cluster(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = []
    with open_database(str(path)) as database:
        for name, (act, limit) in actions(database, path).items():
            worked, taken = (median(times) for times in zip(*(milliseconds(act) for _ in range(ROUNDS)), strict=True))
            with capsys.disabled():
                print(f"\n{HOSTS:,} hosts: {name}: {worked:.1f} ms of work in {taken:.1f} (at most {limit:g})", end="")
            if worked > limit:
                slow.append(name)
    assert slow == []
