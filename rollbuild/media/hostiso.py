"""A medium for one host: its address, and where its Kickstart is, stand in its boot menu."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollbuild.errors import FindingsError
from rollbuild.findings import Finding, error
from rollbuild.location import Location
from rollbuild.media.arguments import StaticNetwork
from rollbuild.media.table import spell_mac

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}\Z")


@dataclass(frozen=True, slots=True)
class HostInstall:
    """A host that installs from the network with an address of its own, without DHCP. `stage2` and `kickstart` are
    URLs, `arguments` further ones of its kernel."""

    name: str
    network: StaticNetwork
    stage2: str
    kickstart: str
    mac: str = ""
    arguments: tuple[str, ...] = ()


def describe_host(
    name: str, attributes: Mapping[str, str], location: Location, *, tree_url: str, kickstart_url: str
) -> HostInstall:
    """What a host's attributes say: address (or ip, hostaddr), netmask, gateway, nameservers, interface, mac (or
    ksmac), installer_options. `kickstart_url` may hold {host}, {mac} and {address}.

    Raises FindingsError with everything that is wrong.
    """
    findings: list[Finding] = []

    def value(*names: str) -> str:
        return next((attributes[one].strip() for one in names if attributes.get(one, "").strip()), "")

    def wrong(message: str, hint: str = "") -> None:
        findings.append(error("BOOT-HOST", f"host {name}: {message}", location, hint))

    address, mask = value("address", "ip", "hostaddr"), value("netmask", "Kickstart_PrivateNetmask")
    interface = None
    hint = "the hosts file gives `address: 10.1.0.5` with `netmask: 255.255.0.0`, or `address: 10.1.0.5/16`"
    if not address:
        wrong("it has no address, and its medium is for hosts without DHCP", hint)
    elif not mask and "/" not in address:
        wrong("it has no netmask", hint)
    else:
        try:
            interface = ipaddress.IPv4Interface(address if "/" in address else f"{address}/{mask}")
        except ValueError:
            wrong(f"{address} with {mask or 'its length'} is no IPv4 address of a network", hint)
    gateway = value("gateway")
    mac = spell_mac(value("mac", "ksmac"))
    servers = tuple(re.split(r"[,\s]+", value("nameservers", "dns"))) if value("nameservers", "dns") else ()
    if interface is not None:
        for problem in _wrong_addresses(interface, gateway, servers):
            wrong(problem)
    if mac and not _MAC.match(mac):
        wrong(f"{mac!r} is no MAC address", "it has six pairs of hexadecimal digits")
    device = value("interface")
    if device and not _INTERFACE.match(device):
        wrong(f"{device!r} is no name of an interface")
    if findings or interface is None:
        raise FindingsError(findings)
    url = kickstart_url.replace("{host}", name).replace("{mac}", mac).replace("{address}", str(interface.ip))
    network = StaticNetwork(interface, gateway, servers, device)
    return HostInstall(name, network, tree_url, url, mac, tuple(value("installer_options").split()))


def _wrong_addresses(interface: ipaddress.IPv4Interface, gateway: str, servers: tuple[str, ...]) -> Iterator[str]:
    network = interface.network
    if network.prefixlen < 31 and interface.ip in (network.network_address, network.broadcast_address):
        yield f"{interface.ip} is no address of a host in {network}"
    for what, text in (("gateway", gateway), *(("name server", server) for server in servers)):
        if not text:
            continue
        try:
            found = ipaddress.IPv4Address(text)
        except ValueError:
            yield f"the {what} {text!r} is no IPv4 address"
            continue
        if what == "gateway" and found not in network:
            yield f"the gateway {found} is not in {network}"
        elif found == interface.ip and what == "gateway":
            yield f"{found} is the gateway's address too"
