"""The keyfiles of a host's further interfaces, from the cluster's data: read by a parser and by NetworkManager."""

import configparser
import shutil
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from rollbuild.compiler import Profile
from rollbuild.findings import Severity
from tests.shipped.conftest import Compile, Tree, scripts_of

CONNECTIONS = "etc/NetworkManager/system-connections"
MACS = {number: f"52:54:00:00:00:{number:02}" for number in range(10)}
GUID = "80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1"
NETWORKS = [
    {"name": "storage", "address": "10.2.0.0", "netmask": "255.255.240.0", "mtu": 9000},
    {"name": "fabric", "address": "10.3.0.0", "netmask": "255.255.0.0", "mtu": 2044},
]
Interface = dict[str, Any]
Prepare = Callable[..., Profile]


@pytest.fixture
def prepare(compile_shipped: Compile) -> Prepare:
    """Compile a compute node whose interfaces are given."""

    def compile_one(interfaces: list[Interface], release: str = "el9", **attributes: str) -> Profile:
        hosts = [{"name": "compute-0-1", "interfaces": [{"name": "no"}]}, {"name": "compute", "interfaces": interfaces}]
        return compile_shipped("compute", release, {"hosts": hosts, "networks": NETWORKS}, **attributes)

    return compile_one


def write(host: Tree, profile: Profile) -> dict[str, configparser.ConfigParser]:
    """Run the node's script twice; the keyfiles, each of which root alone can read."""
    errors = [finding.message for finding in profile.findings if finding.severity == Severity.ERROR]
    assert errors == []
    host.write("/usr/local/libexec/rollbuild.sh", "set -eEuo pipefail\n")
    before = None
    for _ in range(2):
        for script in scripts_of(profile, "post", "interfaces"):
            done = host.run(script)
            assert done.returncode == 0 and done.stderr == "", done.stderr
        assert before in (None, host.files())
        before = host.files()
    keyfiles = {}
    for name, (mode, content) in host.files().items():
        if name.startswith(CONNECTIONS):
            assert mode == 0o600
            keyfile = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
            keyfile.optionxform = str  # type: ignore[assignment,method-assign]
            keyfile.read_string(content.decode())
            keyfiles[name.rpartition("/")[2].removesuffix(".nmconnection")] = keyfile
    return keyfiles


def uuid_of(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"compute/{name}"))


OFF = {"method": "disabled"}
STORAGE = {"method": "manual", "address1": "10.2.0.9/20", "never-default": "true"}
BOND: list[Interface] = [
    {"name": "bond0", "type": "bond", "ports": ["fast0", "fast1"], "network": "storage", "address": "10.2.0.9"},
    {"name": "fast0", "mac": MACS[1]},
    {"name": "fast1", "mac": MACS[2]},
]

