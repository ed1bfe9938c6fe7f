"""The texts of files from values that no database has checked: whatever they hold, each line is one that we wrote."""

import ipaddress
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.cluster import Appliance, Host, Interface, Network
from rollbuild.errors import FindingsError
from rollbuild.frontend.dhcp import (
    DEFAULT_LOADERS,
    dnsmasq_dhcp,
    dnsmasq_hosts,
    dnsmasq_names,
    dnsmasq_tftp,
    kea_dhcp,
    make_reservations,
)
from rollbuild.frontend.names import hosts_file
from rollbuild.frontend.site import Site, read_site
from rollbuild.frontend.snapshot import Snapshot
from rollbuild.language import AttributeSet
from rollbuild.media import Loaders
from tests.programs import need_program

SITE = Site(
    server=ipaddress.IPv4Address("10.1.1.1"),
    network=ipaddress.IPv4Network("10.1.0.0/16"),
    gateway="10.1.1.1",
    nameservers=("10.1.1.1",),
    domain="cluster.internal",
    hostname="granite",
    web="10.1.1.1",
    folder="install",
    dhcp_server="dnsmasq",
    lease=3600,
)
NETWORKS = {
    "private": Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal"),
    "public": Network("public", "192.0.2.0", "255.255.255.0", zone="example.org"),
}
COMPUTE = Appliance("compute", "Compute", root="compute")


def cluster(*interfaces: Interface, **fields: object) -> Snapshot:
    """A snapshot of the hosts that have these interfaces."""
    own: dict[str, list[Interface]] = {}
    for interface in interfaces:
        own.setdefault(interface.host, []).append(interface)
    hosts = tuple(Host(name, "compute", "Compute", 0, rank) for rank, name in enumerate(own))
    shared = {"networks": NETWORKS, "appliances": {"compute": COMPUTE}, **fields}
    return Snapshot(1, hosts, {name: tuple(items) for name, items in own.items()}, **shared)  # type: ignore[arg-type]


GOOD = Interface("compute-0-0", "eno1", "52:54:00:aa:00:01", "10.1.255.254", "private")
ANY = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["a\nb", "a,b", "a b", "52:54:00:aa:00:02", "10.1.2.3", "10.1.2.3\n", "x\u2028y", "compute-0-1", '"', "a;b", "-x"]
)


@given(ANY, ANY, ANY, ANY, ANY, ANY)
def test_no_value_makes_another_line(host: str, device: str, mac: str, address: str, name: str, alias: str) -> None:
    bad = Interface(host, device, mac, address, "private", name)
    other = Interface(host, "eth9", "", address + "1", "public", name)
    snapshot = cluster(GOOD, bad, other, aliases={host: (alias,)})
    rows, _ = make_reservations(snapshot, SITE)
    text = dnsmasq_hosts(rows).decode()
    assert re.fullmatch(r"((?:[0-9a-f]{2}(:[0-9a-f]{2}){5},)+[0-9.]{7,15},[A-Za-z0-9.-]+\n)+", text)
    assert text.startswith("52:54:00:aa:00:01,10.1.255.254,compute-0-0\n") or host == "compute-0-0"
    lines = hosts_file(snapshot, SITE)[0].decode()
    assert re.fullmatch(r"([0-9.]{7,15}( [A-Za-z0-9][A-Za-z0-9.-]*)+\n)+", lines), lines
    kea = json.loads(kea_dhcp(rows, SITE))["Dhcp4"]["subnet4"][0]["reservations"]
    assert [row["hostname"] for row in kea] == [row.name for row in rows for _ in row.macs]


LEFT_OUT = {
    "line end in the name": (Interface("a\nb", "eno1", "52:54:00:aa:00:02", "10.1.2.3", "private"), "its name"),
    "comma in the name": (Interface("a,b", "eno1", "52:54:00:aa:00:02", "10.1.2.3", "private"), "its name"),
    "a group's MAC address": (Interface("c", "eno1", "01:54:00:aa:00:02", "10.1.2.3", "private"), "is no MAC"),
    "another's MAC address": (Interface("c", "eno1", GOOD.mac, "10.1.2.3", "private"), "compute-0-0 has the MAC"),
    "another's address": (Interface("c", "eno1", "52:54:00:aa:00:02", GOOD.address, "private"), "compute-0-0 has 10."),
    "no address": (Interface("c", "eno1", "52:54:00:aa:00:02", "10.1.2.3.4", "private"), "is no address"),
}


