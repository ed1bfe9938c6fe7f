"""Appliances, and the boot actions that their hosts boot by."""

from dataclasses import asdict

from sqlalchemy import BindParameter, Connection, Row, bindparam, delete, func, insert, select

from rollbuild.cluster import schema
from rollbuild.cluster.names import check_text, check_word, nearest, savepoint
from rollbuild.cluster.values import Appliance
from rollbuild.errors import USAGE, RollbuildError

_table = schema.appliances
_word: BindParameter[str] = bindparam("word")
_is_name = func.lower(_table.c.name) == _word
# Where one appliance's membership is another's name, the name counts.
_FIND = select(_table).where(_is_name | (func.lower(_table.c.membership) == _word)).order_by(_is_name.desc())


def list_appliances(c: Connection) -> tuple[Appliance, ...]:
    return tuple(_appliance(row) for row in c.execute(select(_table).order_by(_table.c.name)))


def find_appliance(c: Connection, word: str) -> Appliance:
    """The appliance of a name or membership, in upper or lower case. Raises RollbuildError, with what is similar."""
    lowered = word.lower()
    row = c.execute(_FIND, {"word": lowered}).first()
    if row is None:
        known = list_appliances(c)
        hint = nearest(lowered, [name for one in known for name in (one.name, one.membership.lower())])
        raise RollbuildError(
            f'there is no appliance "{word}"',
            hint=hint or f"there are: {', '.join(one.name for one in known)}",
        )
    return _appliance(row)


def add_appliance(c: Connection, appliance: Appliance) -> None:
    """Raises RollbuildError: REFUSED where an appliance or a host has this name or membership, USAGE."""
    check_word(appliance.name, "an appliance")
    if not check_text(appliance.membership, "the membership").strip():
        raise RollbuildError(f'the membership of appliance "{appliance.name}" is empty', exit_code=USAGE)
    check_word(appliance.graph, "a graph")
    check_word(appliance.os, "an OS")
    if appliance.root:
        check_word(appliance.root, "a node")
    for other in list_appliances(c):
        if other.name.lower() == appliance.name.lower():
            raise RollbuildError(f'appliance "{other.name}" exists already')
        if other.membership.lower() == appliance.membership.lower():
            raise RollbuildError(f'membership "{other.membership}" exists already: of appliance "{other.name}"')
    if c.execute(select(schema.hosts.c.name).where(schema.hosts.c.name == appliance.name)).first():
        raise RollbuildError(f'a host is called "{appliance.name}"', hint="an appliance cannot be called so too")
    c.execute(insert(_table).values(**asdict(appliance)))


def remove_appliance(c: Connection, name: str) -> None:
    """Remove an appliance, its attributes and routes. Raises RollbuildError where it has hosts or is not there."""
    appliance = find_appliance(c, name)
    with savepoint(c, otherwise=lambda: _has_hosts(c, appliance.name)):
        c.execute(delete(_table).where(_table.c.name == appliance.name))
    for table in (schema.attributes, schema.routes):
        c.execute(delete(table).where(table.c.scope == "appliance", table.c.key == appliance.name))


def _has_hosts(c: Connection, name: str) -> RollbuildError:
    of_it = schema.hosts.c.appliance == name
    count = c.execute(select(func.count()).where(of_it)).scalar() or 0
    first = c.execute(select(schema.hosts.c.name).where(of_it).order_by(schema.hosts.c.name).limit(3)).scalars().all()
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return RollbuildError(
        f'appliance "{name}" has hosts: {", ".join(first)}{more}',
        hint="remove them first, or give them another appliance",
    )


def _appliance(row: Row[tuple[object, ...]]) -> Appliance:
    return Appliance(**row._mapping)
