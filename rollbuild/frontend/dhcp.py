"""Configuration of DHCP: the files that the rolls write at the front end's install, from the database."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from rollbuild.findings import Finding, error
from rollbuild.frontend.site import Site, is_name
from rollbuild.frontend.snapshot import Snapshot
from rollbuild.frontend.templatedata import primary_interface
from rollbuild.media import Loaders, is_address, is_mac

DEFAULT_LOADERS = Loaders("pxelinux.0", "grub/shimx64.efi", "EFI/BOOT/BOOTX64.EFI")
"""What the rolls put into the netboot tree at the front end's install."""

_MAC_LENGTH = 17


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that only one host gets, whichever of these interfaces asks."""

    name: str
    address: str
    macs: tuple[str, ...]


def make_reservations(snapshot: Snapshot, site: Site) -> tuple[tuple[Reservation, ...], tuple[Finding, ...]]:
    """Who gets which address on the network that hosts boot on, and errors on what was left out.

    Interfaces without a network get the address that the host boots with, so that any of its ports may be plugged
    in. Interfaces of VLANs do not boot; InfiniBand addresses, which are longer, are no business of DHCP by Ethernet.
    """
    found: list[Reservation] = []
    findings: list[Finding] = []
    macs: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for host in snapshot.hosts:
        interfaces = snapshot.interfaces_of(host)
        primary = primary_interface(interfaces)
        for interface in interfaces:
            if not interface.address or interface.vlan is not None:
                continue
            asking = [interface]
            if interface is primary:
                asking += [other for other in interfaces if not (other.address or other.network)]
            own = [other.mac.lower() for other in asking if other.mac and len(other.mac) <= _MAC_LENGTH]
            if not own or (is_address(interface.address) and not _is_inside(interface.address, site)):
                continue
            wrong = _find_wrong(host.name, interface.address, own, macs, addresses)
            if wrong:
                findings.append(error("BOOT-HOST", f"host {host.name!r} gets no address by DHCP: {wrong}"))
                continue
            addresses[interface.address] = host.name
            macs |= dict.fromkeys(own, host.name)
            found.append(Reservation(host.name, interface.address, tuple(own)))
    return tuple(found), tuple(findings)


def _is_inside(address: str, site: Site) -> bool:
    number = int.from_bytes(socket.inet_aton(address), "big")
    return number & int(site.network.netmask) == int(site.network.network_address)


def _find_wrong(name: str, address: str, own: Sequence[str], macs: dict[str, str], addresses: dict[str, str]) -> str:
    if not is_name(name):
        return "its name is none that DNS takes"
    if not is_address(address):
        return f"{address!r} is no address"
    if address in addresses:
        return f"{addresses[address]} has {address} too"
    for mac in own:
        if not is_mac(mac):
            return f"{mac!r} is no MAC address"
        if mac in macs:
            return f"{macs[mac]} has the MAC address {mac} too"
    return ""


def dnsmasq_hosts(reservations: Sequence[Reservation]) -> bytes:
    """The text of /etc/rollbuild/dhcp-hosts."""
    rows = (f"{','.join(row.macs)},{row.address},{row.name}\n" for row in reservations)
    return "".join(rows).encode()


def dnsmasq_dhcp(site: Site, loaders: Loaders = DEFAULT_LOADERS) -> bytes:
    """The text of /etc/dnsmasq.d/rollbuild-dhcp.conf."""
    server = site.server
    lines = [
        f"dhcp-range={site.network.network_address},static,{site.network.netmask},{site.lease}",
        "dhcp-authoritative",
        "dhcp-ignore=tag:!known",
        "dhcp-hostsfile=/etc/rollbuild/dhcp-hosts",
        f"dhcp-option=option:router,{site.gateway}",
        f"dhcp-option=option:dns-server,{','.join(site.nameservers)}",
        f"dhcp-option=option:domain-search,{site.domain}",
        "log-dhcp",
        "# Which loader a firmware can run: 0 is BIOS, 7 and 9 are UEFI, 16 is UEFI that boots by HTTP.",
        "dhcp-match=set:bios,option:client-arch,0",
        "dhcp-match=set:uefi,option:client-arch,7",
        "dhcp-match=set:uefi,option:client-arch,9",
        "dhcp-match=set:uefi-http,option:client-arch,16",
        "dhcp-userclass=set:ipxe,iPXE",
        "# Where the name of the file stands in an option, shim does not find the folder that it came from.",
        "dhcp-no-override",
    ]
    if loaders.bios:
        lines.append(f"dhcp-boot=tag:bios,tag:!ipxe,{loaders.bios},,{server}")
    if loaders.uefi:
        lines.append(f"dhcp-boot=tag:uefi,tag:!ipxe,{loaders.uefi},,{server}")
    if loaders.uefi_http:
        lines.append(f"dhcp-boot=tag:uefi-http,{site.netboot_url}/{loaders.uefi_http}")
        lines.append("dhcp-option-force=tag:uefi-http,option:vendor-class,HTTPClient")
    lines.append(f"dhcp-boot=tag:ipxe,{site.netboot_url}/{loaders.ipxe}")
    return "".join(f"{line}\n" for line in lines).encode()


def dnsmasq_names(site: Site) -> bytes:
    """The text of /etc/dnsmasq.d/rollbuild.conf."""
    return f"""listen-address=127.0.0.1,{site.server}