@pytest.mark.parametrize(("interface", "said"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_host_that_cannot_be_is_left_out_and_told(interface: Interface, said: str) -> None:
    rows, findings = make_reservations(cluster(GOOD, interface), SITE)
    assert [row.name for row in rows] == ["compute-0-0"]
    assert [finding.severity for finding in findings] == ["error"] and said in findings[0].message
    assert "\n" not in findings[0].message


QUIETLY_OUT = {
    "another network": Interface("c", "eno1", "52:54:00:aa:00:02", "192.0.2.9", "public"),
    "a VLAN": Interface("c", "eno1.7", "52:54:00:aa:00:02", "10.1.2.3", "private", vlan=7),
    "InfiniBand": Interface(
        "c", "ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01", "10.1.2.3", "private"
    ),
    "no MAC address yet": Interface("c", "eno1", "", "10.1.2.3", "private"),
    "no address yet": Interface("c", "eno1", "52:54:00:aa:00:02", "", "private"),
}


@pytest.mark.parametrize("interface", QUIETLY_OUT.values(), ids=QUIETLY_OUT)
def test_what_does_not_boot_there_gets_no_row(interface: Interface) -> None:
    rows, findings = make_reservations(cluster(GOOD, interface), SITE)
    assert ([row.name for row in rows], findings) == (["compute-0-0"], ())


def test_names_of_each_interface() -> None:
    snapshot = cluster(
        Interface("granite", "eno1", "", "10.1.1.1", "private"),
        Interface("granite", "eno2", "", "192.0.2.1", "public"),
        Interface("c0", "eno1", "", "10.1.0.10", "private", "c0-boot"),
        Interface("c0", "eno2", "", "192.0.2.10", "public", "gate"),
        Interface("c0", "eth0:1", "", "10.1.0.11", "private"),
        Interface("c0", "ib0", "", "10.5.0.10", ""),
        aliases={"c0": ("first", "head"), "granite": ("www",)},
    )
    text, findings = hosts_file(snapshot, SITE, b"10.1.0.99 printer")
    assert findings == ()
    assert text.decode().splitlines() == [
        "10.1.1.1 granite www",
        "192.0.2.1 granite.example.org",
        "10.1.0.10 c0 c0-boot first head",
        "192.0.2.10 gate.example.org",
        "10.1.0.11 c0-eth0-1",
        "10.5.0.10 c0-ib0",
        "10.1.0.99 printer",
    ]


LOADERS = {"all": DEFAULT_LOADERS, "no BIOS": Loaders("", "a", "b"), "only iPXE": Loaders()}


@pytest.mark.parametrize("loaders", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("program", ["dnsmasq", "kea-dhcp4"])
def test_the_servers_accept_their_files(tmp_path: Path, program: str, count: int, loaders: Loaders) -> None:
    found = need_program(program)
    hosts = [
        (
            Interface(f"c{number}", "eno1", f"52:54:00:aa:00:0{number}", f"10.1.0.{number + 10}", "private"),
            Interface(f"c{number}", "eno2", f"52:54:00:ab:00:0{number}"),
        )
        for number in range(count)
    ]
    rows, _ = make_reservations(cluster(*(interface for pair in hosts for interface in pair)), SITE)
    path = tmp_path / "conf"
    if program == "dnsmasq":
        options = b"".join(b"dhcp-host=%b\n" % row for row in dnsmasq_hosts(rows).splitlines())
        path.write_bytes(dnsmasq_names(SITE) + dnsmasq_tftp() + dnsmasq_dhcp(SITE, loaders) + options)
        argv = [found, "--test", f"--conf-file={path}"]
    else:
        path.write_bytes(kea_dhcp(rows, SITE, loaders))
        argv = [found, "-t", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_facts_come_from_the_database_where_no_attribute_says_them() -> None:
    own = Host("granite", "frontend", "Frontend", 0, 0)
    interfaces = {"granite": (Interface("granite", "eno1", "", "10.1.7.7", "private"),)}
    site, findings = read_site(Snapshot(1, (own,), interfaces, networks=NETWORKS))
    assert findings == ()
    assert (str(site.server), site.hostname, site.domain, site.gateway) == (
        "10.1.7.7",
        "granite",
        "cluster.internal",
        "10.1.7.7",
    )
    said = AttributeSet.of("global", {"Kickstart_PrivateAddress": "10.1.1.1", "dhcp_lease": "600"})
    mine = AttributeSet.of("host", {"Kickstart_PrivateGateway": "10.1.1.9"}, key="granite")
    site, _ = read_site(Snapshot(1, (own,), interfaces, networks=NETWORKS, attributes=said.merge(mine)))
    assert (str(site.server), site.gateway, site.lease) == ("10.1.1.1", "10.1.1.9", 600)


def test_all_wrong_facts_are_told_at_once() -> None:
    values = {"Kickstart_PrivateAddress": "10.1.1.1", "Kickstart_PrivateGateway": "x", "dhcp_lease": "-1"}
    with pytest.raises(FindingsError) as caught:
        read_site(Snapshot(networks=NETWORKS, attributes=AttributeSet.of("global", values)))
    assert len(caught.value.findings) == 2


def test_a_network_without_a_zone_has_the_domain_that_the_rolls_declare() -> None:
    bare = {"private": Network("private", "10.1.0.0", "255.255.0.0")}
    values = AttributeSet.of("global", {"Kickstart_PrivateAddress": "10.1.1.1"})
    assert read_site(Snapshot(networks=bare, attributes=values))[0].domain == "cluster.internal"