# Interfaces, attributes, and the sections of each keyfile, without id and uuid, which are the same everywhere.
WRITTEN: dict[str, tuple[list[Interface], dict[str, str], dict[str, dict[str, dict[str, str]]]]] = {
    "a second network": (
        [{"name": "data0", "mac": MACS[1].upper(), "network": "storage", "address": "10.2.0.9"}],
        {},
        {
            "data0": {
                "connection": {"type": "ethernet"},
                "ethernet": {"mac-address": MACS[1], "mtu": "9000"},
                "ipv4": STORAGE,
                "ipv6": OFF,
            }
        },
    ),
    "the interface that the host installs through is the Kickstart's": (
        [
            {"name": "priv0", "mac": MACS[1], "address": "10.1.255.254"},
            {"name": "eno2", "dhcp": True, "zone": "dmz"},
        ],
        {"ksmac": MACS[1], "hostaddr": "10.1.255.254"},
        {
            "eno2": {
                "connection": {"type": "ethernet", "interface-name": "eno2", "zone": "dmz"},
                "ipv4": {"method": "auto", "never-default": "true"},
                "ipv6": OFF,
            }
        },
    ),
    "a bond": (
        BOND,
        {},
        {
            "bond0": {
                "connection": {"type": "bond", "interface-name": "bond0", "autoconnect-slaves": "1"},
                "ethernet": {"mtu": "9000"},
                "bond": {"mode": "active-backup", "miimon": "100"},
                "ipv4": STORAGE,
                "ipv6": OFF,
            },
            **{
                f"fast{number}": {
                    "connection": {"type": "ethernet", "master": "bond0", "slave-type": "bond"},
                    "ethernet": {"mac-address": MACS[number + 1]},
                }
                for number in (0, 1)
            },
        },
    ),
    "a bond that has the host's address, with options, and a port by name only": (
        [
            {
                "name": "bond0",
                "type": "bond",
                "ports": ["priv0", "eno2"],
                "address": "10.1.255.254",
                "options": {"mode": "802.3ad", "miimon": 100, "xmit_hash_policy": "layer3+4"},
            },
            {"name": "priv0", "mac": MACS[1]},
        ],
        {"ksmac": MACS[1], "hostaddr": "10.1.255.254", "Kickstart_PrivateDNSServers": "10.1.1.1,10.1.1.2"},
        {
            "bond0": {
                "connection": {"type": "bond", "interface-name": "bond0", "autoconnect-slaves": "1"},
                "bond": {"mode": "802.3ad", "miimon": "100", "xmit_hash_policy": "layer3+4"},
                "ipv4": {
                    "method": "manual",
                    "address1": "10.1.255.254/16,10.1.1.1",
                    "dns": "10.1.1.1;10.1.1.2;",
                    "dns-search": "cluster.internal;",
                },
                "ipv6": OFF,
            },
            "priv0": {
                "connection": {"type": "ethernet", "master": "bond0", "slave-type": "bond"},
                "ethernet": {"mac-address": MACS[1]},
            },
            "eno2": {
                "connection": {
                    "type": "ethernet",
                    "interface-name": "eno2",
                    "master": "bond0",
                    "slave-type": "bond",
                },
            },
        },
    ),
    "a bond with its options as the installer writes them": (
        [{"name": "bond0", "type": "bond", "ports": ["eno1"], "options": "mode=4, miimon=100"}],
        {},
        {
            "bond0": {
                "connection": {"type": "bond", "interface-name": "bond0", "autoconnect-slaves": "1"},
                "bond": {"mode": "4", "miimon": "100"},
                "ipv4": OFF,
                "ipv6": OFF,
            },
            "eno1": {
                "connection": {
                    "type": "ethernet",
                    "interface-name": "eno1",
                    "master": "bond0",
                    "slave-type": "bond",
                },
            },
        },
    ),
    "a VLAN on an interface of the host, as a port of a bridge": (
        [
            {"name": "br-vlan100", "type": "bridge", "ports": ["data0.100"], "mac": MACS[5]},
            {"name": "data0.100", "type": "vlan", "vlan": 100, "parent": "data0"},
            {"name": "data0", "mac": MACS[1], "mtu": 1500},
        ],
        {},
        {
            "br-vlan100": {
                "connection": {"type": "bridge", "interface-name": "br-vlan100", "autoconnect-slaves": "1"},
                "bridge": {"stp": "false", "mac-address": MACS[5]},
                "ipv4": OFF,
                "ipv6": OFF,
            },
            "data0.100": {
                "connection": {
                    "type": "vlan",
                    "interface-name": "data0.100",
                    "master": "br-vlan100",
                    "slave-type": "bridge",
                },
                "vlan": {"flags": "1", "id": "100", "parent": uuid_of("data0")},
            },
            "data0": {
                "connection": {"type": "ethernet"},
                "ethernet": {"mac-address": MACS[1], "mtu": "1500"},
                "ipv4": OFF,
                "ipv6": OFF,
            },
        },
    ),
    "a VLAN on what the installer configures, with routes": (
        [
            {
                "name": "priv0.7",
                "type": "vlan",
                "vlan": 7,
                "parent": "priv0",
                "address": "10.7.0.9",
                "prefix": 24,
                "routes": [{"to": "10.8.0.0/16", "via": "10.7.0.1"}],
            }
        ],
        {},
        {
            "priv0.7": {
                "connection": {"type": "vlan", "interface-name": "priv0.7"},
                "vlan": {"flags": "1", "id": "7", "parent": "priv0"},
                "ipv4": {
                    "method": "manual",
                    "address1": "10.7.0.9/24",
                    "never-default": "true",
                    "route1": "10.8.0.0/16,10.7.0.1",
                },
                "ipv6": OFF,
            }
        },
    ),
    "InfiniBand": (
        [{"name": "ib0", "type": "infiniband", "mac": GUID, "network": "fabric", "address": "10.3.0.9"}],
        {},
        {
            "ib0": {
                "connection": {"type": "infiniband"},
                "infiniband": {"transport-mode": "datagram", "mac-address": GUID, "mtu": "2044"},
                "ipv4": {"method": "manual", "address1": "10.3.0.9/16", "never-default": "true"},
                "ipv6": OFF,
            }
        },
    ),
    "a partition of InfiniBand": (
        [{"name": "ib0.8005", "type": "infiniband", "pkey": "0x8005", "parent": "ib0", "mode": "connected"}],
        {},
        {
            "ib0.8005": {
                "connection": {"type": "infiniband", "interface-name": "ib0.8005"},
                "infiniband": {"transport-mode": "connected", "p-key": "0x8005", "parent": "ib0"},
                "ipv4": OFF,
                "ipv6": OFF,
            }
        },
    ),
}


