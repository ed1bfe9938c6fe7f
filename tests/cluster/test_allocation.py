"""Addresses, ranks and MACs that are free."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from rollbuild.cluster import (
    Database,
    Interface,
    Network,
    VirtualMachine,
    add_host,
    add_interface,
    add_network,
    add_vm,
    mac_base,
    next_address,
    next_mac,
    next_rank,
    open_database,
    set_attribute,
)
from rollbuild.cluster.schema import interfaces
from rollbuild.errors import USAGE, RollbuildError

SMALL = Network("small", "192.0.2.0", "255.255.255.240")
WHOLE = ipaddress.IPv4Network("192.0.2.0/28")


def use(c: Connection, *, addresses: Iterable[str] = (), macs: Iterable[str] = ()) -> None:
    rows = [{"mac": None, "address": address, "network": "small"} for address in addresses]
    rows += [{"mac": mac, "address": None, "network": None} for mac in macs]
    if rows:
        named = [{"host": "granite", "device": f"x{number}", **row} for number, row in enumerate(rows)]
        c.execute(insert(interfaces), named)


@pytest.fixture(scope="module")
def small(fresh_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("small") / "cluster.db"
    path.write_bytes(fresh_file.read_bytes())
    database = open_database(str(path))
    with database.writing("small") as c:
        add_network(c, SMALL)
        add_network(c, Network("public", "203.0.113.0", "255.255.255.0"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth1", address="203.0.113.77", network="public"))
    return database


@settings(max_examples=60)
@given(
    used=st.sets(st.integers(1, 14)),
    start=st.none() | st.integers(1, 14),
    step=st.integers(-5, 5).filter(bool),
)
def test_an_address_is_free_and_in_the_network(small: Database, used: set[int], start: int | None, step: int) -> None:
    first = str(WHOLE[start]) if start else None
    candidates = range(start or (14 if step < 0 else 1), 0 if step < 0 else 15, step)
    free = [number for number in candidates if number not in used]
    with small.recording() as c:
        use(c, addresses=(str(WHOLE[number]) for number in used))
        if free:
            assert next_address(c, "small", start=first, step=step) == str(WHOLE[free[0]])
        else:
            with pytest.raises(RollbuildError, match=r"network small \(192\.0\.2\.0/28\) has no free address"):
                next_address(c, "small", start=first, step=step)
        c.rollback()


@pytest.mark.parametrize(
    ("start", "step"), [("192.0.2.0", -1), ("192.0.2.15", -1), ("10.0.0.1", 1), ("x", 1), (None, 0)]
)
def test_no_start_or_step(small: Database, start: str | None, step: int) -> None:
    with small.reading() as c, pytest.raises(RollbuildError) as refusal:
        next_address(c, "small", start=start, step=step)
    assert refusal.value.exit_code == USAGE


def test_a_used_up_network_says_so(small: Database) -> None:
    with small.recording() as c:
        use(c, addresses=map(str, WHOLE.hosts()))
        with pytest.raises(RollbuildError) as refusal:
            next_address(c, "small")
        c.rollback()
    assert refusal.value.message == "network small (192.0.2.0/28) has no free address below 192.0.2.14"


# runtime.md 4.3, with octets padded.
BASES = {"203.0.113.77": "4e:71:00:40:00:00", "198.51.100.10": "0a:64:33:80:00:00"}


@pytest.mark.parametrize(("address", "base"), BASES.items())
def test_the_base_of_macs_follows_from_the_public_address(address: str, base: str) -> None:
    assert mac_base(address) == base


@given(st.ip_addresses(v=4))
def test_every_base_is_one_of_a_local_interface(address: ipaddress.IPv4Address) -> None:
    first, *_, fourth, fifth, sixth = (int(octet, 16) for octet in mac_base(str(address)).split(":"))
    assert first & 3 == 2
    assert (fourth & 0x3F, fifth, sixth) == (0, 0, 0)


@settings(max_examples=40)
@given(used=st.sets(st.integers(0, 12)), others=st.sets(st.integers(0, 5)))
def test_the_first_mac_that_is_free(small: Database, used: set[int], others: set[int]) -> None:
    free = next(number for number in range(14) if number not in used)
    with small.recording() as c:
        use(
            c,
            macs=[
                *(f"4e:71:00:40:00:{number:02x}" for number in used),
                *(f"4e:71:00:80:00:{number:02x}" for number in others),
                *(f"52:54:00:40:00:{number:02x}" for number in others),
            ],
        )
        assert next_mac(c) == f"4e:71:00:40:00:{free:02x}"
        c.rollback()


def test_the_range_of_macs_ends(small: Database) -> None:
    with small.recording() as c:
        set_attribute(c, "global", "", "vm_mac_base_addr", "4e:71:00:7f:ff:fe")
        use(c, macs=["4e:71:00:7f:ff:fe"])
        assert next_mac(c) == "4e:71:00:7f:ff:ff"
        c.execute(insert(interfaces), {"host": "granite", "device": "last", "mac": "4e:71:00:7f:ff:ff"})
        with pytest.raises(RollbuildError, match=r"all 4,194,304 MACs from 4e:71:00:40:00:00 on are used"):
            next_mac(c)
        c.rollback()


def test_no_public_address_no_mac(database: Database) -> None:
    with database.reading() as c, pytest.raises(RollbuildError, match="no VM MAC base address is defined"):
        next_mac(c)


def test_ranks_do_not_count_vms(cluster: Database) -> None:
    with cluster.writing("ranks") as c:
        assert next_rank(c, "compute", 0) == 3
        assert next_rank(c, "Compute", 1) == 0
        assert next_rank(c, "login", 0) == 0
        add_host(c, "vm-container-0-7", appliance="vm-container", rack=0, rank=7)
        add_host(c, "compute-0-7-0", appliance="compute", rack=0, rank=7, is_vm=True)
        add_vm(c, VirtualMachine("compute-0-7-0", "vm-container-0-7", 0))
        assert next_rank(c, "compute", 0) == 3
        assert next_rank(c, "vm-container", 0) == 8
