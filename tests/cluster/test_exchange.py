import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from rollbuild.cluster import (
    ADDED,
    Changes,
    Database,
    ImportData,
    Interface,
    VirtualMachine,
    VmDisk,
    add_host,
    add_interface,
    add_vm,
    apply_import,
    configuration_generation,
    export_cluster,
    export_table,
    find_host,
    list_hosts,
    list_interfaces,
    list_vms,
    plan_import,
    read_cluster_file,
    set_attribute,
    set_boot,
    set_vm,
    write_yaml,
)
from rollbuild.cluster.state import read_state
from rollbuild.errors import BUSY, FindingsError, RollbuildError
from tests.cluster.states import QUICKLY, fill, fillings
from tests.cluster.test_dump import Fresh, fresh

__all__ = ["fresh"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], ImportData]:
    def write(name: str, text: str) -> ImportData:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_cluster_file(tmp_path / name)

    return write


Write = Callable[[str, str], ImportData]


def plan(database: Database, data: ImportData | dict[str, Any], *, removes: bool = False) -> Changes:
    with database.reading() as c:
        return plan_import(c, data, removes=removes)


def take(database: Database, changes: Changes) -> None:
    with database.writing("import") as c:
        apply_import(c, changes)


def faults(database: Database, data: ImportData | dict[str, Any], *, removes: bool = False) -> list[str]:
    """Every fault as `LINE: message`."""
    with pytest.raises(FindingsError) as caught:
        plan(database, data, removes=removes)
    return [f"{each.location.line if each.location else '-'}: {each.message}" for each in caught.value.findings]


@QUICKLY
@given(fillings())
def test_exported_and_imported_into_an_empty_database_it_is_the_same(
    fresh: Fresh, write: Write, calls: list[tuple[Any, ...]]
) -> None:
    with fresh() as (filled, _), filled.writing("fill") as c:
        fill(c, calls)
        exported = export_cluster(c)
        before = read_state(c)
    for data in (exported, write("cluster.yaml", write_yaml(exported))):
        with fresh() as (database, _):
            take(database, plan(database, data, removes=True))
            with database.reading() as c:
                assert export_cluster(c) == exported
                assert read_state(c) == before
            assert not plan(database, data, removes=True)
            assert not plan(database, data)


@QUICKLY
@given(fillings(), fillings())
def test_any_configuration_becomes_any_other(
    fresh: Fresh, one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]
) -> None:
    with fresh() as (wanted, _), wanted.writing("fill") as c:
        fill(c, other)
        exported = export_cluster(c)
    with fresh() as (database, _):
        with database.writing("fill") as c:
            fill(c, one)
            for vm in list_vms(c):
                # One that may be on its container stays, whatever a file says.
                set_vm(c, vm.host, state=ADDED)
        take(database, plan(database, exported, removes=True))
        with database.reading() as c:
            assert export_cluster(c) == exported


YAML = """
hosts:
  - name: compute-0-3
    rank: 3
    interfaces: [{device: eth0, mac: 52-54-00-AA-10-03, address: auto, network: private}]
    attributes: {selinux: permissive, db_password: hunter2}
  - name: compute-0-1
    cpus: 16
    interfaces: [{device: eth0, mac: "52:54:00:aa:10:09"}, {device: eth1}]
    boot_action: install
  - {name: login, appliance: login, rack: 0, rank: 0, comment: "yes"}
attributes:
  global: {motd: "two\\nlines"}
  rack: {0: {where: cellar}}
networks:
  - {name: private, mtu: 9000}
  - {name: ipmi, address: 10.3.0.0, netmask: 255.255.0.0}
appliances: [{name: gpu, root: gpu}]
"""
LINES = (
    "+ network ipmi (10.3.0.0/16, MTU 1500)",
    "~ network private: mtu 1500 -> 9000",
    "+ appliance gpu (Gpu, root gpu)",
    "+ host compute-0-3 (Compute, rack 0, rank 3, 52:54:00:aa:10:03, 10.1.255.251)",
    "+ host login-1 (Login, rack 0, rank 0)",
    "~ host compute-0-1: cpus 1 -> 16, boot action os -> install",
    "+ interface eth1 of compute-0-1 (nothing more)",
    "~ interface eth0 of compute-0-1: mac 52:54:00:aa:10:01 -> 52:54:00:aa:10:09",
    "+ attribute motd: " + '"two\\nlines"',
    "+ attribute where of rack 0: cellar",
    "+ attribute db_password of host compute-0-3: (hidden)",
    "+ attribute selinux of host compute-0-3: permissive",
)


