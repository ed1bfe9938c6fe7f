"""Networks."""

import ipaddress
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.names import check_number, check_word, check_zone, nearest, savepoint, spell_address
from rollbuild.cluster.values import Network
from rollbuild.errors import USAGE, RollbuildError

_table = schema.networks
_LARGEST_MTU = 65520
_FIND = select(_table).where(_table.c.name == bindparam("network"))


def list_networks(c: Connection) -> tuple[Network, ...]:
    return tuple(_network(row) for row in c.execute(select(_table).order_by(_table.c.name)))


def find_network(c: Connection, name: str) -> Network:
    """Raises RollbuildError, with what is similar."""
    row = c.execute(_FIND, {"network": name}).first()
    if row is None:
        known = [network.name for network in list_networks(c)]
        raise RollbuildError(
            f'there is no network "{name}"',
            hint=nearest(name, known) or (f"there are: {', '.join(known)}" if known else "rocks add network makes one"),
        )
    return _network(row)


def add_network(c: Connection, network: Network) -> None:
    """Raises RollbuildError: USAGE for what is no network, REFUSED where another has its name, zone or addresses."""
    network = _checked(c, network)
    if c.execute(select(_table.c.name).where(_table.c.name == network.name)).first():
        raise RollbuildError(f'network "{network.name}" exists already')
    c.execute(insert(_table).values(**_columns(network)))


def set_network(c: Connection, name: str, /, **fields: Any) -> Network:
    """Change fields of a network; also its name. Raises RollbuildError as `add_network`, and where an address that
    an interface has would no longer lie in it."""
    former = find_network(c, name)
    network = _checked(c, replace(former, **fields), but=name)
    if network == former:
        return former
    if network.name != name and c.execute(select(_table.c.name).where(_table.c.name == network.name)).first():
        raise RollbuildError(f'network "{network.name}" exists already')
    on_it = select(schema.interfaces.c.host, schema.interfaces.c.address).where(schema.interfaces.c.network == name)
    rows = c.execute(on_it).all()
    for row in rows:
        if row.address and not lies_in(row.address, network):
            raise RollbuildError(
                f'the address {row.address} of host "{row.host}" would lie outside of network {spell_network(network)}',
                hint="change the address first, or make another network",
            )
    c.execute(update(_table).where(_table.c.name == name).values(**_columns(network)))
    mark_changed(c, *{row.host for row in rows})
    return network


def remove_network(c: Connection, name: str) -> None:
    """Raises RollbuildError where interfaces or routes are on it, or it is not there."""
    find_network(c, name)
    with savepoint(c, otherwise=lambda: _is_used(c, name)):
        c.execute(delete(_table).where(_table.c.name == name))


def lies_in(address: str, network: Network) -> bool:
    """Whether a host of the network may have the address: its first and its last are for no host."""
    ip, whole = ipaddress.IPv4Address(address), network.network
    if ip not in whole:
        return False
    return whole.prefixlen > 30 or ip not in (whole.network_address, whole.broadcast_address)


def spell_network(network: Network) -> str:
    """As `private (10.1.0.0/16)`."""
    return f"{network.name} ({network.network})"


def _checked(c: Connection, network: Network, but: str = "") -> Network:
    check_word(network.name, "a network")
    address, netmask = spell_address(network.address), spell_address(network.netmask)
    try:
        whole = ipaddress.IPv4Network(f"{address}/{netmask}", strict=False)
    except ValueError as problem:
        raise RollbuildError(f"{netmask} is no netmask", hint="it looks like 255.255.0.0", exit_code=USAGE) from problem
    # The module takes 0.0.255.255 for a mask turned round, as routers write it.
    if str(whole.netmask) != netmask or not whole.prefixlen:
        raise RollbuildError(f"{netmask} is no netmask", hint="it looks like 255.255.0.0", exit_code=USAGE)
    if str(whole.network_address) != address:
        raise RollbuildError(
            f"{address} is a host's address in {whole}", hint=f"the network is {whole.network_address}", exit_code=USAGE
        )
    check_number(network.mtu, "the MTU", 68, _LARGEST_MTU)
    network = replace(network, address=address, netmask=netmask, zone=check_zone(network.zone))
    for other in list_networks(c):
        if other.name == but:
            continue
        if other.zone and other.zone == network.zone:
            raise RollbuildError(f'the zone {network.zone} is that of network "{other.name}"', hint="choose another")
        if other.name != network.name and other.network.overlaps(network.network):
            raise RollbuildError(f"the network {whole} overlaps with {spell_network(other)}")
    return network


def _is_used(c: Connection, name: str) -> RollbuildError:
    on_it = schema.interfaces.c.network == name
    count = c.execute(select(func.count()).where(on_it)).scalar()
    first = c.execute(select(schema.interfaces.c.host, schema.interfaces.c.device).where(on_it)).first()
    if first is None:
        return RollbuildError(f'routes lead to network "{name}"', hint="remove them first")
    return RollbuildError(
        f'network "{name}" has {count} interfaces, as {first.device} of {first.host}', hint="remove those first"
    )


def _network(row: Row[tuple[object, ...]]) -> Network:
    return Network(**{**row._mapping, "zone": row.zone or ""})


def _columns(network: Network) -> dict[str, object]:
    return {**asdict(network), "zone": network.zone or None}
