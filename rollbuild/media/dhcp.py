"""Configuration of DHCP servers for a netboot tree: dnsmasq and Kea, from the same table as the loaders' files."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.media.loaders import Loaders
from rollbuild.media.menus import Menus
from rollbuild.media.table import BootHost, BootNetwork

# RFC 4578 and the IANA list of processor architectures: what a firmware says of itself in option 93.
_BIOS, _UEFI, _UEFI_HTTP = (0,), (7, 9), (16,)
_ROWS = "(rows)"  # stands for the reservations until they are written
_PLAIN_PATH = re.compile(r"/[\w./+@:-]*")


def dhcp_files(
    hosts: Sequence[BootHost], network: BootNetwork, menus: Menus, loaders: Loaders, *, tftp_root: str
) -> Iterator[tuple[str, bytes]]:
    """(path from the tree, content) of the servers' configuration.

    Only hosts of the table get an answer: what else asks starts from its own disk. `tftp_root` is the tree's folder,
    which dnsmasq serves by TFTP; Kea needs a TFTP server beside it. Raises RollbuildError for a path that dnsmasq
    would read otherwise.
    """
    if not _PLAIN_PATH.fullmatch(tftp_root):
        raise RollbuildError(
            f"the path {tftp_root!r} cannot stand in the configuration of dnsmasq",
            hint="use letters, digits and /._-+@: in it; --tftp-root names where the serving machine has the tree",
        )
    values = {"network": network, "hosts": hosts, "loaders": loaders, "tftp_root": tftp_root}
    yield "dhcp/dnsmasq.conf", menus.write("dnsmasq", values)
    yield "dhcp/dnsmasq.hosts", menus.write("dnsmasq-hosts", values)
    # A reservation each line.
    rows = (json.dumps({"hw-address": host.mac, "ip-address": host.address, "hostname": host.name}) for host in hosts)
    lines = "".join(f"\n          {row}," for row in rows).rstrip(",")
    text = json.dumps(_kea(network, loaders), indent=2).replace(f'"{_ROWS}"', lines)
    yield "dhcp/kea-dhcp4.json", f"{text}\n".encode()


def _kea(network: BootNetwork, loaders: Loaders) -> dict[str, Any]:
    server = str(network.server)
    classes: list[dict[str, Any]] = []
    if loaders.ipxe:
        url = f"{network.url}/{loaders.ipxe}"
        classes.append({"name": "ipxe", "test": "option[77].hex == 'iPXE'", "boot-file-name": url})
    first = "" if not loaders.ipxe else " and not member('ipxe')"
    for name, numbers, loader in (("bios", _BIOS, loaders.bios), ("uefi", _UEFI, loaders.uefi)):
        if loader:
            test = _one_of(numbers) + first
            classes.append({"name": name, "test": test, "next-server": server, "boot-file-name": loader})
    if loaders.uefi_http:
        classes.append(
            {
                "name": "uefi-http",
                "test": _one_of(_UEFI_HTTP) + first,
                "boot-file-name": f"{network.url}/{loaders.uefi_http}",
                # The firmware takes the answer only when it says that it is one for HTTP Boot.
                "option-data": [{"name": "vendor-class-identifier", "data": "HTTPClient", "always-send": True}],
            }
        )
    options = [
        ("routers", network.gateway),
        ("domain-name-servers", ", ".join(network.nameservers)),
        ("domain-name", network.domain),
        ("domain-search", network.domain),
    ]
    subnet = {
        "id": 1,
        "subnet": str(network.network),
        "authoritative": True,
        "option-data": [{"name": name, "data": data} for name, data in options if data],
        "reservations": [_ROWS],
    }
    content: dict[str, Any] = {
        "interfaces-config": {
            "interfaces": ["*"],
            "dhcp-socket-type": "raw",
            # An interface whose link comes up later is tried again, every five seconds for ten minutes.
            "service-sockets-max-retries": 120,
            "service-sockets-retry-wait-time": 5000,
        },
        "lease-database": {"type": "memfile", "persist": True, "name": "/var/lib/kea/kea-leases4.csv"},
        "valid-lifetime": 3600,
    }
    if classes:  # Kea refuses an empty list of them
        content["client-classes"] = classes
    return {"Dhcp4": {**content, "subnet4": [subnet]}}


def _one_of(numbers: Sequence[int]) -> str:
    tests = " or ".join(f"option[93].hex == 0x{number:04x}" for number in numbers)
    return f"({tests})" if len(numbers) > 1 else tests
