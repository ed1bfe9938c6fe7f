"""Names of hosts: what dnsmasq answers for, in the form of a hosts file."""

import re
from collections.abc import Iterator

from rollbuild.cluster import Host, Interface
from rollbuild.findings import Finding, error
from rollbuild.frontend.site import Site, is_name
from rollbuild.frontend.snapshot import Snapshot
from rollbuild.frontend.templatedata import primary_interface
from rollbuild.media import is_address


def hosts_file(snapshot: Snapshot, site: Site, local: bytes = b"") -> tuple[bytes, tuple[Finding, ...]]:
    """The text of /etc/rollbuild/hosts, and errors on what was left out of it.

    The front end's own line comes first; then, for each host, the address that it boots with beside its name and its
    aliases, and its further addresses as NAME.ZONE on a network with a zone of its own, else as NAME-DEVICE. dnsmasq
    appends the cluster's domain to names without one. `local` is what the site appends.
    """
    lines: list[str] = []
    findings: list[Finding] = []
    own = [f"{site.server} {site.hostname}"]
    for host in snapshot.hosts:
        for address, names in _names_of(host, snapshot, site):
            wrong = next((name for name in names if not is_name(name)), None)
            if wrong is not None or not is_address(address):
                what = f"{wrong!r} is no name that DNS takes" if wrong is not None else f"{address!r} is no address"
                findings.append(error("BOOT-HOST", f"host {host.name!r} is left out of DNS: {what}"))
                continue
            if address == str(site.server) and names[0] == site.hostname:
                own += [name for name in names[1:] if name not in own]
                continue
            lines.append(f"{address} {' '.join(dict.fromkeys(names))}\n")
    text = "".join((" ".join(own), "\n", *lines)).encode()
    if local and not local.endswith(b"\n"):
        local += b"\n"
    return text + local, tuple(findings)


def _names_of(host: Host, snapshot: Snapshot, site: Site) -> Iterator[tuple[str, list[str]]]:
    interfaces = snapshot.interfaces_of(host)
    primary = primary_interface(interfaces)
    if primary is not None:
        yield primary.address, [host.name, *filter(None, [primary.name]), *snapshot.aliases.get(host.name, ())]
    for interface in interfaces:
        if interface.address and interface is not primary:
            yield interface.address, [_further_name(host, interface, snapshot, site)]


def _further_name(host: Host, interface: Interface, snapshot: Snapshot, site: Site) -> str:
    network = snapshot.networks.get(interface.network)
    if network is not None and network.zone and network.zone != site.domain:
        return f"{interface.name or host.name}.{network.zone}"
    # Names of devices such as eth0:1 hold what DNS does not take.
    return interface.name or re.sub(r"[:_@]", "-", f"{host.name}-{interface.device}")