def test_the_differences_are_told_and_then_applied(cluster: Database, write: Write) -> None:
    data = write("cluster.yaml", YAML.replace("name: login,", "name: login-1,"))
    changes = plan(cluster, data)
    assert changes.lines == LINES
    with cluster.reading() as c:
        generation = configuration_generation(c)
    take(cluster, changes)
    with cluster.reading() as c:
        assert configuration_generation(c) == generation + 1
        host = find_host(c, "compute-0-1")
        assert (host.cpus, host.boot_action, host.changed) == (16, "install", generation + 1)
        assert find_host(c, "compute-0-0").changed == generation + 1, "the attributes of its rack changed"
        assert find_host(c, "login-1").comment == "yes"
        interface = list_interfaces(c, ["compute-0-1"])[0]
        assert (interface.mac, interface.address) == ("52:54:00:aa:10:09", "10.1.255.253")
    assert plan(cluster, data).lines == ()


def test_an_appliances_name_is_no_hosts(cluster: Database, write: Write) -> None:
    assert faults(cluster, write("cluster.yaml", YAML)) == ["11: login is the name of an appliance"]


def test_nothing_is_changed_by_planning(cluster: Database, write: Write) -> None:
    with cluster.reading() as c:
        before = read_state(c)
        plan_import(c, {"hosts": [{"name": "compute-0-7"}]}, removes=True)
        assert read_state(c) == before


