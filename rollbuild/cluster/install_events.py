"""What hosts report while they install: the last 200 events of each."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from rollbuild.cluster import schema

KEPT_EVENTS = 200
DETAIL_LIMIT = 64 * 1024
CUT = "\n(cut)"

_EVENTS = schema.install_events


@dataclass(frozen=True, slots=True)
class InstallEvent:
    """What a host reported; `detail` is up to 64 KiB of text from an untrusted host."""

    time: float
    stage: str
    detail: str


def note_event(c: Connection, host: str, stage: str, detail: str, now: float) -> None:
    """Keep what happened to a host outside of any attempt, such as a Kickstart that could not be made."""
    detail = clean_detail(detail)
    newest = select(_EVENTS).where(_EVENTS.c.host == host).order_by(_EVENTS.c.id.desc()).limit(1)
    last = c.execute(newest).first()
    if last is not None and (last.stage, last.detail) == (stage, detail):
        # Installers ask again and again: once is enough, and leaves room for others.
        c.execute(update(_EVENTS).where(_EVENTS.c.id == last.id).values(time=now))
        return
    keep_event(c, host, None, stage, detail, now)


def list_events(c: Connection, host: str) -> tuple[InstallEvent, ...]:
    """The last 200 events of a host, the oldest first."""
    query = select(_EVENTS.c.time, _EVENTS.c.stage, _EVENTS.c.detail).where(_EVENTS.c.host == host)
    return tuple(InstallEvent(*row) for row in c.execute(query.order_by(_EVENTS.c.id)))


def keep_event(c: Connection, host: str, install: int | None, stage: str, detail: str, now: float) -> None:
    """Keep an event of a host, of an attempt or of none, and forget those of long ago."""
    c.execute(insert(_EVENTS).values(host=host, install=install, time=now, stage=stage, detail=detail))
    prune_rows(c, _EVENTS, _EVENTS.c.host == host, KEPT_EVENTS)


def prune_rows(c: Connection, table: Any, which: ColumnElement[bool], kept: int) -> None:
    """Remove all but the newest rows of those that `which` selects."""
    oldest = select(table.c.id).where(which).order_by(table.c.id.desc()).offset(kept).limit(1).scalar_subquery()
    c.execute(delete(table).where(which & (table.c.id <= oldest)))


def clean_detail(text: str) -> str:
    """The text as it is kept: without NUL, valid, and at most 64 KiB of it."""
    data = text.replace("\0", "").encode("utf-8", "replace")
    if len(data) <= DETAIL_LIMIT:
        return data.decode()
    return data[: DETAIL_LIMIT - len(CUT)].decode("utf-8", "ignore") + CUT
