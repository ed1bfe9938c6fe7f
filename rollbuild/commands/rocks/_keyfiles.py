"""The files by which NetworkManager knows the interfaces of a host, from the database."""

import ipaddress
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollbuild.cluster import Interface, Network, Route

FOLDER = "/etc/NetworkManager/system-connections"
_INFINIBAND_MAC = 59
_USUAL_MTU = 1500
_DEFAULT = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Keyfile:
    """A file of the host, to be readable by root alone; NetworkManager ignores it otherwise."""

    device: str
    text: str

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.device}.nmconnection"


def make_keyfiles(
    interfaces: "Sequence[Interface]",
    networks: "Mapping[str, Network]",
    routes: "Iterable[Route]",
    attributes: Mapping[str, str],
) -> tuple[Keyfile, ...]:
    """A file for each interface of one host; `routes` and `attributes` are those that the host has.

    An interface whose channel is another one's device is a port of that bond. The ids are those that the node
    `interfaces` of the base roll gives, so that the installed host has each connection once.
    """
    return tuple(
        Keyfile(one.device, _text(one, interfaces, networks, tuple(routes), attributes))
        for one in interfaces
        if ":" not in one.device and not one.device.startswith("ipmi")
    )


def _text(
    one: "Interface",
    all_of_host: "Sequence[Interface]",
    networks: "Mapping[str, Network]",
    routes: "Sequence[Route]",
    attributes: Mapping[str, str],
) -> str:
    network = networks.get(one.network)
    master = next((other for other in all_of_host if one.channel and other.device == one.channel), None)
    kind = _kind(one, all_of_host)
    sections: dict[str, list[str]] = {
        "connection": [f"id={one.device}", f"uuid={connection_id(one.host, one.device)}", f"type={kind}"]
    }
    if kind != "ethernet" or not one.mac:
        sections["connection"].append(f"interface-name={one.device}")
    if kind == "bond":
        sections["connection"].append("autoconnect-slaves=1")
    if master is not None:
        sections["connection"] += [f"master={master.device}", "slave-type=bond"]
    sections[kind if kind == "infiniband" else "ethernet"] = _link(one, kind, network)
    if kind == "bond":
        options = [option.strip() for option in one.options.replace(" ", ",").split(",") if "=" in option]
        sections["bond"] = options or ["mode=active-backup", "miimon=100"]
    if kind == "vlan":
        sections["vlan"] = ["flags=1", f"id={one.vlan}", f"parent={_parent(one, all_of_host)}"]
    if master is None:
        sections["ipv4"] = _ipv4(one, network, routes, attributes)
        sections["ipv6"] = ["method=disabled"]
    parts = ("\n".join((f"[{name}]", *lines, "")) for name, lines in sections.items() if lines)
    return "\n".join(parts)


def connection_id(host: str, device: str) -> uuid.UUID:
    """The same at every install."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{host}/{device}")


def _kind(one: "Interface", all_of_host: "Sequence[Interface]") -> str:
    if any(other.channel == one.device for other in all_of_host):
        return "bond"
    if one.vlan is not None:
        return "vlan"
    return "infiniband" if len(one.mac) == _INFINIBAND_MAC else "ethernet"


def _parent(one: "Interface", all_of_host: "Sequence[Interface]") -> str:
    """What a VLAN runs on: the device before the dot, else the host's other interface on the same network."""
    device, dot, _ = one.device.partition(".")
    if dot:
        return device
    candidates = [other for other in all_of_host if other.vlan is None and other.mac]
    same = [other for other in candidates if other.network == one.network]
    return next((other.device for other in (*same, *candidates)), device)


def _link(one: "Interface", kind: str, network: "Network | None") -> list[str]:
    lines = []
    if one.mac and kind in ("ethernet", "infiniband"):
        lines.append(f"mac-address={one.mac}")
    elif one.mac and kind == "bond":
        lines.append(f"cloned-mac-address={one.mac}")
    if kind == "infiniband":
        lines.insert(0, "transport-mode=datagram")
    if network is not None and network.mtu != _USUAL_MTU:
        lines.append(f"mtu={network.mtu}")
    return lines


def _ipv4(
    one: "Interface", network: "Network | None", routes: "Sequence[Route]", attributes: Mapping[str, str]
) -> list[str]:
    if not one.address or network is None:
        return ["method=disabled"]
    lines = ["method=manual", f"address1={one.address}/{network.network.prefixlen}"]
    has_default = any(route.destination == _DEFAULT for route in routes)
    gateway = "" if has_default else attributes.get("Kickstart_PrivateGateway", "")
    further: list[str] = []
    for route in routes:
        is_ours = route.network == one.network if route.network else _is_in(route.gateway, network)
        if not is_ours:
            continue
        if route.destination == _DEFAULT and route.gateway:
            gateway = route.gateway
        else:
            further.append(f"{route.destination},{route.gateway}" if route.gateway else route.destination)
    if gateway and gateway != one.address and _is_in(gateway, network):
        lines.append(f"gateway={gateway}")
    else:
        lines.append("never-default=true")
    lines += [f"route{number}={text}" for number, text in enumerate(further, 1)]
    if one.network == "private":
        servers = attributes.get("Kickstart_PrivateDNSServers", "").replace(",", " ").split()
        if servers:
            lines.append(f"dns={';'.join(servers)};")
        if network.zone:
            lines.append(f"dns-search={network.zone};")
    return lines


def _is_in(address: str, network: "Network") -> bool:
    try:
        return ipaddress.IPv4Address(address) in network.network
    except ValueError:
        return False
