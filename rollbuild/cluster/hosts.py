"""Hosts: adding, changing, removing. Whether a host is a VM is what the table of VMs says."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.appliances import find_appliance
from rollbuild.cluster.boot import check_label
from rollbuild.cluster.database import NEXT_GENERATION, mark_changed
from rollbuild.cluster.names import (
    check_host_name,
    check_number,
    check_text,
    check_word,
    describe_host,
    nearest,
    number_order,
    savepoint,
)
from rollbuild.cluster.retired import retire_macs
from rollbuild.cluster.values import Host
from rollbuild.errors import RollbuildError

_table = schema.hosts
# SQLite takes few parameters in one statement; above this all rows are read and sorted out here.
_FEW = 500
_LARGEST = 999_999
_MOST_CPUS = 65_536
_CONTAINER = "vm-container"
_BOOTS = {"run_action": "os", "install_action": "install"}
_FIELDS = {
    *("name", "appliance", "rack", "rank", "cpus", "arch", "os"),
    *("run_action", "install_action", "held", "comment"),
}


# In the order of the fields of Host.
_ALL = (
    select(
        *(_table.c.name, _table.c.appliance, schema.appliances.c.membership, _table.c.rack, _table.c.rank),
        *(_table.c.cpus, _table.c.arch, _table.c.os),
        *(func.coalesce(_table.c.run_action, ""), func.coalesce(_table.c.install_action, ""), _table.c.boot_action),
        *(_table.c.held, _table.c.comment, schema.vms.c.host.is_not(None), _table.c.changed),
    )
    .join(schema.appliances, schema.appliances.c.name == _table.c.appliance)
    .outerjoin(schema.vms, schema.vms.c.host == _table.c.name)
)
_FIND = _ALL.where(_table.c.name == bindparam("host"))
_INSERT = insert(_table).values(
    **{column.name: bindparam(column.name) for column in _table.c if column.name in _FIELDS - {"held"}},
    changed=NEXT_GENERATION,
)


def list_hosts(c: Connection, names: Collection[str] | None = None) -> tuple[Host, ...]:
    """All hosts, or those of some names, in the order of their names with numbers as numbers."""
    query = _ALL
    if names is not None and len(names) <= _FEW:
        query = query.where(_table.c.name.in_(list(names)))
    found = [Host(*row) for row in c.execute(query)]
    if names is not None and len(names) > _FEW:
        wanted = set(names)
        found = [host for host in found if host.name in wanted]
    return tuple(sorted(found, key=lambda host: number_order(host.name)))


def find_host(c: Connection, name: str) -> Host:
    """The host of exactly this name. Raises RollbuildError, with what is similar."""
    row = c.execute(_FIND, {"host": name}).first()
    if row is None:
        raise unknown_host(c, name)
    return Host(*row)


def unknown_host(c: Connection, name: str) -> RollbuildError:
    """What to say of a name that nothing in the cluster has."""
    names = c.execute(select(_table.c.name)).scalars().all()
    return RollbuildError(
        f'host "{name}" is not in cluster', hint=nearest(name, names) or "`rocks list host` shows all hosts"
    )


def add_host(
    c: Connection,
    name: str,
    *,
    appliance: str,
    rack: int,
    rank: int,
    cpus: int = 1,
    os: str = "linux",
    arch: str = "x86_64",
    comment: str = "",
    is_vm: bool = False,
) -> Host:
    """Add a host; `appliance` may be a membership. `is_vm` allows a name of four parts.

    Raises RollbuildError: USAGE for a name or number that cannot be, REFUSED where the name is taken or there is no
    such appliance.
    """
    check_host_name(c, name, is_vm=is_vm, appliance=appliance)
    values = {"rack": rack, "rank": rank, "cpus": cpus, "os": os, "arch": arch, "comment": comment}
    values = {field: _checked(c, field, value) for field, value in values.items()}
    kind = find_appliance(c, appliance).name
    with savepoint(c, otherwise=lambda: RollbuildError(f"{describe_host(c, name)} exists already")):
        c.execute(_INSERT, {"name": name, "appliance": kind, **_BOOTS, **values})
    return find_host(c, name)


def set_host(c: Connection, name: str, /, **fields: Any) -> Host:
    """Change fields of a host: those of `Host` but its membership, boot action and what follows from others.

    A new name takes its interfaces, attributes, routes, installs and VMs along; an empty label of a boot action
    is none. Raises RollbuildError as `add_host`, and where there is no such host or label.
    """
    if unknown := fields.keys() - _FIELDS:
        raise TypeError(f"set_host() takes no {', '.join(sorted(unknown))}")
    host = find_host(c, name)
    changes = {}
    for field, value in fields.items():
        if field == "name":
            value = check_host_name(c, value, is_vm=host.is_vm, but=host.name, appliance=host.appliance)
        else:
            value = _checked(c, field, value)
        if value != getattr(host, field):
            changes[field] = value
    if not changes:
        return host
    if "name" in changes and host.is_vm:
        _check_known_name(c, name)
    if "appliance" in changes and host.appliance == _CONTAINER:
        _check_holds_none(c, name)
    stored = {field: value or None if field.endswith("_action") else value for field, value in changes.items()}
    c.execute(update(_table).where(_table.c.name == name).values(**stored))
    name = changes.get("name", name)
    if "name" in changes:
        for table in (schema.attributes, schema.routes):
            c.execute(update(table).where(table.c.scope == "host", table.c.key == host.name).values(key=name))
        c.execute(update(schema.discoveries).where(schema.discoveries.c.host == host.name).values(host=name))
    mark_changed(c, name)
    return find_host(c, name)


def _check_known_name(c: Connection, name: str) -> None:
    """Raises RollbuildError for a VM that its container may know by its name: it would run on as one nobody knows."""
    vms = schema.vms
    row = c.execute(select(vms.c.state, vms.c.container).where(vms.c.host == name)).first()
    if row is not None and row.state != "added":
        knows = "knows" if row.state else "may know"
        raise RollbuildError(
            f"{row.container} {knows} the VM {name} by this name, and has its disk so",
            hint=f"give it a further name: rocks add host alias {name} ALIAS; or remove it and add another, with name=",
        )


def _check_holds_none(c: Connection, name: str) -> None:
    """Raises RollbuildError for a container with VMs: how they are reached is what attributes of containers say, and
    another install would not keep them."""
    vms = schema.vms
    found = c.execute(select(vms.c.host).where(vms.c.container == name, vms.c.state != "added")).scalars().all()
    if found:
        named = ", ".join(sorted(found, key=number_order))
        raise RollbuildError(
            f"{name} has VMs that were created there: {named}",
            hint="before it becomes another thing: rocks move host vm, or rocks remove host vm",
        )


def remove_host(c: Connection, name: str) -> None:
    """Remove a host with all that is its own. Raises RollbuildError where VMs are on it, or it is not there."""
    find_host(c, name)
    vms = c.execute(select(schema.vms.c.host).where(schema.vms.c.container == name)).scalars().all()
    if vms:
        named = ", ".join(sorted(vms, key=number_order))
        raise RollbuildError(
            f"{name} still holds {len(vms)} VM{'s' if len(vms) > 1 else ''}: {named}",
            hint="remove or move the VMs first",
        )
    retire_macs(c, name)
    c.execute(delete(_table).where(_table.c.name == name))
    for table in (schema.attributes, schema.routes):
        c.execute(delete(table).where(table.c.scope == "host", table.c.key == name))


def _checked(c: Connection, field: str, value: Any) -> Any:
    match field:
        case "appliance":
            return find_appliance(c, value).name
        case "rack" | "rank":
            return check_number(value, f"the {field}", 0, _LARGEST)
        case "cpus":
            return check_number(value, "the number of CPUs", 1, _MOST_CPUS)
        case "arch":
            return check_word(value, "an architecture")
        case "os":
            return check_word(value, "an OS")
        case "run_action" | "install_action":
            return check_label(c, value) if value else ""
    return check_text(value, f"the {field}")
