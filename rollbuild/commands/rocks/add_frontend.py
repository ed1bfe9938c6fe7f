"""`rocks add frontend`: a fresh database becomes that of this machine's cluster."""

import ipaddress
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Call, Parameter, RocksCommand
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import system_path, system_root
from rollbuild.findings import error
from rollbuild.language import Appliance as GraphAppliance
from rollbuild.language import AttributeSet, collect_defaults, find_rolls, read_attributes

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SITE = "/etc/rollbuild/site.yaml"
_DEVICES = "/sys/class/net"


@dataclass(frozen=True, slots=True)
class _Device:
    """An interface of this machine: its addresses with the bits of their networks."""

    name: str
    mac: str
    addresses: tuple[ipaddress.IPv4Interface, ...] = ()


def _add_frontend(call: Call) -> None:
    from rollbuild.cluster import list_hosts

    with call.reading() as connection:
        there = [host.name for host in list_hosts(connection) if host.appliance == "frontend" and not host.is_vm]
    if there:
        hint = "rocks set attr and rocks set host change it; a cluster has one front end"
        raise RollbuildError(f"there is a front end already: {there[0]}", hint=hint)
    path = call.parameters["attrs"] or str(system_path(_SITE))
    given = read_attributes(path)
    defaults, appliances = _read_description(call, given)
    values = defaults.merge(given).resolve_texts(os="linux", appliance="frontend", rack="0", host="")
    site = _Site(values, has_defaults=bool(defaults.layers))
    devices = _read_devices()
    with call.writing() as connection:
        _add_appliances(call, connection, appliances)
        site.add_networks(connection, devices)
        site.add_host(call, connection, devices)
        _set_attributes(call, connection, given)
    call.console.say(f"the front end is {site.name}, {site.address} on {site.network}")


def _read_description(call: Call, given: AttributeSet) -> tuple[AttributeSet, tuple[GraphAppliance, ...]]:
    """What the rolls declare: the defaults of attributes, and the appliances of their graphs."""
    from rollbuild.distribution import read_provenance
    from rollbuild.frontend import choose_distribution
    from rollbuild.workspace import Choice, make_workspace

    if folders := call.parameters["rolls"].split(":") if call.parameters["rolls"] else []:
        rolls = find_rolls(folders)
        return collect_defaults(known for roll in rolls for known in roll.declarations()), ()
    named = given.resolve_texts(os="linux", appliance="", rack="", host="").get("distribution", "")
    try:
        generation = choose_distribution(call.front_end.store, named)
    except RollbuildError as problem:
        call.console.say(f"no defaults of rolls are known: {problem.message}")
        return AttributeSet(), ()
    release = read_provenance(generation.folder).os_release
    workspace = make_workspace(Choice(rolls=(str(generation.folder / "description"),), os_release=release))
    return collect_defaults(workspace.declared.values()), workspace.appliances()


class _Site:
    """The facts of the site that networks and the front end's host are made of. Raises FindingsError for all faults."""

    def __init__(self, values: Mapping[str, str], *, has_defaults: bool) -> None:
        self._values = values
        self._faults: list[str] = []
        self.name = values.get("Kickstart_PrivateHostname", "").partition(".")[0].lower() or "frontend"
        self.domain = values.get("Kickstart_PrivateDNSDomain", "") or "cluster.internal"
        self.address, self.network = self._read("Private", needed=True)
        self.public_address, self.public_network = self._read("Public", needed=False)
        if self.network and self.public_network and self.network.overlaps(self.public_network):
            self._faults.append(f"the public network {self.public_network} overlaps with the private {self.network}")
        self.mtu = values.get("private_mtu", "") or "1500"
        if not self.mtu.isdecimal():
            self._faults.append(f"private_mtu is no number: {self.mtu}")
        if self._faults:
            hint = f"correct {_SITE}, or make it: rollbuild init"
            if not has_defaults:
                # `rollbuild init` leaves out what is as the rolls have it.
                hint = f"{_SITE} has only what differs from the rolls: `rocks create distro` first, or rolls="
            raise FindingsError(error("SITE", fault, hint=hint) for fault in self._faults)

    def _read(self, which: str, *, needed: bool) -> tuple[str, ipaddress.IPv4Network | None]:
        address = self._values.get(f"Kickstart_{which}Address", "")
        if not address:
            if needed:
                self._faults.append("Kickstart_PrivateAddress is not set: nothing says where the front end is")
            return "", None
        mask = self._values.get(f"Kickstart_{which}Netmask", "") or "255.255.255.0"
        try:
            both = ipaddress.IPv4Interface(f"{address}/{mask}")
        except ValueError:
            self._faults.append(f"Kickstart_{which}Address and its netmask are no address: {address} {mask}")
            return "", None
        return str(both.ip), both.network

    def add_networks(self, connection: "Connection", devices: tuple[_Device, ...]) -> None:
        from rollbuild.cluster import Network, add_network

        assert self.network is not None  # noqa: S101 - or the constructor had raised
        whole = self.network
        address, netmask = str(whole.network_address), str(whole.netmask)
        add_network(connection, Network("private", address, netmask, int(self.mtu), self.domain, True))
        if self.public_network is None:
            self._find_public(devices)
        if self.public_network is not None:
            public = self.public_network
            zone = self._values.get("Kickstart_PublicHostname", "").partition(".")[2].lower()
            zone = "" if zone == self.domain else zone
            add_network(connection, Network("public", str(public.network_address), str(public.netmask), zone=zone))

    def _find_public(self, devices: tuple[_Device, ...]) -> None:
        """With DHCP in the world, the network that this machine has an address of there."""
        for device in devices:
            for address in device.addresses:
                if self.network is not None and not address.network.overlaps(self.network):
                    self.public_address, self.public_network = str(address.ip), address.network
                    return

    def add_host(self, call: Call, connection: "Connection", devices: tuple[_Device, ...]) -> None:
        from rollbuild.cluster import Interface, add_host, add_interface

        add_host(
            connection,
            self.name,
            appliance="frontend",
            rack=0,
            rank=0,
            cpus=os.cpu_count() or 1,
            arch=platform.machine() or "x86_64",
        )
        taken: set[str] = set()
        name = self._values.get("Kickstart_PublicHostname", "").partition(".")[0].lower()
        for which, network, address in (
            ("Private", "private", self.address),
            ("Public", "public", self.public_address),
        ):
            if not address:
                continue
            device = _find_device(devices, address, self._values.get(f"Kickstart_{which}Interface", ""), taken)
            taken.add(device.name)
            own = name if which == "Public" and name != self.name else ""
            add_interface(connection, Interface(self.name, device.name, device.mac, address, network, own))
            if not device.mac:
                call.console.say(f"this machine has no interface {device.name}: its MAC is left open")


