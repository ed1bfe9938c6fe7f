"""The interfaces of hosts: each MAC and each address is of one of them only."""

import re
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.hosts import find_host, unknown_host
from rollbuild.cluster.names import (
    check_device,
    check_number,
    check_text,
    check_word,
    number_order,
    savepoint,
    spell_address,
    spell_host_name,
    spell_mac,
)
from rollbuild.cluster.networks import find_network, lies_in, spell_network
from rollbuild.cluster.retired import retire_macs
from rollbuild.cluster.values import Interface
from rollbuild.errors import USAGE, RollbuildError

_table = schema.interfaces
_FEW = 500
_LAST_VLAN = 4094
_INSERT = insert(_table)
# NULL in the database, so that several interfaces may have none.
_OPTIONAL = ("mac", "address", "network", "name")
_ALL = select(
    *(func.coalesce(column, "") if column.name in _OPTIONAL else column for column in _table.c),
)


def list_interfaces(c: Connection, hosts: Collection[str] | None = None) -> tuple[Interface, ...]:
    """The interfaces of all hosts, or of some, in the order of host and device with numbers as numbers."""
    query = _ALL
    if hosts is not None and len(hosts) <= _FEW:
        query = query.where(_table.c.host.in_(list(hosts)))
    found = [Interface(*row) for row in c.execute(query)]
    if hosts is not None and len(hosts) > _FEW:
        wanted = set(hosts)
        found = [interface for interface in found if interface.host in wanted]
    return tuple(sorted(found, key=lambda one: (number_order(one.host), number_order(one.device))))


def find_interface(c: Connection, host: str, device: str) -> Interface:
    """The interface of a host by its device or its MAC. Raises RollbuildError where there is none."""
    mac = _mac_or_none(device)
    same = (_table.c.device == device) | (_table.c.mac == mac) if mac else _table.c.device == device
    row = c.execute(_ALL.where(_table.c.host == host, same)).first()
    if row is None:
        find_host(c, host)
        known = [one.device for one in list_interfaces(c, [host])]
        raise RollbuildError(
            f'host "{host}" has no interface "{device}"',
            hint=f"it has {', '.join(known)}" if known else f"`rocks add host interface {host} DEVICE` makes one",
        )
    return Interface(*row)


def add_interface(c: Connection, interface: Interface) -> Interface:
    """Add an interface, as it is then spelled.

    Raises RollbuildError: USAGE for a value that cannot be, REFUSED where the device, MAC or address is taken, the
    address is not in the network, or there is no such host or network.
    """
    interface = _checked(c, interface)
    with savepoint(c, otherwise=lambda: _taken(c, interface)):
        c.execute(_INSERT, _columns(interface))
    mark_changed(c, interface.host)
    return interface


def set_interface(c: Connection, host: str, device: str, /, **fields: Any) -> Interface:
    """Change fields of an interface, also its device; "" (None for the VLAN) clears one. Raises as `add_interface`."""
    former = find_interface(c, host, device)
    if "host" in fields:
        raise TypeError("set_interface() takes no host")
    interface = _checked(c, replace(former, **fields))
    if interface == former:
        return former
    if former.mac and interface.mac != former.mac:
        retire_macs(c, host, former.device)
    with savepoint(c, otherwise=lambda: _taken(c, interface, but=former.device)):
        same = (_table.c.host == host) & (_table.c.device == former.device)
        c.execute(update(_table).where(same).values(**_columns(interface)))
    mark_changed(c, host)
    return interface


def remove_interface(c: Connection, host: str, device: str) -> None:
    """Raises RollbuildError where there is no such interface."""
    interface = find_interface(c, host, device)
    retire_macs(c, host, interface.device)
    c.execute(delete(_table).where(_table.c.host == host, _table.c.device == interface.device))
    mark_changed(c, host)


