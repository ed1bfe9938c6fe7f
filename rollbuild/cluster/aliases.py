"""Other names of hosts."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.hosts import find_host
from rollbuild.cluster.names import check_host_name, number_order
from rollbuild.cluster.values import Alias
from rollbuild.errors import RollbuildError

_table = schema.aliases


def list_aliases(c: Connection, hosts: Collection[str] | None = None) -> tuple[Alias, ...]:
    """All aliases, or those of some hosts, in the order of host and alias."""
    rows = c.execute(select(_table.c.host, _table.c.name))
    found = [Alias(row.host, row.name) for row in rows if hosts is None or row.host in hosts]
    return tuple(sorted(found, key=lambda alias: (number_order(alias.host), number_order(alias.name))))


def add_alias(c: Connection, host: str, name: str) -> None:
    """Raises RollbuildError where the name is none, or a host, alias, interface or appliance has it."""
    find_host(c, host)
    check_host_name(c, name, is_vm=True)
    c.execute(insert(_table).values(host=host, name=name))
    mark_changed(c, host)


def remove_alias(c: Connection, host: str, name: str) -> None:
    """Raises RollbuildError where the host has no such alias."""
    find_host(c, host)
    if not c.execute(delete(_table).where(_table.c.host == host, _table.c.name == name)).rowcount:
        known = [alias.name for alias in list_aliases(c, [host])]
        raise RollbuildError(
            f'host "{host}" has no alias "{name}"', hint=f"it has {', '.join(known)}" if known else "it has none"
        )
    mark_changed(c, host)
