"""A machine becomes a host: one transaction, which leaves all of it or nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Database,
    Host,
    Interface,
    add_host,
    add_interface,
    approve_discovery,
    find_appliance,
    find_host,
    hold_host,
    list_attributes,
    list_hosts,
    list_interfaces,
    next_address,
    next_rank,
    remove_host,
    select_hosts,
    set_boot,
    set_interface,
)
from rollbuild.errors import BUSY, RollbuildError
from rollbuild.frontend.discovery.values import AddHost, Exists, Inserted

if TYPE_CHECKING:
    from sqlalchemy import Connection

NETWORK = "private"
HELD = "inserted with --hold"
DEVICE_ATTRIBUTE = "primary_device"
_DEVICE = "eth0"
HELD_SECONDS = 0.3
_BATCH = 50  # names that are looked up at once


@dataclass(frozen=True, slots=True)
class Placement:
    """What a new host is called and where it stands.

    `rank` is the first that is tried, None for the one after the highest; `host` a whole name for one machine.
    Addresses are tried from `base_address` ("" for the network's last, or first where `step` goes up) in steps of
    `step`; `address` is for one machine. `replaced` is the host that gets a new machine and keeps all the rest.
    """

    rack: int = 0
    rank: int | None = None
    base_name: str = ""
    host: str = ""
    address: str = ""
    base_address: str = ""
    step: int = -1
    is_held: bool = False
    replaced: str = ""


def insert_machine(
    database: Database,
    placement: Placement,
    mac: str,
    appliance: str,
    *,
    arch: str = "",
    address: str = "",
    approves: bool = False,
    command: str = "insert-ethers",
) -> Inserted | Exists:
    """Add the host of a machine, or say which host it is already. `address` "" is the next free one.

    `approves` also ends its waiting in the queue.
    Raises RollbuildError, and nothing of the host is there, when its name or address is taken, no address is free
    or the database refuses something else.
    """
    try:
        with database.writing(command) as c:
            if approves:
                approve_discovery(c, mac, appliance=appliance)
            if placement.replaced:
                return _replace(c, placement, mac)
            return _add(c, placement, mac, appliance, arch, address or placement.address)
    except RollbuildError as problem:
        if problem.exit_code == BUSY:
            raise
        # The usual machine is new, and looking first would read all MAC addresses for each of them.
        owner = find_owner(database, mac)
        if owner:
            return Exists(mac, owner)
        raise


def insert_machines(
    database: Database, placement: Placement, wanted: Sequence[AddHost], *, command: str = "insert-ethers"
) -> tuple[Inserted, ...]:
    """Add the hosts of several machines in one transaction: many come at once, and each transaction is a generation of
    the configuration that everything has to follow.

    Others wait for its end: after HELD_SECONDS the rest of `wanted` is left to the next one. Raises RollbuildError, and
    none is there, when one of them is refused; `insert_machine` then says which.
    """
    end = time.monotonic() + HELD_SECONDS
    inserted: list[Inserted] = []
    with database.writing(command) as c:
        for one in wanted:
            address = one.address or placement.address
            inserted.append(_add(c, placement, one.mac, one.membership.appliance, one.arch, address))
            if time.monotonic() > end:
                break
    return tuple(inserted)


def find_owner(database: Database, mac: str) -> str:
    """The host that has a MAC address, "" for none."""
    try:
        with database.reading() as c:
            return next(iter(select_hosts(c, [mac])), "")
    except RollbuildError:
        return ""


def remove_machine(database: Database, host: str, *, command: str = "insert-ethers") -> None:
    """Remove a host with all that is its own. Raises RollbuildError, for the front end and VMs too."""
    with database.writing(command) as c:
        remove_host(c, _find_machine(c, host).name)


def _find_machine(c: "Connection", name: str) -> Host:
    """The host of this name, where insert-ethers may remove it or give it another machine. Raises RollbuildError."""
    host = find_host(c, name)
    if host.is_vm:
        raise RollbuildError(f"{name} is a VM, and no machine", hint=f"rocks remove host {name} removes it")
    if host.appliance == "frontend":
        raise RollbuildError(f"{name} is the front end, and stays")
    return host


def _add(c: "Connection", placement: Placement, mac: str, appliance: str, arch: str, address: str) -> Inserted:
    kind = find_appliance(c, appliance)
    rack = placement.rack
    if placement.host:
        name = placement.host
        rank = placement.rank if placement.rank is not None else next_rank(c, kind.name, rack)
    else:
        first = next_rank(c, kind.name, rack) if placement.rank is None else placement.rank
        name, rank = _free_name(c, f"{placement.base_name or kind.name}-{rack}", first)
    if not address:
        address = next_address(c, NETWORK, start=placement.base_address or None, step=placement.step)
    add_host(c, name, appliance=kind.name, rack=rack, rank=rank, os=kind.os, arch=arch or _own_arch(c))
    device = _device(c, kind.os, kind.name, rack)
    interface = add_interface(c, Interface(name, device, mac=mac, address=address, network=NETWORK))
    is_held = placement.is_held and bool(kind.root)
    if is_held:
        hold_host(c, name, HELD)
    elif kind.root:
        set_boot(c, name, "install")
    return Inserted(interface.mac, name, interface.address, is_held)


def _replace(c: "Connection", placement: Placement, mac: str) -> Inserted:
    """The host stays what it is, with its address and attributes, and boots by the new machine's MAC."""
    host = _find_machine(c, placement.replaced)
    interfaces = list_interfaces(c, [host.name])
    first = next((one for one in interfaces if one.network == NETWORK), None)
    for one in interfaces:
        if one.mac and one != first:
            set_interface(c, host.name, one.device, mac="")  # the old machine's others are gone with it
    if first is None:
        device = _device(c, host.os, host.appliance, host.rack)
        address = placement.address or next_address(c, NETWORK, start=placement.base_address or None)
        first = add_interface(c, Interface(host.name, device, mac=mac, address=address, network=NETWORK))
    else:
        address = placement.address or first.address or next_address(c, NETWORK)
        first = set_interface(c, host.name, first.device, mac=mac, address=address)
    is_held = placement.is_held and bool(find_appliance(c, host.appliance).root)
    if is_held:
        hold_host(c, host.name, HELD)
    elif find_appliance(c, host.appliance).root:
        set_boot(c, host.name, "install")
    return Inserted(first.mac, host.name, first.address, is_held)


def _free_name(c: "Connection", prefix: str, first: int) -> tuple[str, int]:
    """The first name of a series that no host has, and its rank."""
    start = first
    while True:
        ranks = range(start, start + _BATCH)
        taken = {host.name for host in list_hosts(c, [f"{prefix}-{rank}" for rank in ranks])}
        for rank in ranks:
            if f"{prefix}-{rank}" not in taken:
                return f"{prefix}-{rank}", rank
        start += _BATCH


def _own_arch(c: "Connection") -> str:
    """The front end's architecture: what a machine has that does not say."""
    return next((host.arch for host in list_hosts(c, select_front_end(c))), "x86_64")


def select_front_end(c: "Connection") -> tuple[str, ...]:
    """The name of the front end's own host, or nothing."""
    try:
        return select_hosts(c, ["localhost"])
    except RollbuildError:
        return ()


def _device(c: "Connection", os: str, appliance: str, rack: int) -> str:
    """What the interface is called that a machine boots from: the attribute, the nearest scope first."""
    for scope, key in (("rack", str(rack)), ("appliance", appliance), ("os", os), ("global", "")):
        for row in list_attributes(c, scope, key):
            if row.name == DEVICE_ATTRIBUTE and row.value:
                return row.value
    return _DEVICE
