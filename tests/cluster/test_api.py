"""The functions of the database, on SQLite and on PostgreSQL."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from rollbuild.cluster import (
    Alias,
    Appliance,
    BootAction,
    Database,
    Host,
    Interface,
    Network,
    Route,
    VirtualMachine,
    add_alias,
    add_appliance,
    add_host,
    add_interface,
    add_network,
    add_route,
    add_vm,
    check_address,
    check_host_name,
    configuration_generation,
    find_appliance,
    find_host,
    find_interface,
    find_network,
    list_aliases,
    list_appliances,
    list_attributes,
    list_boot_actions,
    list_hosts,
    list_interfaces,
    list_networks,
    list_routes,
    next_address,
    next_mac,
    next_rank,
    open_database,
    put_boot_action,
    remove_alias,
    remove_appliance,
    remove_boot_action,
    remove_host,
    remove_interface,
    remove_network,
    remove_route,
    select_hosts,
    set_attribute,
    set_boot,
    set_host,
    set_interface,
    set_network,
)
from rollbuild.errors import RollbuildError
from tests.cluster.conftest import fill

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=KINDS)
def untouched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A small cluster for tests that change nothing."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("untouched") / "cluster.db"
        shutil.copy(request.getfixturevalue("fresh_file"), path)
        url = str(path)
    else:
        url = request.getfixturevalue("postgresql")()
    with open_database(url) as database:
        fill(database)
        yield database


@pytest.fixture
def cluster(untouched: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A copy of it."""
    if path := untouched.path:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "cluster.db")) as target:
            source.backup(target)
        url = str(tmp_path / "cluster.db")
    else:
        untouched.close()  # PostgreSQL copies no database that is in use
        url = request.getfixturevalue("postgresql")(untouched.url)
    with open_database(url) as database:
        yield database


def test_a_fresh_database_has_its_seeds(untouched: Database) -> None:
    with untouched.reading() as c:
        assert [(one.name, one.membership, one.root, one.is_public) for one in list_appliances(c)] == [
            ("compute", "Compute", "compute", True),
            ("frontend", "Frontend", "frontend", False),
            ("hosted-vm", "Hosted VM", "", False),
            ("login", "Login", "login", True),
            ("nas", "NAS Appliance", "nas", True),
            ("network", "Ethernet Switch", "", True),
            ("power", "Power Distribution Unit", "", True),
            ("vm-container", "VM Container", "vm-container", True),
        ]
        assert [(one.label, one.kernel) for one in list_boot_actions(c)] == [
            ("install", ""),
            ("os", "localboot 0"),
            ("rescue", ""),
        ]


def test_a_host_as_it_was_added(cluster: Database) -> None:
    with cluster.writing("add") as c:
        made = add_host(
            c,
            "nas-1-2",
            appliance="NAS appliance",
            rack=1,
            rank=2,
            cpus=8,
            arch="aarch64",
            comment='It\'s a "nas" \u00e4',
        )
        interface = add_interface(
            c,
            Interface("nas-1-2", "eth1", "52:54:00:AA:20:00", "10.1.2.3", "private", "fast", "ixgbe", 7, "a=1", "ch"),
        )
        generation = configuration_generation(c) + 1
    wanted = Host("nas-1-2", "nas", "NAS Appliance", 1, 2, 8, "aarch64", comment=made.comment, changed=generation)
    with cluster.reading() as c:
        assert find_host(c, "nas-1-2") == made == wanted
        assert list_hosts(c, ["nas-1-2", "none"]) == (wanted,)
        assert list_interfaces(c, ["nas-1-2"]) == (interface,) == (find_interface(c, "nas-1-2", "eth1"),)
        assert interface.mac == "52:54:00:aa:20:00"
        assert find_interface(c, "nas-1-2", "52-54-00-AA-20-00") == interface


