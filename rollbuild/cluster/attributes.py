"""Attributes: set in scopes, resolved for hosts, handed to the compiler."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.hosts import find_host, list_hosts
from rollbuild.cluster.interfaces import list_interfaces
from rollbuild.cluster.names import number_order
from rollbuild.cluster.routes import check_scope
from rollbuild.cluster.values import Host, Interface
from rollbuild.errors import RollbuildError
from rollbuild.language import Attribute, AttributeSet, did_you_mean
from rollbuild.location import Location

SCOPES = schema.SCOPES
SOURCES = {"default": "D", "global": "G", "os": "O", "appliance": "A", "rack": "R", "host": "H"}
INTRINSIC = {
    "hostname": "rocks set host name {} NAME",
    "rack": "rocks set host rack {} NUMBER",
    "rank": "rocks set host rank {} NUMBER",
    "cpus": "rocks set host cpus {} NUMBER",
    "appliance": "rocks set host membership {} MEMBERSHIP",
    "membership": "rocks set host membership {} MEMBERSHIP",
    "arch": "rocks set host arch {} ARCH",
    "os": "rocks set host os {} OS",
    "hostaddr": "rocks set host interface ip {} DEVICE ADDRESS",
    "ksmac": "rocks set host interface mac {} DEVICE MAC",
}
"""What a host is by itself, and the command that changes it: no attribute can say otherwise."""

PRIMARY_NETWORK = "private"
MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One value; `key` is the OS, appliance, rack or host it is for, "" in the scope global."""

    scope: str
    key: str
    name: str
    value: str


def list_attributes(c: Connection, scope: str | None = None, key: str | None = None) -> tuple[AttributeRow, ...]:
    """All rows, or those of a scope and key: scopes from low to high, then by key and name."""
    table = schema.attributes
    query = select(table.c.scope, table.c.key, table.c.name, table.c.value)
    if scope is not None:
        query = query.where(table.c.scope == scope)
    if key is not None:
        query = query.where(table.c.key == key)
    rows = [AttributeRow(*row) for row in c.execute(query)]
    return tuple(sorted(rows, key=lambda row: (SCOPES.index(row.scope), number_order(row.key), row.name)))


def set_attribute(c: Connection, scope: str, key: str, name: str, value: str) -> bool:
    """Give an attribute a value, which may be empty; whether that changes anything.

    Raises RollbuildError for a name or value that no attribute can have, for what a host is by itself (INTRINSIC),
    and for an appliance or host that does not exist.
    """
    return bool(set_attributes(c, scope, key, {name: value}))