def test_only_when_asked_to_something_is_removed(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_attribute(c, "host", "compute-0-0", "x", "1")
        set_attribute(c, "host", "compute-0-1", "x", "1")
        set_attribute(c, "global", "", "x", "1")
        add_interface(c, Interface("compute-0-0", "eth1"))
    data = {"hosts": [{"name": "compute-0-0", "interfaces": [{"device": "eth0"}], "attributes": {"y": "2"}}]}
    assert plan(cluster, data).lines == ("+ attribute y of host compute-0-0: 2",)
    changes = plan(cluster, data, removes=True)
    assert changes.lines == (
        "- host compute-0-1 (Compute, rack 0, rank 1, 52:54:00:aa:10:01, 10.1.255.253)",
        "- host compute-0-2 (Compute, rack 0, rank 2, 52:54:00:aa:10:02, 10.1.255.252)",
        "- interface eth1 of compute-0-0 (nothing more)",
        "+ attribute y of host compute-0-0: 2",
        "- attribute x of host compute-0-0: 1",
    )
    assert changes.kept == ("granite",)
    take(cluster, changes)
    with cluster.reading() as c:
        assert [host.name for host in list_hosts(c)] == ["compute-0-0", "granite"]


def test_addresses_macs_and_slices_change_places(cluster: Database) -> None:
    with cluster.writing("test") as c:
        add_host(c, "box", appliance="vm-container", rack=0, rank=0)
        for number in range(2):
            add_host(c, f"compute-0-0-{number}", appliance="compute", rack=0, rank=0, is_vm=True)
            disk = VmDisk("file", f"/{number}", "hda")
            add_vm(c, VirtualMachine(f"compute-0-0-{number}", "box", number, state="running", disks=(disk,)))
        data = export_cluster(c)
    hosts = {host["name"]: host for host in data["hosts"]}
    for one, other, part in (
        ("compute-0-0", "compute-0-1", "interfaces"),
        ("compute-0-0-0", "compute-0-0-1", "vm"),
    ):
        hosts[one][part], hosts[other][part] = hosts[other][part], hosts[one][part]
    changes = plan(cluster, data, removes=True)
    take(cluster, changes)
    with cluster.reading() as c:
        assert export_cluster(c) == data
        assert read_state(c).vms["compute-0-0-0"].state == "running"
    assert any(line.startswith("~ VM compute-0-0-0: slice 0 -> 1") for line in changes.lines)


@pytest.mark.parametrize(("state", "said"), [("running", "was created"), ("", "may have been created"), (ADDED, "")])
def test_vms_that_may_be_on_their_container_stay_there(cluster: Database, state: str, said: str) -> None:
    name = "compute-0-0-0"
    with cluster.writing("test") as c:
        for rank in range(2):
            add_host(c, f"vm-container-0-{rank}", appliance="vm-container", rack=0, rank=rank)
        without = export_cluster(c)
        add_host(c, name, appliance="compute", rack=0, rank=0, is_vm=True)
        add_vm(c, VirtualMachine(name, "vm-container-0-0", 0, state=state, saved="/new"))
        elsewhere = export_cluster(c)
    vm = next(host for host in elsewhere["hosts"] if host["name"] == name)["vm"]
    assert vm["saved"] == "/new"
    vm.update(container="vm-container-0-1", saved="/old")
    for data, remedy in ((without, f"rocks remove host vm {name}"), (elsewhere, f"rocks move host vm {name} vm-")):
        if said:
            with pytest.raises(FindingsError, match=f"{name} {said} on vm-container-0-0") as refused:
                plan(cluster, data, removes=True)
            assert remedy in refused.value.findings[0].hint
        else:
            assert plan(cluster, data, removes=True)
    vm.update(container="vm-container-0-0", memory=2048)
    take(cluster, plan(cluster, elsewhere))
    with cluster.reading() as c:
        found = read_state(c).vms[name]
    assert (found.memory, found.state, found.saved) == (2048, state, "/new")


def test_a_plan_is_good_for_what_it_was_made_of(cluster: Database) -> None:
    changes = plan(cluster, {"hosts": [{"name": "compute-0-7"}]})
    with cluster.writing("meanwhile") as c:
        set_boot(c, "compute-0-0", "install")
        before = read_state(c)
    with pytest.raises(RollbuildError, match="changed since") as caught:
        take(cluster, changes)
    assert caught.value.exit_code == BUSY
    with cluster.reading() as c:
        assert read_state(c) == before


WRONG = """
networks:
  - {name: lan, address: 10.1.2.0, netmask: 255.255.255.0}
  - {name: bad, address: 10.9.0.1, netmask: 255.255.0.0}
  - {address: 10.9.0.0}
appliances: [{name: gpu, membership: Compute}]
hosts:
  - {name: compute-0-9, rack: first, cpu: 4}
  - name: Compute-0-8
  - {name: compute-0-7, appliance: computer}
  - {name: thing}
  - name: compute-0-6
    interfaces:
      - {device: eth0, mac: nonsense, address: 10.1.0.300, network: private}
      - {device: "eth 0"}
    attributes: {rack: 1, "a b": 2, list: [1]}
  - {name: compute-0-6}
attributes: {host: {compute-9-9: {x: 1}}, planet: {x: 1}}
host: []
"""


def test_every_fault_is_told_at_its_place(cluster: Database, write: Write) -> None:
    assert faults(cluster, write("cluster.yaml", WRONG)) == [
        "4: 10.9.0.1 with 255.255.0.0 is no network",
        "5: an entry of networks has no name",
        "8: `rack` is a whole number, not 'first'",
        "8: a host has no `cpu`",
        '9: "Compute-0-8" cannot be a host\'s name: it has upper-case letters',
        '10: there is no appliance "computer"',
        "11: host thing has no rack and no rank",
        "11: this host names no appliance",
        "14: 'nonsense' is no MAC address",
        "14: '10.1.0.300' is no IPv4 address",
        "15: 'eth 0' is no name of an interface",
        "16: attribute rack is what a host is by itself and cannot be set",
        '16: "a b" cannot be the name of an attribute',
        "16: `list` is one text",
        "17: host compute-0-6 is named twice",
        "18: attributes has no `planet`",
        "19: a cluster has no `host`",
    ]


CLASHES = """
networks:
  - {name: lan, address: 10.1.2.0, netmask: 255.255.255.0}
  - {name: dns, address: 10.8.0.0, netmask: 255.255.0.0, zone: local}
appliances:
  - {name: gpu, membership: compute}
hosts:
  - {name: compute-0-5, run_action: fly, interfaces: [{device: eth0, mac: "52:54:00:aa:10:00"}]}
  - {name: compute-0-6, interfaces: [{device: eth0, address: 10.1.255.254, network: private}]}
  - {name: compute-0-7, interfaces: [{device: eth0, address: 10.1.255.255, network: private}]}
  - {name: compute-0-8, interfaces: [{device: eth0, address: 10.4.0.1}, {device: eth1, network: privat}]}
  - {name: compute-0-9, interfaces: [{device: eth0, address: auto}], aliases: [granite, nas]}
  - {name: compute-0-0-0, appliance: compute}
  - {name: compute-0-0-1, vm: {container: granite, slice: 0}}
  - {name: compute-0-0-2, vm: {container: compute-0-0-1, slice: 0}}
  - {name: compute-0-0-3, vm: {container: granit, slice: 0}}
  - {name: compute-0-0-4, vm: {container: granite, slice: 0}}
attributes:
  host: {compute-9-9: {x: 1}}
  appliance: {gp: {x: 1}}
routes:
  - {destination: 10.8.0.0/16, network: nowhere}
  - {scope: host, key: nobody, destination: 10.7.0.0/16, gateway: 10.1.1.1}
"""


def test_every_clash_is_told_at_its_place(cluster: Database, write: Write) -> None:
    told = faults(cluster, write("cluster.yaml", CLASHES.replace("{device: eth0, address: auto}", "{device: eth0}")))
    assert told == [
        "3: network lan (10.1.2.0/24) overlaps with private (10.1.0.0/16)",
        "4: the zone local is that of network private too",
        "6: the membership compute is that of appliance compute too",
        '8: host compute-0-5 boots by "fly", which is no boot action',
        "8: the MAC 52:54:00:aa:10:00 is that of eth0 of compute-0-0 too",
        "9: the address 10.1.255.254 is that of eth0 of compute-0-0 too",
        "10: the address 10.1.255.255 is that of no host in network private (10.1.0.0/16)",
        "11: eth0 of compute-0-8 has the address 10.4.0.1 and no network",
        "11: there is no network privat",
        "12: the alias granite of compute-0-9 is the name of a host",
        "12: the alias nas of compute-0-9 is the name of an appliance",
        '13: "compute-0-0-0" cannot be a host\'s name: it is that of a VM',
        "15: the container compute-0-0-1 of compute-0-0-2 is a VM itself",
        "16: the container granit of compute-0-0-3 is not there",
        "17: slice 0 of granite is that of compute-0-0-1 too",
        "19: attribute x is for the host compute-9-9, which is not there",
        "20: attribute x is for the appliance gp, which is not there",
        "22: there is no network nowhere",
        "23: route 10.7.0.0/16 is for the host nobody, which is not there",
    ]


def test_what_others_need_is_not_removed(cluster: Database) -> None:
    told = faults(cluster, {"networks": [{"name": "public"}], "appliances": [{"name": "frontend"}]}, removes=True)
    assert told == [
        *(f"-: host compute-0-{n} is of appliance compute, which is not there any more" for n in range(3)),
        "-: there is no network private",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hosts: {name: x}", "1: `hosts` is a list"),
        ("[1]", "1: a cluster is a mapping, as `name: value`"),
        ("hosts: [compute-0-5]", "1: a host is a mapping, as `name: value`"),
        ("hosts:\n- {name: compute-0-5, interfaces: [{device: eth0, address: auto}]}", "2: eth0 of compute-0-5 gets"),
    ],
)
def test_shapes(cluster: Database, write: Write, text: str, fault: str) -> None:
    assert faults(cluster, write("cluster.yaml", text))[0].startswith(fault)


