"""A machine becomes a host: names, ranks, addresses; what is refused leaves nothing."""

import threading
from typing import Any

import pytest

from rollbuild.cluster import (
    Database,
    Interface,
    VirtualMachine,
    add_alias,
    add_host,
    add_interface,
    add_network,
    add_vm,
    configuration_generation,
    find_host,
    list_discoveries,
    list_hosts,
    list_interfaces,
    note_discovery,
    set_attribute,
    set_boot,
    set_network,
)
from rollbuild.errors import RollbuildError
from rollbuild.frontend.discovery import inserting
from rollbuild.frontend.discovery.inserting import HELD, Placement, insert_machine, insert_machines
from rollbuild.frontend.discovery.values import AddHost, Exists, Inserted, Membership

MAC = "52:54:00:aa:10:{:02x}"


def insert(database: Database, number: int = 0, appliance: str = "compute", **placement: Any) -> Inserted | Exists:
    return insert_machine(database, Placement(**placement), MAC.format(number), appliance)


def names(database: Database) -> list[str]:
    with database.reading() as c:
        return [host.name for host in list_hosts(c) if host.name != "granite"]


def test_the_first_machines(database: Database) -> None:
    first, second = insert(database, 0, "vm-container"), insert(database, 1, "vm-container")
    assert first == Inserted(MAC.format(0), "vm-container-0-0", "10.1.255.254")
    assert second == Inserted(MAC.format(1), "vm-container-0-1", "10.1.255.253")
    with database.reading() as c:
        host = find_host(c, "vm-container-0-0")
        (interface,) = list_interfaces(c, ["vm-container-0-0"])
    assert (host.boot_action, host.rack, host.rank, host.membership) == ("install", 0, 0, "VM Container")
    assert (interface.device, interface.network) == ("eth0", "private")


# options of the placement -> the name and address of the first and of the second machine
PLACED = {
    "rack": ({"rack": 3}, ("compute-3-0", "10.1.255.254"), ("compute-3-1", "10.1.255.253")),
    "rank": ({"rank": 7}, ("compute-0-7", "10.1.255.254"), ("compute-0-8", "10.1.255.253")),
    "name": ({"base_name": "node"}, ("node-0-0", "10.1.255.254"), ("node-0-1", "10.1.255.253")),
    "a base is itself tried first": (
        {"base_address": "10.1.9.9"},
        ("compute-0-0", "10.1.9.9"),
        ("compute-0-1", "10.1.9.8"),
    ),
    "upwards": ({"base_address": "10.1.0.1", "step": 1}, ("compute-0-0", "10.1.0.1"), ("compute-0-1", "10.1.0.2")),
    "over the front end": (
        {"base_address": "10.1.1.0", "step": 1},
        ("compute-0-0", "10.1.1.0"),
        ("compute-0-1", "10.1.1.2"),
    ),
}


@pytest.mark.parametrize(("placement", "first", "second"), PLACED.values(), ids=PLACED)
def test_where_machines_go(
    database: Database, placement: dict[str, Any], first: tuple[str, str], second: tuple[str, str]
) -> None:
    for number, (name, address) in enumerate((first, second)):
        assert insert(database, number, **placement) == Inserted(MAC.format(number), name, address)


def test_one_machine_by_name_and_address(database: Database) -> None:
    found = insert(database, host="alpha", address="10.1.0.9")
    assert found == Inserted(MAC.format(0), "alpha", "10.1.0.9")


def test_a_switch_is_not_installed(database: Database) -> None:
    insert(database, appliance="network")
    with database.reading() as c:
        assert find_host(c, "network-0-0").boot_action == "os"


def test_held(database: Database) -> None:
    found = insert(database, is_held=True)
    assert isinstance(found, Inserted) and found.is_held
    with database.reading() as c:
        host = find_host(c, "compute-0-0")
    assert (host.boot_action, host.held) == ("os", HELD)
    with database.writing("test") as c:
        set_boot(c, "compute-0-0", "install")
    with database.reading() as c:
        host = find_host(c, "compute-0-0")
    assert (host.boot_action, host.held) == ("install", "")


def test_vms_do_not_push_ranks_up(database: Database) -> None:
    insert(database, 0, "vm-container", rack=3)
    with database.writing("test") as c:
        add_host(c, "compute-3-0-5", appliance="compute", rack=3, rank=5, is_vm=True)
        add_vm(c, VirtualMachine("compute-3-0-5", "vm-container-3-0", 5))
    found = insert(database, 1, rack=3)
    assert isinstance(found, Inserted) and found.host == "compute-3-0"


def test_ranks_go_on_after_a_gap(database: Database) -> None:
    for number in range(3):
        insert(database, number)
    with database.writing("test") as c:
        from rollbuild.cluster import remove_host

        remove_host(c, "compute-0-1")
    found = insert(database, 3)
    assert isinstance(found, Inserted) and found.host == "compute-0-3"


@pytest.mark.parametrize(
    ("scope", "key", "device"),
    [("global", "", "ens3"), ("appliance", "compute", "ens4"), ("rack", "0", "ens5"), ("rack", "1", "eth0")],
)
def test_the_name_of_the_device(database: Database, scope: str, key: str, device: str) -> None:
    with database.writing("test") as c:
        set_attribute(c, scope, key, "primary_device", device if device != "eth0" else "ens9")
    insert(database)
    with database.reading() as c:
        assert list_interfaces(c, ["compute-0-0"])[0].device == device


def test_a_known_machine(database: Database) -> None:
    insert(database)
    assert insert(database, 0, "login") == Exists(MAC.format(0), "compute-0-0")
    assert names(database) == ["compute-0-0"]


