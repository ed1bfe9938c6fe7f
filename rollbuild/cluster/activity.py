"""What pages ask of the database again and again: whether anything changed, and the attempts of a host."""

from dataclasses import fields

from sqlalchemy import Connection, Select, case, func, select

from rollbuild.cluster import schema
from rollbuild.cluster.installs import WAITING, Install

_INSTALLS = schema.installs


def _marks() -> Select[tuple[object, ...]]:
    hosts, installs, events, found = schema.hosts, _INSTALLS, schema.install_events, schema.discoveries
    settings = schema.settings
    asked = (
        (settings, func.max(case((settings.c.name == "generation", settings.c.value)))),
        (hosts, func.count()),
        # A hold, and the end of an install, are no new generation of the configuration.
        (hosts, func.sum(hosts.c.changed)),
        (hosts, func.sum(case((hosts.c.held != "", 1), else_=0))),
        (hosts, func.sum(case((hosts.c.boot_action != "os", 1), else_=0))),
        (installs, func.max(installs.c.id)),
        (installs, func.count()),
        (installs, func.max(installs.c.last_event)),
        (installs, func.max(installs.c.finished)),
        (installs, func.sum(installs.c.fetches + installs.c.secrets_given)),
        (events, func.max(events.c.id)),
        (events, func.max(events.c.time)),
        (found, func.count()),
        (found, func.sum(found.c.times)),
        (found, func.sum(case((found.c.state == "waiting", 1), else_=0))),
    )
    return select(*(select(what).select_from(table).scalar_subquery() for table, what in asked))


_MARKS = _marks()


def activity_mark(c: Connection) -> str:
    """A text that is another one after anything changed: configuration, installs, their events, discoveries.

    One query, which takes a millisecond or so with 1,000 hosts.
    """
    return ".".join(str(value) for value in c.execute(_MARKS).one())


def list_installs(c: Connection, host: str, limit: int = 10) -> tuple[Install, ...]:
    """The last attempts of a host, the newest first."""
    columns = [_INSTALLS.c[field.name] for field in fields(Install)]
    own = (_INSTALLS.c.host == host) & (_INSTALLS.c.state != WAITING)
    return tuple(
        Install(*row) for row in c.execute(select(*columns).where(own).order_by(_INSTALLS.c.id.desc()).limit(limit))
    )
