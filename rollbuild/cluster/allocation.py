"""What is free: addresses, ranks and MACs. Called inside `Database.writing`, nobody else can take it meanwhile."""

import ipaddress
import socket
from itertools import count

from sqlalchemy import ColumnElement, Connection, Select, func, select

from rollbuild.cluster import schema
from rollbuild.cluster.appliances import find_appliance
from rollbuild.cluster.names import spell_address, spell_mac
from rollbuild.cluster.networks import find_network, spell_network
from rollbuild.cluster.retired import retired_macs
from rollbuild.errors import USAGE, RollbuildError

_MASK = 0xFFFF_FFC0_0000
_FREE_BITS = 22
_interfaces = schema.interfaces


def next_address(c: Connection, network: str, *, start: str | None = None, step: int = -1) -> str:
    """The first free address of a network: from `start`, itself tried first, in steps of `step`.

    Without a start it is the highest that a host may have, or the lowest where the step goes up. Raises
    RollbuildError: REFUSED where none is free, USAGE where the start is outside of the network or the step is 0.
    """
    on = find_network(c, network)
    whole = on.network
    lowest, highest = int(whole.network_address), int(whole.broadcast_address)
    if whole.prefixlen < 31:
        lowest, highest = lowest + 1, highest - 1
    if not step:
        raise RollbuildError("the step from one address to the next cannot be 0", exit_code=USAGE)
    first = int(ipaddress.IPv4Address(spell_address(start))) if start else highest if step < 0 else lowest
    if not lowest <= first <= highest:
        raise RollbuildError(
            f"the address {start} is for no host of network {spell_network(on)}",
            hint=f"it is from {ipaddress.IPv4Address(lowest)} to {ipaddress.IPv4Address(highest)}",
            exit_code=USAGE,
        )
    used = {int.from_bytes(packed) for packed in map(socket.inet_aton, _all(c, select(_joined(_interfaces.c.address))))}
    for candidate in range(first, lowest - 1 if step < 0 else highest + 1, step):
        if candidate not in used:
            return str(ipaddress.IPv4Address(candidate))
    way = "below" if step < 0 else "above"
    raise RollbuildError(
        f"network {spell_network(on)} has no free address {way} {ipaddress.IPv4Address(first)}",
        hint="remove hosts that are gone (rocks remove host), or begin elsewhere (--baseip)",
    )


def next_rank(c: Connection, appliance: str, rack: int) -> int:
    """One more than the highest rank of the appliance's hosts in the rack, else 0. VMs do not count: theirs is that of
    their container."""
    hosts, vms = schema.hosts, schema.vms
    highest = select(func.max(hosts.c.rank)).outerjoin(vms, vms.c.host == hosts.c.name)
    of_it = highest.where(hosts.c.appliance == find_appliance(c, appliance).name, hosts.c.rack == rack)
    found = c.execute(of_it.where(vms.c.host.is_(None))).scalar()
    return 0 if found is None else found + 1


def next_mac(c: Connection) -> str:
    """The first free MAC for a VM, in the range that follows from the front end's public address.

    That of a VM which was removed is not given out for a day: switches and leases remember it. The global attribute
    `vm_mac_base_addr` names the first of the range, where it is set. Raises RollbuildError where there is neither, or
    the 4,194,304 MACs of the range are used up.
    """
    base = int(_mac_base(c).replace(":", ""), 16)
    alike = _interfaces.c.mac.startswith(_spell(base)[:8], autoescape=True)
    digits = func.replace(_joined(_interfaces.c.mac), ":", "")
    used = {int(mac, 16) for mac in _all(c, select(digits).where(alike))}
    used |= {int(mac.replace(":", ""), 16) for mac in retired_macs(c)}
    for candidate in count(base):
        if candidate & _MASK != base & _MASK:
            break
        if candidate not in used:
            return _spell(candidate)
    raise RollbuildError(
        f"all {1 << _FREE_BITS:,} MACs from {_spell(base & _MASK)} on are used",
        hint="set the attribute vm_mac_base_addr to the first of another range",
    )


def mac_base(public_address: str) -> str:
    """The first MAC of the range that follows from an address a.b.c.d: locally administered, unicast, and other for
    other addresses but for their first octet; 22 bits are free."""
    _, b, c, d = ipaddress.IPv4Address(public_address).packed
    return f"{d & ~3 | 2:02x}:{c:02x}:{b:02x}:{(d & 3) << 6:02x}:00:00"


def _mac_base(c: Connection) -> str:
    attributes, hosts, interfaces = schema.attributes, schema.hosts, _interfaces
    is_global = (attributes.c.scope == "global") & (attributes.c.name == "vm_mac_base_addr")
    if said := c.execute(select(attributes.c.value).where(is_global)).scalar():
        mac = spell_mac(said)
        if len(mac) != 17:
            raise RollbuildError(f"the attribute vm_mac_base_addr is no MAC of a VM: {said}")
        return mac
    of_front_ends = (
        select(interfaces.c.network, interfaces.c.address)
        .join(hosts, hosts.c.name == interfaces.c.host)
        .where(hosts.c.appliance == "frontend", interfaces.c.address.is_not(None))
        .order_by(interfaces.c.network != "public", interfaces.c.network, hosts.c.name, interfaces.c.device)
    )
    address = c.execute(of_front_ends).first()
    if address is None:
        raise RollbuildError(
            "no VM MAC base address is defined",
            hint="it follows from the front end's public address; or rocks set attr vm_mac_base_addr 0a:64:33:80:00:00",
        )
    return mac_base(address.address)


def _joined(column: ColumnElement[str | None]) -> ColumnElement[str]:
    """All values in one text: ten thousand rows take several times as long."""
    return func.aggregate_strings(column, " ")


def _all(c: Connection, query: Select[str]) -> list[str]:
    return (c.execute(query).scalar() or "").split()


def _spell(mac: int) -> str:
    return ":".join(f"{octet:02x}" for octet in mac.to_bytes(6))