def check_address(c: Connection, address: str, network: str, *, host: str = "", device: str = "") -> str:
    """The address, where an interface may have it: in the network, neither its first nor its last, and free.

    `host` and `device` name the interface that it is for. Raises RollbuildError.
    """
    address = _in_network(c, address, network)
    owner = c.execute(select(_table.c.host, _table.c.device).where(_table.c.address == address)).first()
    if owner and (owner.host, owner.device) != (host, device):
        raise _address_taken(address, owner.host, owner.device)
    return address


def _in_network(c: Connection, address: str, network: str) -> str:
    address = spell_address(address)
    on = find_network(c, network)
    if not lies_in(address, on):
        whole = on.network
        why = "is not in network" if whole.network_address != address else ""
        if address in (str(whole.network_address), str(whole.broadcast_address)):
            why = "is the first or last address, which is for no host, of network"
        raise RollbuildError(
            f"the address {address} {why} {spell_network(on)}",
            hint=f"it is from {whole.network_address + 1} to {whole.broadcast_address - 1}",
        )
    return address


def _checked(c: Connection, interface: Interface) -> Interface:
    check_device(interface.device)
    mac = spell_mac(interface.mac) if interface.mac else ""
    address = interface.address
    if address and not interface.network:
        raise RollbuildError(
            f"{interface.device} of {interface.host} has the address {address} and no network",
            hint="name the network that the address lies in",
            exit_code=USAGE,
        )
    if address:
        address = _in_network(c, address, interface.network)
    elif interface.network:
        find_network(c, interface.network)
    if interface.name:
        _check_name(c, interface)
    if interface.module:
        check_word(interface.module, "a kernel module")
    if interface.vlan is not None:
        check_number(interface.vlan, "the VLAN", 0, _LAST_VLAN)
    check_text(interface.options, "the options")
    check_text(interface.channel, "the channel")
    return replace(interface, mac=mac, address=address)


def _check_name(c: Connection, interface: Interface) -> None:
    spell_host_name(interface.name, is_vm=True)
    if interface.name == interface.host:
        return
    for table in (schema.hosts, schema.aliases):
        column = table.c.name if table is schema.hosts else table.c.host
        owner = c.execute(select(column).where(table.c.name == interface.name)).scalar()
        if owner and owner != interface.host:
            raise RollbuildError(f'"{interface.name}" is a name of host "{owner}" already')
    taken = select(_table.c.host).where(_table.c.name == interface.name, _table.c.host != interface.host)
    if owner := c.execute(taken).scalar():
        raise RollbuildError(f'"{interface.name}" is the name of an interface of host "{owner}" already')


def _taken(c: Connection, interface: Interface, but: str = "") -> RollbuildError:
    """Why a constraint refused an interface; `but` is its former device."""
    others = select(_table.c.host, _table.c.device)
    if interface.mac:
        for row in c.execute(others.where(_table.c.mac == interface.mac)):
            if (row.host, row.device) not in ((interface.host, but), (interface.host, interface.device)):
                return RollbuildError(
                    f'the MAC {interface.mac} is that of {row.device} of host "{row.host}" already',
                    hint="was the card moved, or a VM copied? `rocks remove host interface` frees it",
                )
    if interface.address:
        for row in c.execute(others.where(_table.c.address == interface.address)):
            if (row.host, row.device) not in ((interface.host, but), (interface.host, interface.device)):
                return _address_taken(interface.address, row.host, row.device)
    if not c.execute(select(schema.hosts.c.name).where(schema.hosts.c.name == interface.host)).first():
        return unknown_host(c, interface.host)
    return RollbuildError(f'interface "{interface.device}" exists already at host "{interface.host}"')


def _address_taken(address: str, host: str, device: str) -> RollbuildError:
    return RollbuildError(f'the address {address} is that of {device} of host "{host}" already')


def _mac_or_none(text: str) -> str:
    if not re.search(r"[:.-]", text):
        return ""
    try:
        return spell_mac(text)
    except RollbuildError:
        return ""


def _columns(interface: Interface) -> dict[str, Any]:
    columns = asdict(interface)
    return {**columns, **{field: columns[field] or None for field in _OPTIONAL}}