def test_lists_are_in_the_order_of_numbers(cluster: Database) -> None:
    with cluster.writing("add") as c:
        add_host(c, "compute-0-10", appliance="compute", rack=0, rank=10)
        for device in ("eth10", "eth9"):
            add_interface(c, Interface("compute-0-10", device))
    with cluster.reading() as c:
        names = ["compute-0-0", "compute-0-1", "compute-0-2", "compute-0-10", "granite"]
        assert [host.name for host in list_hosts(c)] == names
        assert [one.device for one in list_interfaces(c) if one.host == "compute-0-10"] == ["eth9", "eth10"]
        assert [host.name for host in list_hosts(c, [f"x{number}" for number in range(600)] + names[3:])] == names[3:]


def _vm(c: Connection) -> None:
    add_host(c, "vm-container-0-0", appliance="vm-container", rack=0, rank=0)
    for number in (0, 1):
        add_host(c, f"compute-0-0-{number}", appliance="compute", rack=0, rank=0, is_vm=True)
        add_vm(c, VirtualMachine(f"compute-0-0-{number}", "vm-container-0-0", number))


def _add(name: str, **fields: Any) -> Callable[[Connection], object]:
    return lambda c: add_host(c, name, **{"appliance": "compute", "rack": 0, "rank": 0, **fields})


def _interface(*fields: Any, **named: Any) -> Callable[[Connection], object]:
    return lambda c: add_interface(c, Interface(*fields, **named))


def _network(**fields: Any) -> Callable[[Connection], object]:
    return lambda c: add_network(c, replace(Network("third", "10.3.0.0", "255.255.0.0"), **fields))


def _route(*fields: str) -> Callable[[Connection], object]:
    return lambda c: add_route(c, Route(*fields))


def test_the_front_end_may_be_called_so(cluster: Database) -> None:
    with cluster.writing("test") as c:
        remove_host(c, "granite")
        add_host(c, "frontend", appliance="frontend", rack=0, rank=0)
        assert select_hosts(c, ["frontend"]) == ("frontend",)


