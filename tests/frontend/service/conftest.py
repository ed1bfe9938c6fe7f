"""A small front end in a temporary folder: a store with a distribution, a database with three hosts, the service."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollbuild.cluster import (
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    open_database,
    set_attribute,
    set_boot,
)
from rollbuild.distribution import Compiled, Wanted, create_generation
from rollbuild.frontend import FrontEnd, KickstartMaker, ensure_applied, open_front_end
from rollbuild.frontend.service import Work, make_app
from rollbuild.rolls import Store
from tests.postgresql import postgresql
from tests.stores import BASE, HELLO, OS, PROFILE, add_os, add_roll

__all__ = ["postgresql"]

HOST, OTHER, DONE = "compute-0-0", "compute-0-1", "compute-0-2"
ADDRESSES = {HOST: "10.1.255.254", OTHER: "10.1.255.253", DONE: "10.1.255.252"}
MACS = {HOST: "52:54:00:aa:10:00", OTHER: "52:54:00:aa:10:01", DONE: "52:54:00:aa:10:02"}
ATTRIBUTES = """
root_password: {default: $6$first$hash, type: secret}
install_token: {default: "", type: secret}
install_events: ""
cluster_ca: ""
note: {default: plain}
size: {default: "100", type: integer}
Kickstart_PrivateKickstartHost: 10.1.1.1
Kickstart_PrivateDNSDomain: cluster.internal
"""
NODE = BASE.replace(
    "</kickstart>",
    """
  <pre>
rb_url='&install_events;'
rb_host='&hostname;'
rb_token='&install_token;'
echo '&note;' &size; &rack; &hostaddr; &ksmac;
<template>{{ hosts|length }} hosts{% for roll in rolls %}, {{ roll.id }}{% endfor %}</template>
</pre>
  <post cond="cluster_ca">
cat &gt;/etc/ca.pem &lt;&lt;'CA'
&cluster_ca;
CA
</post>
</kickstart>""",
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a front end to which everything was applied, to copy."""
    root = tmp_path_factory.mktemp("front-end")
    store = Store(root / "export/rollbuild")
    store.folder.mkdir(parents=True)
    add_os(store, root / "dvd")
    shutil.rmtree(root / "dvd")
    add_roll(store, packages=[HELLO], profile={**PROFILE, "nodes/base.xml": NODE, "attributes.yaml": ATTRIBUTES})
    create_generation(
        store, Wanted("cluster", OS), compile=lambda description: Compiled({}), judge=lambda findings: None
    )
    before = os.environ.get("ROLLBUILD_ROOT")
    os.environ["ROLLBUILD_ROOT"] = str(root)
    try:
        with open_front_end().database as database:
            fill(FrontEnd(database, store))
            ensure_applied(FrontEnd(database, store))
    finally:
        os.environ.pop("ROLLBUILD_ROOT")
        if before is not None:
            os.environ["ROLLBUILD_ROOT"] = before
    return root


def make_generation(store: Store, name: str = "cluster") -> None:
    """A new generation of a distribution, of what the store has now."""
    create_generation(store, Wanted(name, OS), compile=lambda description: Compiled({}), judge=lambda findings: None)


def copy_of_store(store: Store, folder: Path) -> Store:
    """The same store, to change."""
    shutil.copytree(store.folder, folder / "store", symlinks=True)
    return Store(folder / "store")


def fill(front_end: FrontEnd) -> None:
    """Two hosts that are to install, and one that is done."""
    with front_end.database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal", serves_dns=True))
        add_host(c, "frontend-0-0", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("frontend-0-0", "eth0", "52:54:00:aa:00:01", "10.1.1.1", "private"))
        for rank, name in enumerate(ADDRESSES):
            add_host(c, name, appliance="compute", rack=0, rank=rank)
            add_interface(c, Interface(name, "eth0", MACS[name], ADDRESSES[name], "private"))
            set_boot(c, name, "os" if name == DONE else "install")


@dataclass
class Clock:
    """What time it is."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Service:
    """The service, and a way to ask it from any address without a network."""

    root: Path
    front_end: FrontEnd
    work: Work
    app: Any
    clock: Clock = field(default_factory=Clock)

    def ask(
        self,
        method: str,
        path: str,
        *,
        of: str = ADDRESSES[HOST],
        tls: bool = False,
        headers: Mapping[str, str] | None = None,
        token: str = "",
        **body: Any,
    ) -> httpx.Response:
        """Ask from an address, as nginx on this machine would pass it on."""
        given = {"X-Forwarded-For": of, "X-Forwarded-Proto": "https" if tls else "http", **(headers or {})}
        if token:
            given["X-RB-Token"] = token
        return self.ask_directly(method, path, peer="127.0.0.1", headers=given, **body)

    def ask_directly(self, method: str, path: str, *, peer: str, scheme: str = "http", **given: Any) -> httpx.Response:
        """Ask without a proxy."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(peer, 4711))
            async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://10.1.1.1") as client:
                return await client.request(method, path, **given)

        return asyncio.run(run())

    def install(self, host: str = HOST) -> str:
        """Have a host fetch its Kickstart; the token in it."""
        answer = self.ask("GET", f"/ks/{host}", of=ADDRESSES[host])
        assert answer.status_code == 200, answer.text
        return token_in(answer.text)

    def report(self, host: str, token: str, stage: str, detail: str = "", **given: Any) -> httpx.Response:
        fields = {"host": host, "stage": stage, "detail": detail}
        return self.ask("POST", "/events/", of=ADDRESSES.get(host, ""), token=token, data=fields, **given)

    def set(self, scope: str, key: str, name: str, value: str) -> None:
        with self.front_end.database.writing("set") as c:
            set_attribute(c, scope, key, name, value)

    def order(self, host: str, action: str = "install") -> None:
        with self.front_end.database.writing("set boot") as c:
            set_boot(c, host, action)


def token_in(text: str) -> str:
    """The token in a Kickstart."""
    return text.split("rb_token='")[1].split("'")[0]


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the front end; its store is shared, as nothing writes to it."""
    copy = tmp_path / "root"
    shutil.copytree(made, copy, symlinks=True, ignore=shutil.ignore_patterns("rollbuild-0", "export"))
    (copy / "export").mkdir(exist_ok=True)
    shutil.copytree(made / "export/install", copy / "export/install", symlinks=True)
    monkeypatch.setenv("ROLLBUILD_ROOT", str(copy))
    monkeypatch.setenv("ROLLBUILD_STORE", str(made / "export/rollbuild"))
    return copy


@pytest.fixture
def service(root: Path) -> Iterator[Service]:
    """The service of a fresh front end, on SQLite."""
    front_end = open_front_end()
    with front_end.database:
        yield start(root, front_end)


def start(root: Path, front_end: FrontEnd, files: Path | None = None) -> Service:
    clock = Clock()
    work = Work(front_end, KickstartMaker(front_end), clock)
    return Service(root, front_end, work, make_app(front_end, files, work=work), clock)


def open_on(url: str) -> FrontEnd:
    """The front end with another database."""
    store = Store(Path(os.environ["ROLLBUILD_STORE"]))
    return FrontEnd(open_database(url), store)