def set_attributes(c: Connection, scope: str, key: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The same for many attributes of one scope and key at once; the names of those that changed."""
    key = check_scope(c, scope, key)
    for name, value in values.items():
        check_attribute(scope, key, name, value)
    old = {row.name: row.value for row in list_attributes(c, scope, key)}
    changed = tuple(name for name, value in values.items() if old.get(name) != value)
    table = schema.attributes
    for name in changed:
        if name in old:
            here = (table.c.scope == scope) & (table.c.key == key) & (table.c.name == name)
            c.execute(update(table).where(here).values(value=values[name]))
    if new := [
        {"scope": scope, "key": key, "name": name, "value": values[name]} for name in changed if name not in old
    ]:
        c.execute(insert(table), new)
    if changed:
        mark_changed(c, *_hosts_of(c, scope, key))
    return changed


def add_attribute(c: Connection, scope: str, key: str, name: str, value: str) -> None:
    """The same as `set_attribute` for one that is not set yet. Raises RollbuildError where it is."""
    key = check_scope(c, scope, key)
    if any(row.name == name for row in list_attributes(c, scope, key)):
        raise RollbuildError(
            f"attribute {name}{of_scope(scope, key)} is set already",
            hint="change it with `rocks set`: " + command_of(scope, key, name),
        )
    set_attribute(c, scope, key, name, value)


def remove_attribute(c: Connection, scope: str, key: str, name: str) -> None:
    """Forget a value. Raises RollbuildError where there is none."""
    key = check_scope(c, scope, key)
    table = schema.attributes
    here = (table.c.scope == scope) & (table.c.key == key)
    if not c.execute(delete(table).where(here & (table.c.name == name))).rowcount:
        known = c.execute(select(table.c.name).where(here)).scalars()
        raise RollbuildError(f"attribute {name}{of_scope(scope, key)} is not set", hint=did_you_mean(name, known))
    mark_changed(c, *_hosts_of(c, scope, key))


def check_attribute(scope: str, key: str, name: str, value: str, location: Location | None = None) -> None:
    """Raises RollbuildError unless the database can hold this attribute."""
    AttributeSet.of(scope, {name: value}, key=key, location=location)
    if len(name) > MAX_NAME:
        raise RollbuildError(f"the attribute's name is longer than {MAX_NAME} characters", location=location)
    if name in INTRINSIC:
        raise RollbuildError(
            f"attribute {name} is what a host is by itself and cannot be set",
            location=location,
            hint=f"change the host: {INTRINSIC[name].format(key if scope == 'host' else 'HOST')}",
        )


def _hosts_of(c: Connection, scope: str, key: str) -> Iterable[str]:
    hosts = schema.hosts
    query = select(hosts.c.name)
    if scope == "host":
        return (key,)
    if scope == "rack":
        query = query.where(hosts.c.rack == int(key))
    elif scope != "global":
        query = query.where(hosts.c[scope] == key)
    return c.execute(query).scalars().all()


def of_scope(scope: str, key: str) -> str:
    """` of host compute-0-0`; nothing for a global one."""
    return f" of {scope} {key}" if scope != "global" else ""


def command_of(scope: str, key: str, name: str) -> str:
    """The command that sets an attribute, without its value."""
    return " ".join(("rocks set", *((f"{scope} attr", key) if scope != "global" else ("attr",)), name))


def find_primary_interfaces(interfaces: Iterable[Interface]) -> dict[str, Interface]:
    """Host -> its interface on the network `private`: the first that has both a MAC and an address."""
    found: dict[str, tuple[tuple[object, ...], Interface]] = {}
    for interface in interfaces:
        if interface.network == PRIMARY_NETWORK:
            rank = (
                not (interface.mac and interface.address),
                not interface.mac,
                interface.vlan is not None,
                number_order(interface.device),
            )
            best = found.get(interface.host)
            if best is None or rank < best[0]:
                found[interface.host] = rank, interface
    return {host: interface for host, (_, interface) in found.items()}


def own_attributes(host: Host, primary: Interface | None) -> dict[str, str]:
    """What the compiler gets as the host's own: INTRINSIC, with the primary interface as hostaddr and ksmac."""
    return {
        "hostname": host.name,
        "rack": str(host.rack),
        "rank": str(host.rank),
        "cpus": str(host.cpus),
        "appliance": host.appliance,
        "membership": host.membership,
        "arch": host.arch,
        "os": host.os,
        "hostaddr": primary.address if primary else "",
        "ksmac": primary.mac if primary else "",
    }


def resolve_attributes(
    c: Connection, host: str, defaults: Mapping[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    """Name -> (value, source letter) of all that holds for a host, by name.

    Sources: I what the host is by itself, H host, R rack, A appliance, O OS, G global, D `defaults` (those of rolls):
    the earlier wins (runtime.md 1.3, but for intrinsics, which nothing hides). Raises RollbuildError for a host
    that does not exist.
    """
    find_host(c, host)
    return next(values for _, values in resolve_many(c, (host,), defaults))


def resolve_many(
    c: Connection, hosts: Collection[str] | None = None, defaults: Mapping[str, str] | None = None
) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """The same for many hosts (None: all), with a few queries for all together."""
    layers: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    wanted = None if hosts is None else frozenset(hosts)
    for row in list_attributes(c):
        if wanted is None or row.scope != "host" or row.key in wanted:
            layers.setdefault((row.scope, row.key), {})[row.name] = (row.value, SOURCES[row.scope])
    lowest = {name: (value, SOURCES["default"]) for name, value in (defaults or {}).items()}
    for host, own in _read_own(c, hosts).items():
        found = dict(lowest)
        for scope in SCOPES:
            key = "" if scope == "global" else host if scope == "host" else own[scope]
            found.update(layers.get((scope, key), {}))
        found.update((name, (value, "I")) for name, value in own.items())
        yield host, dict(sorted(found.items()))


def _read_own(c: Connection, names: Collection[str] | None) -> dict[str, dict[str, str]]:
    hosts = list_hosts(c, names)
    some = [host.name for host in hosts] if names is not None else None
    primary = find_primary_interfaces(list_interfaces(c, some))
    return {host.name: own_attributes(host, primary.get(host.name)) for host in hosts}


def attribute_set(c: Connection) -> AttributeSet:
    """All attributes as the compiler takes them; a value's location is the command that sets it."""
    layers: dict[tuple[str, str], dict[str, Attribute]] = {}
    for row in list_attributes(c):
        place = Location(command_of(row.scope, row.key, row.name))
        layers.setdefault((row.scope, row.key), {})[row.name] = Attribute(row.value, place, row.scope)
    return AttributeSet(layers)