# What is done -> (exit code, message)
REFUSALS: dict[str, tuple[Callable[[Connection], object], int, str]] = {
    "same host": (
        _add("compute-0-0"),
        1,
        'host "compute-0-0" (rack 0, rank 0, MAC 52:54:00:aa:10:00) exists already',
    ),
    "appliance as host": (_add("nas"), 2, "\"nas\" cannot be a host's name: it is an appliance's"),
    "front end's name": (_add("frontend"), 2, "\"frontend\" cannot be a host's name: it is an appliance's"),
    "no appliance": (_add("a", appliance="computer"), 1, 'there is no appliance "computer"'),
    "rack": (_add("a", rack=-1), 2, "the rack must be from 0 to 999999, not -1"),
    "cpus": (_add("a", cpus=0), 2, "the number of CPUs must be from 1 to 65536, not 0"),
    "comment": (_add("a", comment="a\nb"), 2, "the comment has a line end or a control character"),
    "arch": (_add("a", arch="x86 64"), 2, "is no name of an architecture"),
    "same device": (_interface("granite", "eth0"), 1, 'interface "eth0" exists already at host "granite"'),
    "same MAC": (
        _interface("compute-0-0", "eth1", "52:54:00:AA:00:01"),
        1,
        'the MAC 52:54:00:aa:00:01 is that of eth0 of host "granite" already',
    ),
    "same address": (
        _interface("compute-0-0", "eth1", "", "10.1.1.1", "private"),
        1,
        'the address 10.1.1.1 is that of eth0 of host "granite" already',
    ),
    "same address, other interface": (
        _interface("granite", "eth9", "", "10.1.1.1", "private"),
        1,
        'the address 10.1.1.1 is that of eth0 of host "granite" already',
    ),
    "change to the same MAC": (
        lambda c: set_interface(c, "compute-0-0", "eth0", mac="52:54:00:aa:10:01"),
        1,
        'the MAC 52:54:00:aa:10:01 is that of eth0 of host "compute-0-1" already',
    ),
    "change to the same device": (
        lambda c: set_interface(c, "granite", "eth0", device="eth1"),
        1,
        'interface "eth1" exists already at host "granite"',
    ),
    "address outside": (
        _interface("granite", "eth9", "", "10.2.0.1", "private"),
        1,
        "the address 10.2.0.1 is not in network private (10.1.0.0/16)",
    ),
    "address of the network": (
        _interface("granite", "eth9", "", "10.1.0.0", "private"),
        1,
        "the address 10.1.0.0 is the first or last address",
    ),
    "broadcast address": (
        _interface("granite", "eth9", "", "203.0.113.255", "public"),
        1,
        "the address 203.0.113.255 is the first or last address",
    ),
    "address without network": (_interface("granite", "eth9", "", "10.2.0.1"), 2, "and no network"),
    "no network": (_interface("granite", "eth9", network="privat"), 1, 'there is no network "privat"'),
    "no host": (_interface("granit", "eth9"), 1, 'host "granit" is not in cluster'),
    "no MAC": (_interface("granite", "eth9", "x"), 2, "'x' is no MAC address"),
    "no device": (_interface("granite", "a b"), 2, "'a b' is no name of an interface"),
    "VLAN": (_interface("granite", "eth9", vlan=4095), 2, "the VLAN must be from 0 to 4094"),
    "module": (_interface("granite", "eth9", module="e1000;x"), 2, "is no name of a kernel module"),
    "options": (_interface("granite", "eth9", options="a\nb"), 2, "the options has a line end"),
    "name of another host": (_interface("granite", "eth9", name="compute-0-0"), 1, 'is a name of host "compute-0-0"'),
    "name with a dot": (_interface("granite", "eth9", name="a.local"), 2, "it has a dot"),
    "no such interface": (lambda c: set_interface(c, "granite", "eth9", mac=""), 1, 'has no interface "eth9"'),
    "remove no interface": (lambda c: remove_interface(c, "granit", "eth0"), 1, 'host "granit" is not in cluster'),
    "same network": (_network(name="private"), 1, 'network "private" exists already'),
    "overlapping network": (_network(address="10.1.128.0", netmask="255.255.128.0"), 1, "overlaps with private (10.1"),
    "host's address": (_network(address="10.3.0.1"), 2, "10.3.0.1 is a host's address in 10.3.0.0/16"),
    "no netmask": (_network(netmask="255.0.255.0"), 2, "255.0.255.0 is no netmask"),
    "inverted netmask": (_network(netmask="0.0.255.255"), 2, "0.0.255.255 is no netmask"),
    "no part of an address": (_network(netmask="0.0.0.0"), 2, "0.0.0.0 is no netmask"),
    "same zone": (_network(zone="Local."), 1, 'the zone local is that of network "private"'),
    "no zone": (_network(zone="a b"), 2, "'a b' is no DNS domain"),
    "MTU": (_network(mtu=1), 2, "the MTU must be from 68 to 65520"),
    "name of a network": (_network(name="a/b"), 2, "'a/b' is no name of a network"),
    "network in use": (lambda c: remove_network(c, "private"), 1, 'network "private" has 4 interfaces'),
    "address no longer in it": (
        lambda c: set_network(c, "public", address="198.51.100.0"),
        1,
        'the address 203.0.113.77 of host "granite" would lie outside of network public (198.51.100.0/24)',
    ),
    "remove no network": (lambda c: remove_network(c, "x"), 1, 'there is no network "x"'),
    "same appliance": (lambda c: add_appliance(c, Appliance("Compute", "x")), 1, 'appliance "compute" exists already'),
    "same membership": (
        lambda c: add_appliance(c, Appliance("x", "COMPUTE")),
        1,
        'membership "Compute" exists already: of appliance "compute"',
    ),
    "host as appliance": (lambda c: add_appliance(c, Appliance("granite", "x")), 1, 'a host is called "granite"'),
    "no membership": (lambda c: add_appliance(c, Appliance("x", " ")), 2, "is empty"),
    "appliance in use": (
        lambda c: remove_appliance(c, "Compute"),
        1,
        'appliance "compute" has hosts: compute-0-0, compute-0-1, compute-0-2',
    ),
    "remove no appliance": (lambda c: remove_appliance(c, "x"), 1, 'there is no appliance "x"'),
    "alias of a host": (lambda c: add_alias(c, "granite", "compute-0-0"), 1, "exists already"),
    "alias with a dot": (lambda c: add_alias(c, "granite", "a.b"), 2, "it has a dot"),
    "alias of nobody": (lambda c: add_alias(c, "granit", "a"), 1, 'host "granit" is not in cluster'),
    "no such alias": (lambda c: remove_alias(c, "granite", "a"), 1, 'host "granite" has no alias "a"'),
    "route to nowhere": (_route("global", "", "10.2.0.1/16", "10.1.1.1"), 2, "is no destination of a route"),
    "route through nothing": (_route("global", "", "10.2.0.0/16"), 2, "name one of the two"),
    "route through both": (_route("global", "", "10.2.0.0/16", "10.1.1.1", "private"), 2, "name one of the two"),
    "route on no network": (_route("global", "", "10.2.0.0/16", "", "x"), 1, 'there is no network "x"'),
    "route of no host": (_route("host", "x", "10.2.0.0/16", "10.1.1.1"), 1, 'host "x" is not in cluster'),
    "route of no scope": (_route("planet", "x", "10.2.0.0/16", "10.1.1.1"), 2, '"planet" is no scope'),
    "route of no rack": (_route("rack", "x", "10.2.0.0/16", "10.1.1.1"), 2, '"x" is no rack'),
    "no such route": (lambda c: remove_route(c, "global", "", "10.2.0.0/16"), 1, "all hosts have no route to"),
    "boot action in use": (lambda c: remove_boot_action(c, "os"), 1, '4 hosts boot by "os", as compute-0-0'),
    "no such boot action": (lambda c: set_host(c, "granite", run_action="x"), 1, 'action "x" does not exist'),
    "no label": (lambda c: put_boot_action(c, BootAction("")), 2, "the label of a boot action"),
    "arguments": (
        lambda c: put_boot_action(c, BootAction("x", args="a\nb")),
        2,
        "the args of a boot action has a line",
    ),
    "no action": (lambda c: set_boot(c, "granite", "reboot"), 2, 'invalid action "reboot"'),
    "boot of nobody": (lambda c: set_boot(c, "x", "os"), 1, 'host "x" is not in cluster'),
    "remove nobody": (lambda c: remove_host(c, "granit"), 1, 'host "granit" is not in cluster'),
    "rename to another's": (lambda c: set_host(c, "granite", name="compute-0-0"), 1, "exists already"),
    "rename to a VM's": (lambda c: set_host(c, "granite", name="a-0-0-0"), 2, "is that of a VM"),
    "check address": (lambda c: check_address(c, "10.1.1.1", "private"), 1, "that of eth0 of host"),
    "check name": (lambda c: check_host_name(c, "granite"), 1, "exists already"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_leave_all_as_it_was(untouched: Database, case: str) -> None:
    act, code, message = REFUSALS[case]
    with untouched.reading() as c:
        before = configuration_generation(c), list_hosts(c), list_interfaces(c), list_networks(c), list_appliances(c)
    with pytest.raises(RollbuildError, match=re.escape(message)) as refusal, untouched.writing(case) as c:
        act(c)
    assert refusal.value.exit_code == code
    with untouched.reading() as c:
        assert (
            configuration_generation(c),
            list_hosts(c),
            list_interfaces(c),
            list_networks(c),
            list_appliances(c),
        ) == before


def test_a_refusal_within_a_transaction_does_not_end_it(cluster: Database) -> None:
    with cluster.writing("try") as c:
        for mac in ("52:54:00:aa:10:00", "52:54:00:aa:30:00"):
            try:
                add_interface(c, Interface("granite", "eth5", mac))
            except RollbuildError:
                add_host(c, "login-0-0", appliance="login", rack=0, rank=0)
    with cluster.reading() as c:
        assert find_interface(c, "granite", "eth5").mac == "52:54:00:aa:30:00"
        assert find_host(c, "login-0-0")


def test_a_container_with_vms_stays(cluster: Database) -> None:
    with cluster.writing("vms") as c:
        _vm(c)
    with cluster.reading() as c:
        assert [host.name for host in list_hosts(c) if host.is_vm] == ["compute-0-0-0", "compute-0-0-1"]
    with pytest.raises(RollbuildError) as refusal, cluster.writing("remove") as c:
        remove_host(c, "vm-container-0-0")
    assert refusal.value.message == "vm-container-0-0 still holds 2 VMs: compute-0-0-0, compute-0-0-1"
    with cluster.writing("remove") as c:
        for name in ("compute-0-0-0", "compute-0-0-1", "vm-container-0-0"):
            remove_host(c, name)
        assert "vm-container-0-0" not in [host.name for host in list_hosts(c)]


def test_a_new_name_takes_everything_along(cluster: Database) -> None:
    with cluster.writing("prepare") as c:
        _vm(c)
        add_alias(c, "vm-container-0-0", "big")
        add_interface(c, Interface("vm-container-0-0", "eth0", network="private"))
        add_route(c, Route("host", "vm-container-0-0", "10.9.0.0/16", "10.1.1.1"))
        set_attribute(c, "host", "vm-container-0-0", "xen", "true")
    with cluster.writing("rename") as c:
        assert set_host(c, "vm-container-0-0", name="vm-container-3-0", rack=3).rack == 3
    with cluster.reading() as c:
        assert list_aliases(c) == (Alias("vm-container-3-0", "big"),)
        assert [one.host for one in list_interfaces(c, ["vm-container-3-0"])] == ["vm-container-3-0"]
        assert [route.key for route in list_routes(c)] == ["vm-container-3-0"]
        assert [row.key for row in list_attributes(c, "host")] == ["vm-container-3-0"]
    with pytest.raises(RollbuildError, match="vm-container-3-0 still holds 2 VMs"), cluster.writing("remove") as c:
        remove_host(c, "vm-container-3-0")


def test_a_host_that_is_removed_leaves_nothing(cluster: Database) -> None:
    with cluster.writing("prepare") as c:
        add_alias(c, "compute-0-0", "zero")
        add_route(c, Route("host", "compute-0-0", "10.9.0.0/16", network="private"))
        set_attribute(c, "host", "compute-0-0", "a", "b")
        address = find_interface(c, "compute-0-0", "eth0").address
    with cluster.writing("remove") as c:
        remove_host(c, "compute-0-0")
    with cluster.writing("again") as c:
        assert [*list_aliases(c), *list_routes(c), *list_attributes(c, "host")] == []
        assert list_interfaces(c, ["compute-0-0"]) == ()
        assert next_address(c, "private") == address
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)


def test_an_appliance_that_is_removed_leaves_nothing(cluster: Database) -> None:
    with cluster.writing("x") as c:
        add_appliance(c, Appliance("gpu", "GPU Host", root="gpu"))
        add_route(c, Route("appliance", "gpu host", "10.9.0.0/16", "10.1.1.1"))
        set_attribute(c, "appliance", "gpu", "a", "b")
        assert find_appliance(c, "GPU HOST") == find_appliance(c, "Gpu") == Appliance("gpu", "GPU Host", root="gpu")
        remove_appliance(c, "gpu")
        assert list_routes(c) == ()
        assert [row for row in list_attributes(c, "appliance") if row.key == "gpu"] == []


def test_routes(cluster: Database) -> None:
    with cluster.writing("x") as c:
        add_route(c, Route("rack", "07", "10.9.0.0/255.255.0.0", "10.1.1.1"))
        add_route(c, Route("global", "ignored", "0.0.0.0/0", "10.1.1.1"))
        with pytest.raises(RollbuildError, match="all hosts have a route to"):
            add_route(c, Route("global", "", "0.0.0.0/0", "10.1.1.1"))
        assert list_routes(c) == (
            Route("global", "", "0.0.0.0/0", "10.1.1.1"),
            Route("rack", "7", "10.9.0.0/16", "10.1.1.1"),
        )
        assert list_routes(c, "rack", "7") == (Route("rack", "7", "10.9.0.0/16", "10.1.1.1"),)
        remove_route(c, "global", "", "0.0.0.0/0")
        assert list_routes(c, "global") == ()


def test_networks(cluster: Database) -> None:
    with cluster.writing("x") as c:
        add_network(c, Network("ib", "10.3.0.0", "255.255.255.254", 65520))
        add_network(c, Network("other", "10.4.0.0", "255.255.0.0"))
        assert set_network(c, "private", name="inner", mtu=9000).mtu == 9000
        assert {one.network for one in list_interfaces(c)} == {"inner", "public"}
        # Two hosts at the ends of a line have no address to spare.
        add_interface(c, Interface("granite", "ib0", address="10.3.0.0", network="ib"))
        assert next_address(c, "ib") == "10.3.0.1"
        remove_network(c, "other")
        assert [network.name for network in list_networks(c)] == ["ib", "inner", "public"]
        assert find_network(c, "public").zone == "example.org"


def test_boot_actions(cluster: Database) -> None:
    with cluster.writing("x") as c:
        put_boot_action(c, BootAction("memtest", "kernel memtest"))
        put_boot_action(c, BootAction("memtest", "kernel memtest86"))
        assert BootAction("memtest", "kernel memtest86") in list_boot_actions(c)
        assert set_host(c, "compute-0-0", run_action="memtest", install_action="").install_action == ""
        with pytest.raises(RollbuildError, match='1 hosts boot by "memtest", as compute-0-0'):
            remove_boot_action(c, "memtest")
        set_host(c, "compute-0-0", run_action="os")
        remove_boot_action(c, "memtest")


def test_boot(cluster: Database) -> None:
    with cluster.writing("x") as c:
        set_host(c, "compute-0-0", held="it failed three times")
        set_boot(c, "compute-0-0", "install")
        host = find_host(c, "compute-0-0")
        assert (host.boot_action, host.held) == ("install", "")
        for word, action in (("run", "os"), ("rescue", "rescue"), ("os", "os")):
            set_boot(c, "compute-0-0", word)
            assert find_host(c, "compute-0-0").boot_action == action


CHANGES: dict[str, Callable[[Connection], object]] = {
    "boot": lambda c: set_boot(c, "compute-0-1", "install"),
    "field": lambda c: set_host(c, "compute-0-1", comment="x"),
    "interface": lambda c: add_interface(c, Interface("compute-0-1", "eth1")),
    "change of an interface": lambda c: set_interface(c, "compute-0-1", "eth0", mac="52:54:00:aa:50:00"),
    "no interface": lambda c: remove_interface(c, "compute-0-1", "eth0"),
    "alias": lambda c: add_alias(c, "compute-0-1", "x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_marks_its_host(cluster: Database, change: str) -> None:
    with cluster.writing(change) as c:
        before = {host.name: host.changed for host in list_hosts(c)}
        CHANGES[change](c)
    with cluster.reading() as c:
        after = {host.name: host.changed for host in list_hosts(c)}
        assert after == {**before, "compute-0-1": configuration_generation(c)}


NO_CHANGES: dict[str, Callable[[Connection], object]] = {
    "boot": lambda c: set_boot(c, "compute-0-1", "os"),
    "host": lambda c: set_host(c, "compute-0-1", rack=0, appliance="Compute"),
    "interface": lambda c: set_interface(c, "compute-0-1", "eth0", mac="52-54-00-AA-10-01"),
    "network": lambda c: set_network(c, "private", zone="LOCAL"),
    "boot action": lambda c: put_boot_action(c, BootAction("os", "localboot 0")),
    "allocation": lambda c: (next_mac(c), next_address(c, "private"), next_rank(c, "compute", 0)),
    "selection": lambda c: select_hosts(c, ["rack0", "%"]),
}


@pytest.mark.parametrize("act", NO_CHANGES)
def test_what_is_as_it_was_makes_no_generation(untouched: Database, act: str) -> None:
    with untouched.writing(act) as c:
        before = configuration_generation(c)
        NO_CHANGES[act](c)
    with untouched.reading() as c:
        assert configuration_generation(c) == before
