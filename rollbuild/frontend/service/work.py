"""What the requests work on, and who may ask for what."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Host,
    Install,
    find_install,
    lies_in,
    list_hosts,
    list_interfaces,
    list_networks,
    record_event,
    select_hosts,
)
from rollbuild.errors import RollbuildError
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.rounds import Rounds
from rollbuild.frontend.templatedata import PRIMARY_NETWORK

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("rollbuild.service")
INSTALL = "install"
MENDED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """That an install came to a stage at a time, with what the host says of it."""

    install: Install
    stage: str
    detail: str
    time: float


@dataclass(frozen=True, slots=True)
class Work:
    """The front end, and the clock: UTC in seconds since 1970.

    Threads that record take turns: SQLite lets those that it finds waiting sleep longer and longer. What makes a new
    generation of the configuration, or writes boot files, is done for all at once that ask for it at the same time.
    """

    front_end: FrontEnd
    maker: KickstartMaker
    clock: Callable[[], float] = time.time
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _mended: dict[str, float] = field(default_factory=dict, repr=False)
    _ends: Rounds[Report] = field(init=False, repr=False)
    _boot_files: Rounds[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", Rounds(self._record_ends))
        object.__setattr__(self, "_boot_files", Rounds(self._write_boot_files))

    @contextmanager
    def recording(self) -> "Iterator[Connection]":
        """A connection to note something about installs with: see `Database.recording`."""
        with self._turn, self.front_end.database.recording() as c:
            yield c

    def end_install(self, report: Report) -> None:
        """Note that a host is installed: its boot action follows. Raises RollbuildError."""
        self._ends.do(report)

    def write_boot_files(self, host: str) -> None:
        """Bring a host's boot files up to the database. Raises RollbuildError."""
        self._boot_files.do(host)

    def _record_ends(self, reports: Sequence[Report]) -> None:
        names = ", ".join(dict.fromkeys(report.install.host for report in reports))
        line = f"{names} {'is' if len(reports) == 1 else 'are'} installed"
        with self._turn, self.front_end.database.writing(line, "rollbuild serve") as c:
            for report in reports:
                record_event(c, report.install, report.stage, report.detail, report.time)

    def _write_boot_files(self, hosts: Sequence[str]) -> None:
        from rollbuild.frontend import apply_boot_files

        apply_boot_files(self.front_end, frozenset(hosts))

    def mend_boot_files(self, host: str) -> None:
        """Write a host's boot files again, once a minute at most: it asks for an install that it is not to have, so
        they are older than the database. Whatever wrote them last was cut off."""
        now = self.clock()
        if now - self._mended.get(host, 0.0) >= MENDED_SECONDS:
            self._mended[host] = now
            self.write_boot_files(host)


def host_to_install(c: "Connection", name: str) -> Host:
    """A host that may install now. Raises Refused."""
    found = list_hosts(c, [name])
    if not found:
        raise Refused(403, "no host has this name")
    host = found[0]
    if host.held:
        raise Refused(403, f"{name} is held: {host.held}")
    if host.boot_action != INSTALL:
        raise Refused(403, f"{name} is not to install: its boot action is {host.boot_action}")
    return host


def refuse_stranger(c: "Connection", host: str, asker: Asker) -> None:
    """Raises Refused unless the request comes from an address of the host, or from one of the network that an
    interface of the host is on and names the MAC address of that interface."""
    networks = None
    interfaces = list_interfaces(c, [host])
    if asker.address and any(interface.address == asker.address for interface in interfaces):
        return
    for interface in interfaces:
        if interface.mac and interface.mac in asker.macs and "." in asker.address:
            networks = networks or {network.name: network for network in list_networks(c)}
            network = networks.get(interface.network or PRIMARY_NETWORK)
            if network is not None and lies_in(asker.address, network):
                _refuse_other(c, host, asker)
                return
    raise Refused(403, f"{asker.address or 'an unknown address'} is not {host}")


def _refuse_other(c: "Connection", host: str, asker: Asker) -> None:
    """Anyone can name a MAC address: the address of another host shows who it is. Raises Refused."""
    with suppress(RollbuildError):
        for owner in select_hosts(c, [asker.address]):
            raise Refused(403, f"{asker.address} is {owner}, and names a MAC address of {host}")


def install_of_token(c: "Connection", host: str, asker: Asker) -> Install:
    """The install of a host that the request's token belongs to. Raises Refused."""
    if not asker.token:
        raise Refused(403, "there is no token")
    install = find_install(c, token=asker.token)
    if install is None:
        raise Refused(403, "no install has this token")
    if install.host != host:
        raise Refused(403, f"the token is that of an install of {install.host}")
    return install


def is_newest(c: "Connection", install: Install) -> bool:
    """Whether no later attempt of the host followed."""
    newest = find_install(c, host=install.host)
    return newest is not None and newest.id == install.id
