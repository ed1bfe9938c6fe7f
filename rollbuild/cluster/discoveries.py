"""Discoveries: machines that asked for a boot and belong to nobody yet, in a queue that waits for a decision."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.names import nearest, spell_address, spell_mac
from rollbuild.errors import RollbuildError

STATES = ("waiting", "approved", "denied")
QUEUE_LIMIT = 4096
"""So many may wait: a machine that invents MACs must not fill the disk."""

_TEXT_LIMIT = 128
_TABLE = schema.discoveries


@dataclass(frozen=True, slots=True)
class Discovery:
    """A machine that asked. Times are UTC seconds since 1970; `times` how often it asked; `state` one of STATES.

    `vendor` and `arch` are what it says itself (one line of text each). `appliance` and `host` say as what it was
    approved, "" where nothing was said.
    """

    mac: str
    first_seen: float
    last_seen: float
    vendor: str
    arch: str
    times: int
    state: str
    address: str
    appliance: str
    host: str


def note_discovery(
    c: Connection, mac: str, *, vendor: str = "", arch: str = "", address: str = "", now: float
) -> Discovery:
    """A machine asked, perhaps again: what was decided about it stays. Raises RollbuildError for what is no MAC."""
    mac = spell_mac(mac)
    told = {"vendor": _one_line(vendor), "arch": _one_line(arch), "address": spell_address(address) if address else ""}
    values: dict[str, Any] = {name: value for name, value in told.items() if value}
    values["last_seen"] = now
    again = update(_TABLE).where(_TABLE.c.mac == mac).values(times=_TABLE.c.times + 1, **values)
    if not c.execute(again).rowcount:
        _make_room(c)
        c.execute(insert(_TABLE).values(mac=mac, first_seen=now, times=1, **values))
    return find_discovery(c, mac)


def find_discovery(c: Connection, mac: str) -> Discovery:
    """Raises RollbuildError where this MAC was never seen."""
    mac = spell_mac(mac)
    row = c.execute(select(_TABLE).where(_TABLE.c.mac == mac)).first()
    if row is None:
        known = c.execute(select(_TABLE.c.mac)).scalars()
        hint = nearest(mac, known) or "let the machine boot from the network first"
        raise RollbuildError(f"no machine with the MAC {mac} was discovered", hint=hint)
    return _discovery(row)


def list_discoveries(c: Connection, state: str | None = None) -> tuple[Discovery, ...]:
    """What was discovered and is no host's yet, in the order of coming; of one state, or all."""
    taken = select(schema.interfaces.c.mac).where(schema.interfaces.c.mac.is_not(None))
    query = select(_TABLE).where(_TABLE.c.mac.not_in(taken))
    if state is not None:
        query = query.where(_TABLE.c.state == state)
    return tuple(_discovery(row) for row in c.execute(query.order_by(_TABLE.c.first_seen, _TABLE.c.mac)))


def approve_discovery(c: Connection, mac: str, *, appliance: str = "", host: str = "") -> Discovery:
    """It may become a host: of an appliance, or the host of a name. Raises RollbuildError for a MAC that a host has."""
    found = find_discovery(c, mac)
    owner = c.execute(select(schema.interfaces.c.host).where(schema.interfaces.c.mac == found.mac)).scalar()
    if owner is not None:
        raise RollbuildError(f"the MAC {found.mac} is that of host {owner} already")
    return _decide(c, found, state="approved", appliance=appliance, host=host)


def deny_discovery(c: Connection, mac: str) -> Discovery:
    """It is never asked about again, until it is approved or forgotten."""
    return _decide(c, find_discovery(c, mac), state="denied", appliance="", host="")


def forget_discovery(c: Connection, mac: str) -> None:
    """As if it had never asked. Raises RollbuildError where it did not."""
    c.execute(delete(_TABLE).where(_TABLE.c.mac == find_discovery(c, mac).mac))


def _decide(c: Connection, found: Discovery, **values: str) -> Discovery:
    c.execute(update(_TABLE).where(_TABLE.c.mac == found.mac).values(values))
    return find_discovery(c, found.mac)


def _make_room(c: Connection) -> None:
    waits = _TABLE.c.state == "waiting"
    excess = c.execute(select(func.count()).select_from(_TABLE).where(waits)).scalar_one() - QUEUE_LIMIT + 1
    if excess > 0:
        oldest = select(_TABLE.c.mac).where(waits).order_by(_TABLE.c.last_seen, _TABLE.c.mac).limit(excess)
        c.execute(delete(_TABLE).where(_TABLE.c.mac.in_(oldest)))


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_TEXT_LIMIT])


def _discovery(row: Row[Any]) -> Discovery:
    return Discovery(**row._mapping)