# what stands in the way -> (placement, what is said)
REFUSED = {
    "a name that is taken": ({"host": "compute-0-9"}, "exists already"),
    "a name that is an alias": ({"base_name": "aliased"}, "is an alias"),
    "a name of the front end": ({"host": "granite"}, "exists already"),
    "a name with a dot": ({"host": "a.b"}, "has a dot"),
    "a name of a VM": ({"host": "compute-0-0-1"}, "is that of a VM"),
    "an appliance's name": ({"host": "compute"}, "is an appliance's"),
    "an address that is taken": ({"address": "10.1.1.1"}, 'is that of eth0 of host "granite"'),
    "an address of another network": ({"address": "10.2.0.1"}, "is not in network"),
    "an address that is none": ({"address": "10.1.0.1\nx"}, "is no IPv4 address"),
    "the broadcast address": ({"address": "10.1.255.255"}, "last address"),
    "no address is free": ({"base_address": "10.1.0.1"}, "has no free address below 10.1.0.1"),
}


@pytest.mark.parametrize(("placement", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_nothing(database: Database, placement: dict[str, Any], said: str) -> None:
    with database.writing("test") as c:
        add_host(c, "compute-0-9", appliance="compute", rack=0, rank=9)
        add_interface(c, Interface("compute-0-9", "eth0", address="10.1.0.1", network="private"))
        add_alias(c, "compute-0-9", "aliased-0-10")
    with pytest.raises(RollbuildError) as caught:
        insert(database, **placement)
    assert said in caught.value.message
    assert names(database) == ["compute-0-9"]


def test_a_name_that_was_given_by_hand_is_passed_over(database: Database) -> None:
    with database.writing("test") as c:
        add_host(c, "compute-0-0", appliance="login", rack=5, rank=5)
    found = insert(database)
    assert isinstance(found, Inserted) and found.host == "compute-0-1"


def test_a_small_network_runs_out(database: Database) -> None:
    with database.writing("test") as c:
        set_network(c, "private", address="10.1.1.0", netmask="255.255.255.252")
    assert insert(database, 0) == Inserted(MAC.format(0), "compute-0-0", "10.1.1.2")
    with pytest.raises(RollbuildError, match=r"private \(10\.1\.1\.0/30\) has no free address below 10\.1\.1\.2"):
        insert(database, 1)
    assert names(database) == ["compute-0-0"]


def test_replace_keeps_all_but_the_machine(database: Database) -> None:
    insert(database, 0, address="10.1.4.4")
    with database.writing("test") as c:
        add_network(c, _public())
        set_attribute(c, "host", "compute-0-0", "colour", "red")
        add_interface(c, Interface("compute-0-0", "eth1", mac=MAC.format(8), address="10.9.0.4", network="public"))
        set_boot(c, "compute-0-0", "os")
    found = insert(database, 1, replaced="compute-0-0")
    assert found == Inserted(MAC.format(1), "compute-0-0", "10.1.4.4")
    with database.reading() as c:
        macs = [(one.device, one.mac, one.address) for one in list_interfaces(c, ["compute-0-0"])]
        assert macs == [("eth0", MAC.format(1), "10.1.4.4"), ("eth1", "", "10.9.0.4")]
        assert find_host(c, "compute-0-0").boot_action == "install"
    assert insert(database, 1, replaced="compute-0-0") == found, "again, after a kill"


def test_replace_by_a_machine_that_is_a_host(database: Database) -> None:
    insert(database, 0)
    insert(database, 1)
    assert insert(database, 1, replaced="compute-0-0") == Exists(MAC.format(1), "compute-0-1")


def _public() -> Any:
    from rollbuild.cluster import Network

    return Network("public", "10.9.0.0", "255.255.0.0", zone="example.org")


def test_approving_ends_the_waiting(database: Database) -> None:
    with database.recording() as c:
        note_discovery(c, MAC.format(0), vendor="PXEClient", now=1.0)
    insert_machine(database, Placement(), MAC.format(0), "compute", approves=True)
    with database.reading() as c:
        assert list_discoveries(c) == ()


def test_many_at_once_by_several_threads(database: Database) -> None:
    found: list[Inserted | Exists] = []

    def work(start: int) -> None:
        # Each machine is heard by two.
        for number in range(start, start + 20):
            found.append(insert(database, number))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 0, 20, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inserted = [one for one in found if isinstance(one, Inserted)]
    assert len(found) == 80 and len(inserted) == 40
    assert {one.host for one in inserted} == {f"compute-0-{rank}" for rank in range(40)}
    assert len({one.address for one in inserted}) == 40


def test_several_are_one_generation(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for the transaction: it takes what it can in its time; a refused one leaves nothing of the others."""
    compute = Membership("Compute", "compute", True)
    wanted = [AddHost(f"52:54:00:bb:00:{number:02x}", compute) for number in range(5)]
    with database.reading() as c:
        before = configuration_generation(c)
    assert [one.host for one in insert_machines(database, Placement(), wanted[:3])] == [
        "compute-0-0",
        "compute-0-1",
        "compute-0-2",
    ]
    with database.reading() as c:
        assert configuration_generation(c) == before + 1
    with pytest.raises(RollbuildError, match="52:54:00:bb:00:00"):
        insert_machines(database, Placement(), [wanted[3], wanted[0], wanted[4]])
    with database.reading() as c:
        assert "compute-0-3" not in [host.name for host in list_hosts(c)]
    monkeypatch.setattr(inserting, "HELD_SECONDS", -1.0)
    assert [one.host for one in insert_machines(database, Placement(), wanted[3:])] == ["compute-0-3"]