def test_a_network_that_is_full(cluster: Database, write: Write) -> None:
    text = "networks: [{name: small, address: 10.7.0.0, netmask: 255.255.255.252}]\nhosts:\n"
    text += "".join(
        f"- {{name: compute-7-{n}, interfaces: [{{device: eth0, network: small, address: auto}}]}}\n" for n in range(3)
    )
    assert faults(cluster, write("cluster.yaml", text)) == ["5: network small (10.7.0.0/30) has no free address"]


CSV = """name,appliance,rack,rank,mac,address,device,network,boot_action,selinux,motd
compute-0-7,Compute,0,7,52:54:00:AA:10:07,,,,install,permissive,"a,
b"
compute-1-0,,,,52:54:00:aa:10:08,10.1.3.4,eno1,private,,,

compute-0-1,,,,,,,,,enforcing,
"""


def test_a_table_of_hosts(cluster: Database, write: Write) -> None:
    changes = plan(cluster, write("hosts.csv", CSV))
    assert changes.lines == (
        "+ host compute-0-7 (Compute, rack 0, rank 7, 52:54:00:aa:10:07, 10.1.255.251)",
        "+ host compute-1-0 (Compute, rack 1, rank 0, 52:54:00:aa:10:08, 10.1.3.4)",
        "+ attribute selinux of host compute-0-1: enforcing",
        '+ attribute motd of host compute-0-7: "a,\\nb"',
        "+ attribute selinux of host compute-0-7: permissive",
    )
    take(cluster, changes)
    with cluster.reading() as c:
        assert find_host(c, "compute-0-7").boot_action == "install"
        assert list_interfaces(c, ["compute-1-0"])[0].device == "eno1"
        text = export_table(c)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == [
        "compute-0-0",
        "compute-0-1",
        "compute-0-2",
        "compute-0-7",
        "compute-1-0",
        "granite",
    ]
    assert rows[3]["motd"] == "a,\nb"
    assert rows[5]["address"] == "10.1.1.1"
    assert not plan(cluster, write("hosts.csv", text), removes=True)


