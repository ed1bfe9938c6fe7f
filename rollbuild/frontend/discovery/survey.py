"""What the database says of machines and their installs, as the state machine takes it."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Database,
    Host,
    Install,
    configuration_generation,
    install_states,
    list_appliances,
    list_discoveries,
    list_events,
    list_hosts,
    list_interfaces,
)
from rollbuild.files import system_path
from rollbuild.frontend.discovery.inserting import HELD
from rollbuild.frontend.discovery.values import KnownHost, Membership, Progress, Surveyed
from rollbuild.frontend.record import RECORD, file_state, read_applied

if TYPE_CHECKING:
    from sqlalchemy import Connection

_REINSTALLS = 3  # fetches in one order to install after which something is wrong
_SHOWN = 60
_REFUSED, _REFUSED_STATUS = "refused", "503"  # an event of the service, and what the host got instead of a Kickstart
_RECENT = 600.0  # seconds; an installer that gets no Kickstart asks again all the time
_MOST_ASKED = 100  # hosts whose events are read in one look
# Stages of an install as people call them; the name of any other stage is shown as it is.
_STAGES = {
    "ks-fetched": "",
    "pre-start": "starting",
    "pre-done": "starting",
    "preinstall": "partitioning",
    "packages": "packages",
    "post-start": "configuring",
    "post-done": "installed",
    "first-boot": "first boot",
    "ready": "ready",
}


class Survey:
    """Looks at a database again and again; hosts are read only when something changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generation = -1
        self._hosts: Mapping[str, Host] = {}
        self._record: tuple[int, int] | None = None
        self._applied = -1
        self._asked = 0

    def look(self, awaited: Sequence[str] = ()) -> Surveyed:
        """Look once. `awaited` are the hosts that have no Kickstart yet: why they got none is looked up.

        Raises RollbuildError when the database cannot be read.
        """
        with self._database.reading() as c:
            generation = configuration_generation(c)
            known = None
            if generation != self._generation:
                self._hosts = {host.name: host for host in list_hosts(c)}
                known = self._known(c)
                self._generation = generation
            denied = frozenset(found.mac for found in list_discoveries(c, "denied"))
            attempts = install_states(c)
            self._refresh(c, attempts)
            installs = {name: read_progress(install, self._hosts.get(name)) for name, install in attempts.items()}
            installs.update(self._refusals(c, awaited))
        return Surveyed(
            known=known,
            denied=denied,
            installs=installs,
            is_stale=self._find_applied() != generation,
        )

    def _refresh(self, c: "Connection", attempts: Mapping[str, Install]) -> None:
        """What an install that ends changes of its host is no change of the configuration."""
        ended = [
            name
            for name, install in attempts.items()
            if install.state in ("installed", "failed")
            and name in self._hosts
            and self._hosts[name].boot_action == "install"
        ]
        if ended:
            self._hosts = {**self._hosts, **{host.name: host for host in list_hosts(c, ended)}}

    def _known(self, c: "Connection") -> dict[str, KnownHost]:
        known = {}
        for interface in list_interfaces(c):
            host = self._hosts.get(interface.host)
            if interface.mac and host is not None:
                is_held = bool(host.held)
                awaits = host.boot_action == "install" or host.held == HELD
                known[interface.mac] = KnownHost(host.name, host.appliance, host.rack, awaits, is_held)
        return known

    def _refusals(self, c: "Connection", awaited: Sequence[str]) -> dict[str, Progress]:
        """Hosts that asked for a Kickstart which could not be made."""
        if len(awaited) > _MOST_ASKED:
            # All have their turn.
            self._asked = (self._asked + _MOST_ASKED) % len(awaited)
            awaited = (*awaited[self._asked :], *awaited[: self._asked])[:_MOST_ASKED]
        found = {}
        for name in awaited:
            last = next(reversed(list_events(c, name)), None)
            if last is not None and last.stage == _REFUSED and time.time() - last.time < _RECENT:
                found[name] = Progress(_REFUSED_STATUS, _short("", last.detail))
        return found

    def _find_applied(self) -> int:
        """The generation that the files are of; the record of it is read only when it is another one."""
        state = file_state(system_path(RECORD))
        if state != self._record or state is None:
            self._applied = read_applied().generation
            self._record = state
        return self._applied


def read_progress(install: Install, host: Host | None) -> Progress:
    """What the newest attempt says of an install that was ordered, and of what came of it."""
    if host is not None and host.boot_action == "install" and install.state == "installed":
        return Progress()  # from before the order that stands
    if install.state == "failed":
        return Progress("*" if install.given else " ", _held(host) or _short("failed", install.detail))
    if not install.given:
        return Progress()
    if install.state == "installed":
        return Progress("*", "installed", is_done=True)
    stage = _STAGES.get(install.stage, install.stage)
    again = f"fetched {install.fetches} times" if install.fetches >= _REINSTALLS else ""
    return Progress("*", _held(host) or ", ".join(filter(None, (stage, again))))


def _held(host: Host | None) -> str:
    return _short("held", host.held) if host is not None and host.held and host.held != HELD else ""


def _short(word: str, detail: str) -> str:
    """A word and the beginning of what an untrusted host said, on one line."""
    line = "".join(letter if letter.isprintable() else " " for letter in detail[: _SHOWN * 4])
    text = " ".join(line.split())
    return ": ".join(filter(None, (word, text[:_SHOWN])))


def read_memberships(c: "Connection", *, os: str = "") -> tuple[Membership, ...]:
    """The lines of the menu: public memberships, of one OS or all, by name."""
    public = [kind for kind in list_appliances(c) if kind.is_public and (not os or kind.os == os)]
    return tuple(
        Membership(kind.membership, kind.name, bool(kind.root))
        for kind in sorted(public, key=lambda one: one.membership)
    )