bind-dynamic
domain-needed
bogus-priv
domain={site.domain}
local=/{site.domain}/
expand-hosts
no-hosts
addn-hosts=/etc/rollbuild/hosts
# Where NetworkManager says which name servers the world has; /etc/resolv.conf names dnsmasq itself.
resolv-file=/run/NetworkManager/resolv.conf
""".encode()


def dnsmasq_tftp() -> bytes:
    """The text of /etc/dnsmasq.d/rollbuild-tftp.conf."""
    return b"enable-tftp\ntftp-root=/export/install/netboot\n"


def kea_dhcp(reservations: Sequence[Reservation], site: Site, loaders: Loaders = DEFAULT_LOADERS) -> bytes:
    """The text of /etc/kea/kea-dhcp4.conf."""
    quoted, web = json.dumps, site.netboot_url
    classes = [f'{{ "name": "ipxe", "test": "option[77].hex == \'iPXE\'",\n        {_boot(f"{web}/{loaders.ipxe}")} }}']
    for name, test, loader in (
        ("bios", "option[93].hex == 0x0000", loaders.bios),
        ("uefi", "(option[93].hex == 0x0007 or option[93].hex == 0x0009)", loaders.uefi),
    ):
        if loader:
            classes.append(
                f'{{ "name": "{name}", "test": "{test} and not member(\'ipxe\')",\n'
                f'        "next-server": "{site.server}", {_boot(loader)} }}'
            )
    if loaders.uefi_http:
        classes.append(
            '{ "name": "uefi-http", "test": "option[93].hex == 0x0010 and not member(\'ipxe\')",\n'
            f"        {_boot(f'{web}/{loaders.uefi_http}')},\n"
            '        "option-data": [ { "name": "vendor-class-identifier", "data": "HTTPClient",'
            ' "always-send": true } ] }'
        )
    options = [
        ("routers", site.gateway),
        ("domain-name-servers", ",".join(site.nameservers)),
        ("domain-name", site.domain),
        ("domain-search", site.domain),
    ]
    rows = [
        json.dumps({"hostname": row.name, "hw-address": mac, "ip-address": row.address})
        for row in reservations
        for mac in row.macs
    ]
    # Kea wants to be told where several interfaces share an address.
    shared = '\n    "ip-reservations-unique": false,' if len(rows) > len(reservations) else ""
    option_lines = ",\n".join(
        f'          {{ "name": "{name}", "data": {quoted(data)} }}' for name, data in options if data
    )
    row_lines = "".join(f"          {row}{',' if number < len(rows) else ''}\n" for number, row in enumerate(rows, 1))
    return f"""{{
  "Dhcp4": {{
    "interfaces-config": {{ "interfaces": [ "*" ], "dhcp-socket-type": "raw",
      "service-sockets-max-retries": 120, "service-sockets-retry-wait-time": 5000 }},
    "lease-database": {{ "type": "memfile", "persist": true, "name": "/var/lib/kea/kea-leases4.csv" }},
    "valid-lifetime": {site.lease},{shared}
    "loggers": [
      {{ "name": "kea-dhcp4", "severity": "INFO", "output_options": [ {{ "output": "syslog" }} ] }}
    ],
    "client-classes": [
      {(chr(44) + chr(10) + " " * 6).join(classes)}
    ],
    "subnet4": [
      {{
        "id": 1,
        "subnet": "{site.network}",
        "authoritative": true,
        "option-data": [
{option_lines}
        ],
        "reservations": [
{row_lines}        ]
      }}
    ]
  }}
}}
""".encode()


def _boot(path: str) -> str:
    return f'"boot-file-name": {json.dumps(path)}'
