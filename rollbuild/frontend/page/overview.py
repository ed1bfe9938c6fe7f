"""The hosts by rack, with the state of their installs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Discovery,
    Host,
    Install,
    Interface,
    find_primary_interfaces,
    install_states,
    list_discoveries,
    list_hosts,
    list_interfaces,
)
from rollbuild.frontend.page.masking import Mask
from rollbuild.frontend.page.states import STATES, State, since_of, state_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

OPEN_HOSTS = 120
"""Above this many hosts the tables of racks are closed at first; each rack's strip of signs shows them all."""
_MOST_CARES = 8
_MOST_WAITING = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A host. `report` is what it said last; `since` in seconds since 1970, 0 for never."""

    host: Host
    state: State
    address: str
    mac: str
    report: str
    since: float

    @property
    def remedy(self) -> str:
        """The command that lets the host install, where somebody has to give it."""
        return f"rocks set host boot {self.host.name} action=install" if self.state.needs_care else ""


@dataclass(frozen=True, slots=True)
class Rack:
    """The hosts of a rack, and how many are in each state."""

    number: int
    rows: tuple[Row, ...]
    counts: tuple[tuple[State, int], ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The page. `cares` are the hosts that need somebody, `waiting` the machines that nobody decided about."""

    total: int
    shown: int
    counts: tuple[tuple[State, int], ...]
    cares: tuple[Row, ...]
    more_cares: int
    waiting: tuple[Discovery, ...]
    more_waiting: int
    racks: tuple[Rack, ...]
    is_open: bool


def read_overview(c: "Connection", now: float, *, state: str = "", search: str = "") -> Overview:
    """What the page shows: all hosts, or those in a state and with a text in their name, appliance or addresses."""
    installs, primary = install_states(c), find_primary_interfaces(list_interfaces(c))
    mask = Mask()
    rows = [_row(host, installs.get(host.name), primary.get(host.name), now, mask) for host in list_hosts(c)]
    waiting = list_discoveries(c, "waiting")
    cares = sorted((row for row in rows if row.state.needs_care), key=lambda row: STATES.index(row.state))
    words = search.lower().split()
    shown = [row for row in rows if (not state or row.state.name == state) and _matches(row, words)]
    by_rack: dict[int, list[Row]] = {}
    for row in shown:
        by_rack.setdefault(row.host.rack, []).append(row)
    racks = tuple(Rack(number, tuple(own), count_states(own)) for number, own in sorted(by_rack.items()))
    return Overview(
        total=len(rows),
        shown=len(shown),
        counts=count_states(rows),
        cares=tuple(cares[:_MOST_CARES]),
        more_cares=max(0, len(cares) - _MOST_CARES),
        waiting=waiting[:_MOST_WAITING],
        more_waiting=max(0, len(waiting) - _MOST_WAITING),
        racks=racks,
        is_open=len(shown) <= OPEN_HOSTS,
    )


def count_states(rows: Iterable[Row]) -> tuple[tuple[State, int], ...]:
    """How many are in each state that there is, in the order of STATES."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state.name] = counts.get(row.state.name, 0) + 1
    return tuple((state, counts[state.name]) for state in STATES if state.name in counts)


def _row(host: Host, install: Install | None, interface: Interface | None, now: float, mask: Mask) -> Row:
    return Row(
        host=host,
        state=state_of(host, install, now),
        address=interface.address if interface else "",
        mac=interface.mac if interface else "",
        report=_report(host, install, mask),
        since=since_of(install),
    )


def _report(host: Host, install: Install | None, mask: Mask) -> str:
    if host.held:
        return _first_line(mask.text(host.held[:400]))
    if install is None:
        return ""
    detail = _first_line(mask.text(install.detail[:400])) if install.detail else ""
    return f"{install.stage}: {detail}" if detail else install.stage


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 160 else line[:159] + "\u2026"


def _matches(row: Row, words: list[str]) -> bool:
    if not words:
        return True
    host = row.host
    text = f"{host.name} {host.appliance} {host.membership} {row.address} {row.mac} {host.comment}".lower()
    return all(word in text or word == f"rack{host.rack}" for word in words)