def _find_device(devices: tuple[_Device, ...], address: str, named: str, taken: set[str]) -> _Device:
    """The interface that has the address; else the one that is named, by device or MAC; else the next of its kind."""
    for device in devices:
        if device.name not in taken and any(str(one.ip) == address for one in device.addresses):
            return device
    for device in devices:
        if device.name not in taken and named.lower() in (device.name, device.mac):
            return device
    if named and ":" not in named:
        return _Device(named, "")
    return _Device(next(f"eth{number}" for number in range(16) if f"eth{number}" not in taken), "")


def _read_devices() -> tuple[_Device, ...]:
    """The Ethernet interfaces of this machine; their addresses only where the files of this machine are used."""
    addresses: dict[str, list[ipaddress.IPv4Interface]] = {}
    if str(system_root()) == "/":
        from rollbuild.process import run_program

        try:
            for entry in json.loads(run_program(["ip", "-json", "-4", "address", "show"], timeout=10).stdout or b"[]"):
                for one in entry.get("addr_info", ()):
                    if one.get("scope") == "global":
                        whole = ipaddress.IPv4Interface(f"{one['local']}/{one['prefixlen']}")
                        addresses.setdefault(str(entry.get("ifname")), []).append(whole)
        except (RollbuildError, ValueError, KeyError, TypeError, AttributeError):
            addresses = {}
    found = []
    folder = system_path(_DEVICES)
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return ()
    for name in names:
        try:
            mac = (folder / name / "address").read_text(encoding="ascii").strip().lower()
        except (OSError, ValueError):
            continue
        if mac and mac != "00:00:00:00:00:00":
            found.append(_Device(name, mac, tuple(addresses.get(name, ()))))
    return tuple(found)


def _add_appliances(call: Call, connection: "Connection", appliances: tuple[GraphAppliance, ...]) -> None:
    """The appliances of the graphs that the database does not know yet."""
    from rollbuild.cluster import Appliance, add_appliance, list_appliances

    known = {appliance.name for appliance in list_appliances(connection)}
    for one in appliances:
        if one.name not in known:
            add_appliance(connection, Appliance(one.name, one.membership, root=one.root, is_public=True))
            call.console.detail(f"added the appliance {one.name}")


def _set_attributes(call: Call, connection: "Connection", given: AttributeSet) -> None:
    from rollbuild.cluster import INTRINSIC, list_hosts, set_attributes

    hosts = {host.name for host in list_hosts(connection)}
    for (scope, key), attributes in given.layers.items():
        if scope == "host" and key not in hosts:
            call.console.say(
                f"host {key} is not there yet: its attributes are left out (rocks set host attr {key} ...)"
            )
            continue
        values = {name: attribute.value for name, attribute in attributes.items() if name not in INTRINSIC}
        for name in attributes.keys() & INTRINSIC.keys():
            call.console.say(f"attribute {name} is what a host is by itself, and left out")
        set_attributes(connection, scope, key, values)


FRONTEND = RocksCommand(
    "add frontend",
    _add_frontend,
    parameters=(
        Parameter("attrs", f"The site's attributes, as `rollbuild init` writes them.  [{_SITE}]", completes="file"),
        Parameter("rolls", "Folders of rolls whose defaults hold, with colons between.  [those of the distribution]"),
    ),
    description="Make a fresh database that of this cluster: the networks private and public, the front end with its "
    "interfaces, the site's attributes, the appliances of the distribution. Refused where there is a front end.",
    examples=(("rocks add frontend", ""), ("rocks add frontend attrs=site.yaml", "")),
    changes=True,
)