@pytest.mark.parametrize(("interfaces", "attributes", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_keyfiles(
    prepare: Prepare,
    host: Tree,
    interfaces: list[Interface],
    attributes: dict[str, str],
    expected: dict[str, dict[str, dict[str, str]]],
) -> None:
    keyfiles = write(host, prepare(interfaces, **attributes))
    found = {name: {section: dict(file[section]) for section in file.sections()} for name, file in keyfiles.items()}
    for name, file in found.items():
        assert file["connection"].pop("id") == name
        assert file["connection"].pop("uuid") == uuid_of(name)
    assert found == expected


# What NetworkManager writes in another way than it reads.
ROUNDED = {("mode", "4"): "802.3ad", ("p-key", "0x8005"): str(0x8005)}


@pytest.mark.parametrize(("interfaces", "attributes", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_network_manager_reads_them(
    prepare: Prepare,
    host: Tree,
    interfaces: list[Interface],
    attributes: dict[str, str],
    expected: dict[str, dict[str, dict[str, str]]],
) -> None:
    program = shutil.which("nmcli")
    offline = [program or "nmcli", "--offline", "connection"]
    if (
        program is None
        or subprocess.run([*offline, "add", "type", "dummy", "ifname", "x"], capture_output=True).returncode
    ):
        pytest.skip("nmcli is not installed, or too old for --offline")
    write(host, prepare(interfaces, **attributes))
    for name, sections in expected.items():
        text = host.read(f"/{CONNECTIONS}/{name}.nmconnection")
        done = subprocess.run(
            [*offline, "modify", "connection.autoconnect-priority", "5"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        read = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        read.optionxform = str  # type: ignore[assignment,method-assign]
        read.read_string(done.stdout)
        # What it did not understand would be missing from what it writes.
        for section, options in sections.items():
            for key, value in options.items():
                assert read.get(section, key, fallback="lost").lower() == ROUNDED.get((key, value), value), key


def test_what_the_installer_wrote_goes(prepare: Prepare, host: Tree) -> None:
    scripts = "etc/sysconfig/network-scripts"
    host.write("/sys/class/net/eno1/address", f"{MACS[1]}\n")
    for name, text in {
        f"{scripts}/ifcfg-eno1": f'TYPE=Ethernet\nHWADDR="{MACS[1].upper()}"\n',
        f"{scripts}/ifcfg-fast1": "DEVICE=fast1\n",
        f"{scripts}/ifcfg-eno9": f"HWADDR={MACS[9]}\n",
        f"{CONNECTIONS}/Wired.nmconnection": f"[ethernet]\nmac-address={MACS[2].upper()}\n",
        f"{CONNECTIONS}/eno1.nmconnection": "[connection]\ninterface-name=eno1\n",
        f"{CONNECTIONS}/eno10.nmconnection": "[connection]\ninterface-name=eno10\n",
    }.items():
        host.write(name, text)
        (host.root / name).chmod(0o600)
    write(host, prepare(BOND))
    left = {name.rpartition("/")[2] for name in host.files() if name.startswith((scripts, CONNECTIONS))}
    assert left == {
        "ifcfg-eno9",
        "eno10.nmconnection",
        "bond0.nmconnection",
        "fast0.nmconnection",
        "fast1.nmconnection",
    }


@pytest.mark.parametrize("release", ["el8", "el9", "el10"])
def test_names(prepare: Prepare, host: Tree, release: str) -> None:
    fabric = {"name": "fabric0", "type": "infiniband", "mac": GUID}
    keyfiles = write(host, prepare([*BOND, fabric], release, interface_names="stable"))
    links = {name: text for name, (_, text) in host.files().items() if name.startswith("etc/systemd/network")}
    assert sorted(links) == [f"etc/systemd/network/10-rollbuild-fast{number}.link" for number in (0, 1)]
    match = f"MACAddress={MACS[1]}\nPath=*\n" if release == "el8" else f"PermanentMACAddress={MACS[1]}\n"
    text = host.read("/etc/systemd/network/10-rollbuild-fast0.link")
    assert match in text and text.endswith("[Link]\nName=fast0\n")
    assert 'ATTR{address}=="?*f4:52:14:03:00:7b:cb:a1", NAME="fabric0"\n' in host.read(
        "/etc/udev/rules.d/70-rollbuild-infiniband.rules"
    )
    assert keyfiles["fabric0"]["connection"]["interface-name"] == "fabric0"
    for path in (*links, "etc/udev/rules.d/70-rollbuild-infiniband.rules"):
        assert f" /{path}" in host.read("/etc/dracut.conf.d/40-rollbuild-names.conf")


def test_without_data_there_is_no_script(prepare: Prepare) -> None:
    assert scripts_of(prepare([]), "post", "interfaces") == []


REFUSED: dict[str, tuple[list[Interface], dict[str, str], str]] = {
    "a type": ([{"name": "x", "type": "team"}], {}, "the interface x is of the unknown type team"),
    "a long name": ([{"name": "x" * 16}], {}, "the kernel takes no interface of the name"),
    "no mask": ([{"name": "x", "address": "10.2.0.9"}], {}, "neither it nor its network has a netmask"),
    "a broken mask": (
        [{"name": "x", "address": "10.2.0.9", "netmask": "255.255.1"}],
        {},
        "neither it nor its network has a netmask",
    ),
    "a VLAN without a number": ([{"name": "x", "type": "vlan", "parent": "y"}], {}, "needs both parent and vlan"),
    "a bond without ports": ([{"name": "x", "type": "bond"}], {}, "the bond x needs ports"),
    "a port twice": (
        [{"name": "x", "type": "bond", "ports": ["a"]}, {"name": "y", "type": "bridge", "ports": ["a"]}],
        {},
        "a is a port of both x and y",
    ),
    "a name of the kernel": (
        [{"name": "eth1", "mac": MACS[1]}],
        {"interface_names": "stable"},
        "interface_names=stable cannot give an interface the name eth1",
    ),
    "an unknown mode": ([{"name": "x", "type": "infiniband", "mode": "fast"}], {}, "neither datagram nor connected"),
}


@pytest.mark.parametrize(("interfaces", "attributes", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(prepare: Prepare, interfaces: list[Interface], attributes: dict[str, str], message: str) -> None:
    errors = [item.message for item in prepare(interfaces, **attributes).findings if item.severity == Severity.ERROR]
    assert any(message in error for error in errors), errors
