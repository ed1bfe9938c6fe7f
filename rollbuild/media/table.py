"""The table of hosts that boot from the network: one row a host, from which every loader's files are made."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollbuild.errors import FindingsError
from rollbuild.findings import Finding, error
from rollbuild.location import Location

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
# Ten times as quick as having ipaddress try, which counts where there are ten thousand.
_ADDRESS = re.compile(rf"{_BYTE}(\.{_BYTE}){{3}}\Z")
_HOST_NAME = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\Z"
)


class BootAction(StrEnum):
    """What a host does when it boots from the network: `os` starts its local disk, `run` a kernel of the site's own."""

    OS = "os"
    INSTALL = "install"
    RESCUE = "rescue"
    RUN = "run"


_OF_INSTALLER = (BootAction.OS, BootAction.INSTALL, BootAction.RESCUE)
"""What a person may ask for without naming a kernel."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A host as a person wrote it; nothing of it is checked yet."""

    name: str
    mac: str
    address: str
    action: str
    location: Location
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BootHost:
    """A row. `mac` has lower-case digits and colons; `kernel`, `initrd` (from the netboot tree) and `arguments` are
    empty for hosts that start their local disk. `extra_initrd` is loaded after `initrd`, where there is one."""

    name: str
    mac: str
    address: str
    action: BootAction
    kernel: str = ""
    initrd: str = ""
    arguments: tuple[str, ...] = ()
    extra_initrd: str = ""

    @property
    def dashed_mac(self) -> str:
        """`01-aa-bb-cc-dd-ee-ff`: hardware type 1 (Ethernet) before it, as pxelinux and GRUB name files."""
        return f"01-{self.mac.replace(':', '-')}"

    @property
    def hex_address(self) -> str:
        """The address as eight upper-case hexadecimal digits, as pxelinux and GRUB name files."""
        return f"{int(ipaddress.IPv4Address(self.address)):08X}"


@dataclass(frozen=True, slots=True)
class BootNetwork:
    """The network that hosts boot on.

    `server` is the front end's address there; `url` is the netboot tree over HTTP, without a slash at its end.
    """

    server: ipaddress.IPv4Address
    network: ipaddress.IPv4Network
    url: str
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    domain: str = ""


def check_hosts(entries: Iterable[HostEntry], network: BootNetwork) -> Mapping[str, HostEntry]:
    """The hosts by name, with MAC addresses in one spelling.

    Raises FindingsError with everything that is wrong: malformed, multicast or doubled MAC addresses, addresses
    outside of the network or doubled or taken by the server or the gateway, names that DNS does not take.
    """
    findings: list[Finding] = []
    hosts: dict[str, HostEntry] = {}
    macs: dict[str, str] = {}
    addresses: dict[str, str] = {str(network.server): "the front end"}
    if network.gateway:
        addresses.setdefault(network.gateway, "the gateway")
    for entry in entries:
        mac = spell_mac(entry.mac)
        wrong = [*_wrong_name(entry, hosts), *_wrong_mac(entry, mac, macs), *_wrong_address(entry, network, addresses)]
        if entry.action not in _OF_INSTALLER:
            known = ", ".join(_OF_INSTALLER)
            wrong.append((f"host {entry.name}: there is no boot action {entry.action!r}", f"there is: {known}"))
        findings += (error("BOOT-HOST", message, entry.location, hint) for message, hint in wrong)
        macs.setdefault(mac, entry.name)
        addresses.setdefault(entry.address, f"host {entry.name}")
        hosts.setdefault(
            entry.name, HostEntry(entry.name, mac, entry.address, entry.action, entry.location, entry.arguments)
        )
    if findings:
        raise FindingsError(findings)
    return hosts


def spell_mac(text: str) -> str:
    """A MAC address with lower-case digits and colons, from any of its usual spellings; else the text as it is."""
    digits = re.sub(r"[:.-]", "", text.strip().lower())
    if re.fullmatch(r"[0-9a-f]{12}", digits):
        return ":".join(digits[index : index + 2] for index in range(0, 12, 2))
    return text.strip()


def is_mac(text: str) -> bool:
    """Whether this is the MAC address of an interface: lower-case digits and colons, and not that of a group."""
    return bool(_MAC.match(text)) and not int(text[:2], 16) & 1 and text != "00:00:00:00:00:00"


def is_address(text: str) -> bool:
    """Whether this is an IPv4 address."""
    return bool(_ADDRESS.match(text))


def _wrong_name(entry: HostEntry, hosts: Mapping[str, HostEntry]) -> Iterable[tuple[str, str]]:
    if not _HOST_NAME.match(entry.name) or len(entry.name) > 253:
        yield f"{entry.name!r} is no host name", "letters, digits and dashes are allowed, and dots between labels"
    if entry.name in hosts:
        yield f"host {entry.name} is named twice, first at {hosts[entry.name].location}", ""


def _wrong_mac(entry: HostEntry, mac: str, macs: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    if not mac:
        yield f"host {entry.name} has no MAC address", "without one its loader cannot tell it from others"
    elif not _MAC.match(mac):
        yield f"host {entry.name}: {entry.mac!r} is no MAC address", "it has six pairs of hexadecimal digits"
    elif int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        yield f"host {entry.name}: no interface has the MAC address {mac}", "it is a group's, or none"
    elif mac in macs:
        yield f"hosts {macs[mac]} and {entry.name} both have the MAC address {mac}", ""


def _wrong_address(entry: HostEntry, network: BootNetwork, addresses: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    try:
        address = ipaddress.IPv4Address(entry.address)
    except ValueError:
        what = f"{entry.address!r} is no IPv4 address" if entry.address else "it has no address"
        yield f"host {entry.name}: {what}", "the hosts file gives it as the attribute `address`"
        return
    ends = (network.network.network_address, network.network.broadcast_address)
    if address not in network.network or address in ends:
        yield f"host {entry.name}: {address} is no address of a host in {network.network}", ""
    elif entry.address in addresses:
        yield f"host {entry.name}: {address} is the address of {addresses[entry.address]} too", ""
