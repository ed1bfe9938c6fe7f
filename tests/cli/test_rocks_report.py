"""`rocks report ...`: text for other programs, from the made-up cluster."""

import configparser
import subprocess
import uuid
from pathlib import Path

import pytest

from rollbuild import __version__
from rollbuild.cluster import Interface, Network, Route
from rollbuild.commands.rocks._keyfiles import make_keyfiles
from tests.conftest import Outcome, Run


@pytest.fixture
def rocks(rocks: Run, unchanged_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `rocks ARGV...` on the made-up cluster."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(unchanged_cluster))
    return rocks


REPORTS = {
    "report host": """\
127.0.0.1	localhost.localdomain	localhost
10.1.255.252	compute-0-0.local	compute-0-0	c0	c0.local
10.1.255.251	compute-0-0-0.local	compute-0-0-0
10.1.255.250	compute-0-0-1.local	compute-0-0-1
10.1.1.1	granite.local	granite
203.0.113.77	granite.example.org
10.1.255.254	vm-container-0-0.local	vm-container-0-0
10.1.255.253	vm-container-0-1.local	vm-container-0-1
""",
    "report host route compute-0-0": """\
any net 10.2.0.0 netmask 255.255.0.0 gw 10.1.1.2
any net 224.0.0.0 netmask 255.255.255.0 dev eth0
""",
    "report nextip private": "10.1.255.249\n",
    "report nextip subnet=private increment=1": "10.1.0.1\n",
    "report nextip private baseip=10.1.255.252 increment=-2": "10.1.255.248\n",
    "report vm nextmac": "4e:71:00:40:00:04\n",
    "report version": f"{__version__}\n",
    "report resolv": "search local example.org\nnameserver 10.1.1.1\n",
    "report host attr compute-0-0 attr=membership": "Compute\n",
    "report host attr compute attr=hostname": "compute-0-0\ncompute-0-0-0\ncompute-0-0-1\n",
    "report host attr c0 attr=Kickstart_PrivateRootPassword": "$6$salt$made-up-hash\n",
}


@pytest.mark.parametrize(("line", "text"), REPORTS.items(), ids=REPORTS)
def test_reports(rocks: Run, line: str, text: str) -> None:
    assert rocks(*line.split()) == Outcome(0, text, "")


def test_attributes_are_lines_of_name_and_value(rocks: Run) -> None:
    outcome = rocks("report", "host", "attr", "compute-0-0")
    lines = outcome.out.splitlines()
    assert "HttpConf:/etc/httpd/conf" in lines
    assert "hostaddr:10.1.255.252" in lines
    assert "Kickstart_PrivateRootPassword:(hidden)" in lines
    shown = rocks("report", "host", "attr", "compute-0-0", "show-secrets=yes").out
    assert "Kickstart_PrivateRootPassword:$6$salt$made-up-hash" in shown.splitlines()


def test_dhcp_is_that_of_the_configuration(rocks: Run) -> None:
    outcome = rocks("report", "host", "dhcpd")
    assert outcome.code == 0
    assert "# /etc/rollbuild/dhcp-hosts\n52:54:00:aa:20:00,10.1.255.252,compute-0-0\n" in outcome.out
    assert "\ndhcp-ignore=tag:!known\n" in outcome.out


def test_local_hosts_stand_at_the_end(rocks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    (tmp_path / "etc/rollbuild").mkdir(parents=True)
    (tmp_path / "etc/rollbuild/hosts.local").write_text("192.0.2.9\tprinter\n", encoding="utf-8")
    assert rocks("report", "host").out.endswith("\n192.0.2.9\tprinter\n")


REFUSED = {
    "report nextip": (2, "missing subnet", "rocks report nextip {subnet}"),
    "report nextip privat": (1, 'there is no network "privat"', "private"),
    "report nextip private increment=0": (2, "cannot be 0", ""),
    "report nextip private baseip=10.9.0.1": (2, "10.9.0.1", "10.1.255.254"),
    "report host interface compute": (2, "must supply one host", "3"),
    "report host interface compute-0-0 iface=eth1": (1, 'has no interface "eth1"', "it has eth0"),
    "report host attr compute-0-0 attr=rak": (1, "Attribute rak does not exist; did you mean rank?", ""),
    "report vm": (2, "", "see `rocks report VM"),
    "report version --json": (2, "prints no table", ""),
    "report distro": (1, "there is no distribution", "rollbuild distro create"),
}


@pytest.mark.parametrize(("line", "refusal"), REFUSED.items(), ids=REFUSED)
def test_refusals(rocks: Run, line: str, refusal: tuple[int, str, str]) -> None:
    code, message, hint = refusal
    outcome = rocks(*line.split())
    assert outcome.code == code
    assert message in outcome.err
    assert hint.lower() in outcome.err.lower()


def _sections(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(text)
    return parser


def test_an_interface_is_a_keyfile(rocks: Run) -> None:
    outcome = rocks("report", "host", "interface", "compute-0-0", "iface=eth0")
    assert (outcome.code, outcome.err) == (0, "")
    file = _sections(outcome.out)
    assert dict(file["connection"]) == {
        "id": "eth0",
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "compute-0-0/eth0")),
        "type": "ethernet",
    }
    assert dict(file["ethernet"]) == {"mac-address": "52:54:00:aa:20:00"}
    assert dict(file["ipv4"]) == {
        "method": "manual",
        "address1": "10.1.255.252/16",
        "gateway": "10.1.1.1",
        "route1": "10.2.0.0/16,10.1.1.2",
        "route2": "224.0.0.0/24",
        "dns": "10.1.1.1;",
        "dns-search": "local;",
    }
    assert dict(file["ipv6"]) == {"method": "disabled"}


def test_each_interface_of_a_host_has_a_path(rocks: Run) -> None:
    text = rocks("report", "host", "interface", "granite").out
    parts = text.split("# /etc/NetworkManager/system-connections/")[1:]
    assert [part.partition("\n")[0] for part in parts] == ["eth0.nmconnection", "eth1.nmconnection"]
    outside = _sections(parts[1].partition("\n")[2])
    assert outside["ipv4"]["gateway"] == "203.0.113.1"
    inside = _sections(parts[0].partition("\n")[2])
    # The host's own default route goes out of the other one.
    assert inside["ipv4"]["never-default"] == "true"


NETWORKS = {"private": Network("private", "10.1.0.0", "255.255.0.0", mtu=9000, zone="local")}


def test_bonds_vlans_and_infiniband() -> None:
    interfaces = (
        Interface("h", "bond0", "", "10.1.0.5", "private", options="mode=802.3ad miimon=50"),
        Interface("h", "eth0", "52:54:00:00:00:01", channel="bond0"),
        Interface("h", "eth0:1", "", "10.1.0.6", "private"),
        Interface("h", "eth1.7", "", "10.1.0.7", "private", vlan=7),
        Interface("h", "ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1", "10.1.0.8", "private"),
    )
    assert len(interfaces[-1].mac) == 59
    files = {file.device: file for file in make_keyfiles(interfaces, NETWORKS, (), {})}
    assert list(files) == ["bond0", "eth0", "eth1.7", "ib0"]
    bond, port, vlan, infiniband = (_sections(file.text) for file in files.values())
    assert bond["connection"]["type"] == "bond"
    assert dict(bond["bond"]) == {"mode": "802.3ad", "miimon": "50"}
    assert bond["ethernet"]["mtu"] == "9000"
    assert (port["connection"]["master"], port["connection"]["slave-type"]) == ("bond0", "bond")
    assert "ipv4" not in port
    assert dict(vlan["vlan"]) == {"flags": "1", "id": "7", "parent": "eth1"}
    assert infiniband["infiniband"]["transport-mode"] == "datagram"
    assert "ethernet" not in infiniband


def test_routes_stay_on_the_network_of_their_gateway() -> None:
    interfaces = (
        Interface("h", "eth0", "52:54:00:00:00:01", "10.1.0.5", "private"),
        Interface("h", "eth1", "52:54:00:00:00:02", "203.0.113.5", "public"),
    )
    networks = {**NETWORKS, "public": Network("public", "203.0.113.0", "255.255.255.0")}
    routes = (
        Route("host", "h", "198.51.100.0/24", gateway="203.0.113.9"),
        Route("global", "", "10.9.0.0/16", "10.1.0.9"),
    )
    private, public = (_sections(file.text)["ipv4"] for file in make_keyfiles(interfaces, networks, routes, {}))
    assert [private[key] for key in private if key.startswith("route")] == ["10.9.0.0/16,10.1.0.9"]
    assert [public[key] for key in public if key.startswith("route")] == ["198.51.100.0/24,203.0.113.9"]


def test_network_manager_takes_the_keyfile(rocks: Run, tmp_path: Path) -> None:
    import shutil

    if shutil.which("nmcli") is None:
        pytest.skip("needs nmcli")
    text = rocks("report", "host", "interface", "compute-0-0", "iface=eth0").out
    done = subprocess.run(
        ["nmcli", "--offline", "connection", "modify", "ipv4.route-metric", "50"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "10.1.255.252/16" in done.stdout
