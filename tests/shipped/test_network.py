"""The %pre script that finds the front end's interfaces, run with fake ones."""

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from tests.shipped.conftest import Compile, Tree, scripts_of

LOOPBACK = (
    "1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT \\    link/loopback 00:00:00:00:00:00"
)
ETHERNET = (
    "{number}: {name}: <BROADCAST,UP> mtu 1500 qdisc fq state UP \\    link/ether 52:54:00:00:00:{number:02} brd ff"
)
CLUSTER = "--bindto=mac --bootproto=static --ip=10.1.1.1 --netmask=255.255.0.0 --nodefroute --noipv6 --activate"
NAME = "network --hostname=frontend.cluster.internal"
DHCP = "network --device=52:54:00:00:00:{} --bindto=mac --bootproto=dhcp --activate"

# Interfaces as `ip` lists them (numbers from 2 make their MAC addresses), attributes, and what is written.
WRITTEN: dict[str, tuple[list[str], dict[str, str], list[str]]] = {
    "the first is the cluster's": (
        ["eno2", "eno1"],
        {},
        [NAME, f"network --device=52:54:00:00:00:03 {CLUSTER}", DHCP.format("02")],
    ),
    "in natural order": (
        ["eno10", "eno9"],
        {},
        [NAME, f"network --device=52:54:00:00:00:03 {CLUSTER}", DHCP.format("02")],
    ),
    "one interface": (["eno1"], {}, [NAME, f"network --device=52:54:00:00:00:02 {CLUSTER}"]),
    "bridges do not count": (["br0", "virbr0", "eno1"], {}, [NAME, f"network --device=52:54:00:00:00:04 {CLUSTER}"]),
    "the public one is named": (
        ["eno1", "eno2"],
        {"Kickstart_PublicInterface": "eno1"},
        [NAME, f"network --device=52:54:00:00:00:03 {CLUSTER}", DHCP.format("02")],
    ),
    "the cluster's is named by its address": (
        ["eno1", "eno2"],
        {"Kickstart_PrivateInterface": "52:54:00:00:00:03"},
        [NAME, f"network --device=52:54:00:00:00:03 {CLUSTER}", DHCP.format("02")],
    ),
    "a fixed public address": (
        ["eno1", "eno2"],
        {
            "Kickstart_PublicHostname": "hpc.example.org",
            "Kickstart_PublicAddress": "192.0.2.10",
            "Kickstart_PublicNetmask": "255.255.255.0",
            "Kickstart_PublicGateway": "192.0.2.1",
            "Kickstart_PublicDNSServers": "192.0.2.53,192.0.2.54",
        },
        [
            "network --hostname=hpc.example.org",
            f"network --device=52:54:00:00:00:02 {CLUSTER}",
            "network --device=52:54:00:00:00:03 --bindto=mac --bootproto=static --ip=192.0.2.10"
            " --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.53,192.0.2.54 --activate",
        ],
    ),
}

REFUSED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no interface": ([], {}, "there is no network interface for the cluster"),
    "only the public one": (["eno1"], {"Kickstart_PublicInterface": "eno1"}, "no network interface for the cluster"),
    "not here": (["eno1"], {"Kickstart_PrivateInterface": "em1"}, "names em1, which is not here: eno1"),
    "twice the same": (
        ["eno1", "eno2"],
        {"Kickstart_PrivateInterface": "eno1", "Kickstart_PublicInterface": "eno1"},
        "the cluster's and the public interface are the same",
    ),
}


def find(compile_shipped: Compile, host: Tree, names: list[str], attributes: dict[str, str]) -> tuple[int, str]:
    rows = [LOOPBACK, *(ETHERNET.format(number=number, name=name) for number, name in enumerate(names, 2))]
    host.write("/ip-link", "\n".join(rows) + "\n")
    host.add_program("ip", f'cat "{host.root}/ip-link"')
    profile = compile_shipped("frontend", "el9", **attributes)
    (functions,) = scripts_of(profile, "pre", "progress")
    assert host.run(functions).returncode == 0
    (script,) = scripts_of(profile, "pre", "frontend-network")
    done = host.run(script)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("names", "attributes", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_interfaces(
    compile_shipped: Compile, host: Tree, names: list[str], attributes: dict[str, str], expected: list[str]
) -> None:
    status, output = find(compile_shipped, host, names, attributes)
    assert status == 0, output
    text = host.read("/tmp/rb-network.ks")
    assert text.splitlines() == expected
    for release in ("RHEL8", "RHEL9", "RHEL10"):
        KickstartParser(makeVersion(release)).readKickstartFromString(text)


@pytest.mark.parametrize(("names", "attributes", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(
    compile_shipped: Compile, host: Tree, names: list[str], attributes: dict[str, str], message: str
) -> None:
    status, output = find(compile_shipped, host, names, attributes)
    assert status == 1
    assert message in output.splitlines()[-1]
    assert not (host.root / "tmp/rb-network.ks").exists()