def test_a_table_removes_hosts_and_nothing_of_them(cluster: Database, write: Write) -> None:
    with cluster.writing("test") as c:
        set_attribute(c, "host", "compute-0-0", "x", "1")
        add_interface(c, Interface("compute-0-0", "eth1"))
    changes = plan(cluster, write("hosts.csv", "name,x\ncompute-0-0,\ncompute-0-1,\n"), removes=True)
    assert changes.lines == ("- host compute-0-2 (Compute, rack 0, rank 2, 52:54:00:aa:10:02, 10.1.255.252)",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the header has no column `name`"),
        ("mac,address\n", "1: the header has no column `name`"),
        ("name,mac,ksmac\n", "1: two columns are called mac"),
        ("name,\n", "1: a column of the header has no name"),
        ("name,rack\n\ncompute-0-5\n", "3: this row has 1 columns, and the header 2"),
        ('name\n"compute', "2: not valid CSV"),
        ("name\0\n", "0: this file holds binary data"),
        ('name,motd\ncompute-0-5,"a\nb"\ncompute-0-6\n', "4: this row has 1 columns"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hosts.csv").write_text(text, encoding="utf-8")
    with pytest.raises(RollbuildError) as caught:
        read_cluster_file(tmp_path / "hosts.csv")
    assert caught.value.location is not None
    assert f"{caught.value.location.line}: {caught.value.message}".startswith(message)


def test_faults_of_a_table_are_at_their_rows(cluster: Database, write: Write) -> None:
    text = 'name,rack,mac,motd,hostname\ncompute-0-7,x,,"a\nb",\ncompute-0-8,,1,,y\ncompute-0-8,,,,\n'
    assert faults(cluster, write("hosts.csv", text)) == [
        "2: `rack` is a whole number, not 'x'",
        "4: '1' is no MAC address",
        "4: attribute hostname is what a host is by itself and cannot be set",
        "5: host compute-0-8 is named twice",
    ]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"hosts:\n- \xff\n")
    with pytest.raises(RollbuildError, match="not UTF-8") as caught:
        read_cluster_file(tmp_path / "x.yaml")
    assert caught.value.location is not None
    assert caught.value.location.line == 2
