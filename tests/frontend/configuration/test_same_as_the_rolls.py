"""What the database gives is what the rolls write at the front end's install for the same data, byte by byte."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollbuild.cluster import (
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    attribute_set,
    list_hosts,
    list_interfaces,
    list_networks,
    set_attribute,
)
from rollbuild.compiler import Compiler, Profile, Target
from rollbuild.frontend import FrontEnd, apply_configuration
from rollbuild.frontend.templatedata import describe_cluster
from rollbuild.language import collect_defaults, complete, find_rolls, read_description
from rollbuild.releases import load_release
from tests.frontend.configuration.conftest import add
from tests.shipped.conftest import FOLDERS, Tree
from tests.shipped.test_frontend import install, prepare

FILES = {
    "/etc/rollbuild/hosts": "cluster-dns",
    "/etc/dnsmasq.d/rollbuild.conf": "cluster-dns",
    "/etc/dnsmasq.d/rollbuild-tftp.conf": "netboot",
    "/etc/rollbuild/dhcp-hosts": "dhcp-dnsmasq",
    "/etc/dnsmasq.d/rollbuild-dhcp.conf": "dhcp-dnsmasq",
    "/etc/kea/kea-dhcp4.conf": "dhcp-kea",
}
SITES: dict[str, dict[str, str]] = {
    "as declared": {},
    "Kea": {"dhcp_server": "kea"},
    "another network": {
        "Kickstart_PrivateAddress": "172.20.4.9",
        "Kickstart_PrivateNetwork": "172.20.4.0",
        "Kickstart_PrivateNetmask": "255.255.252.0",
        "Kickstart_PrivateNetmaskCIDR": "22",
        "Kickstart_PrivateGateway": "172.20.4.1",
        "Kickstart_PrivateDNSServers": "172.20.4.9,172.20.4.10",
        "Kickstart_PrivateDNSDomain": "cluster.example.org",
        "Kickstart_PrivateKickstartHost": "172.20.4.9",
        "Kickstart_PrivateKickstartBasedir": "trees/install",
        "dhcp_lease": "600",
    },
}
SITES["another network, Kea"] = {**SITES["another network"], "dhcp_server": "kea"}


@pytest.fixture
def host(tmp_path: Path) -> Tree:
    root, programs = tmp_path / "host", tmp_path / "programs"
    programs.mkdir()
    for name in ("etc/systemd/system", "tmp", "root"):
        (root / name).mkdir(parents=True)
    return Tree(root, programs, tmp_path / "calls")


def compile_front_end(data: Mapping[str, Any], attributes: Mapping[str, str]) -> Profile:
    rolls = find_rolls(FOLDERS)
    defaults = collect_defaults(declaration for roll in rolls for declaration in roll.declarations())
    name = "frontend"
    texts = defaults.resolve_texts(os="linux", appliance=name, rack="0", host=name)
    names = {"root": name, "appliance": name, "membership": "Frontend", "hostname": name}
    values = complete({**texts, **attributes}, **names, os_release="el9", graph="default")
    compiler = Compiler(read_description(rolls), load_release("el9"), dict(data))
    return compiler.compile(Target(name, name, name, values))


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_files_are_those_of_the_rolls(bare: FrontEnd, root: Path, host: Tree, site: dict[str, str]) -> None:
    base = site.get("Kickstart_PrivateNetwork", "10.1.0.0").rpartition(".")[0]
    mask = site.get("Kickstart_PrivateNetmask", "255.255.0.0")
    domain = site.get("Kickstart_PrivateDNSDomain", "cluster.internal")
    site = {"Kickstart_PrivateHostname": "granite", **site}
    with bare.database.writing("fill") as c:
        for name, value in site.items():
            set_attribute(c, "global", "", name, value)
        add_network(c, Network("private", f"{base}.0", mask, zone=domain, serves_dns=True))
        add_network(c, Network("public", "192.0.2.0", "255.255.255.0", zone="example.org"))
        add_network(c, Network("storage", "10.200.0.0", "255.255.0.0"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eno2", address="192.0.2.1", network="public"))
        address = site.get("Kickstart_PrivateAddress", "10.1.1.1")
        add_interface(c, Interface("granite", "eno1", "52:54:00:aa:00:99", address, "private"))
    for number in range(12):
        add(bare, f"compute-0-{number}", f"52:54:00:aa:00:{number:02x}", f"{base}.{100 + number}", rank=number)
    with bare.database.writing("more") as c:
        add_interface(c, Interface("compute-0-3", "eno2", "52:54:00:ab:00:01", f"{base}.60", "private"))
        add_interface(c, Interface("compute-0-3", "eno3", "52:54:00:ab:00:02", "10.200.0.3", "storage"))
        add_interface(c, Interface("compute-0-3", "eno4", "52:54:00:ab:00:03", "192.0.2.3", "public"))
        add_host(c, "login-0-0", appliance="login", rack=0, rank=0)  # its machine is not there yet
    with bare.database.reading() as c:
        data = describe_cluster(list_hosts(c), list_interfaces(c), list_networks(c), attribute_set(c))
    applied = apply_configuration(bare)
    assert applied.is_complete, (applied.refused, applied.findings)
    kind = "dhcp-kea" if site.get("dhcp_server") == "kea" else "dhcp-dnsmasq"
    profile = compile_front_end(data, site)
    install(prepare(host), profile, "cluster-dns", "netboot", kind)
    checked = 0
    for path, node in FILES.items():
        if node not in ("cluster-dns", "netboot", kind):
            assert not (root / path.lstrip("/")).exists()
            continue
        checked += 1
        ours = (root / path.lstrip("/")).read_text()
        theirs = host.read(path)
        if path == "/etc/rollbuild/hosts":
            # The rolls, which know no front end by its name, write the front end's own line again.
            own, *rest = theirs.splitlines(keepends=True)
            theirs = own + "".join(line for line in rest if line != own)
        assert ours == theirs, path
    assert checked == (4 if kind == "dhcp-kea" else 5)
