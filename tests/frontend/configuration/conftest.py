"""A front end below a temporary folder: its database, and a store with distributions."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.cluster import Interface, Network, add_host, add_interface, add_network, set_attribute
from rollbuild.commands.main import main
from rollbuild.frontend import FrontEnd, open_front_end
from rollbuild.rolls import Store
from tests.stores import add_os, add_roll, copy_store


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the distribution `compute`, of el9."""
    folder = tmp_path_factory.mktemp("made")
    store = Store(folder / "store")
    store.folder.mkdir()
    name = add_os(store, folder / "dvd")
    add_roll(store, "base")
    argv = ["distro", "create", "compute", "--os", name, "--no-kickstarts", "--store", str(store.folder), "-q"]
    assert main(argv) == 0
    return store


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, loaders = tmp_path / "root", tmp_path / "syslinux"
    folder.mkdir()
    loaders.mkdir()
    for name in ("pxelinux.0", "ldlinux.c32"):
        (loaders / name).write_bytes(b"\0" + name.encode())
    monkeypatch.setattr("rollbuild.media.loaders._OF_THE_MACHINE", (loaders,))  # GRUB takes its time to be made
    # Nobody pulls the plug of a folder that is thrown away.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setenv("ROLLBUILD_ROOT", str(folder))
    return folder


@pytest.fixture
def bare(root: Path) -> Iterator[FrontEnd]:
    """A front end whose database and store are new."""
    front_end = open_front_end()
    yield front_end
    front_end.database.close()


@pytest.fixture
def front_end(bare: FrontEnd) -> FrontEnd:
    """One with its own host, two networks and two compute nodes."""
    fill(bare)
    return bare


@pytest.fixture
def stocked(front_end: FrontEnd, made_store: Store, root: Path) -> FrontEnd:
    """The same with a distribution."""
    (root / "export/rollbuild").parent.mkdir(parents=True, exist_ok=True)
    copied = copy_store(made_store, root / "export")
    copied.folder.rename(root / "export/rollbuild")
    return front_end


def fill(front_end: FrontEnd) -> None:
    with front_end.database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="cluster.internal", serves_dns=True))
        add_network(c, Network("public", "192.0.2.0", "255.255.255.0", zone="example.org"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eno1", address="10.1.1.1", network="private"))
        add_interface(c, Interface("granite", "eno2", address="192.0.2.1", network="public"))
        set_attribute(c, "global", "", "Kickstart_PrivateHostname", "granite")
    add(front_end, "compute-0-0", "52:54:00:aa:00:01", "10.1.255.254")
    add(front_end, "compute-0-1", "52:54:00:aa:00:02", "10.1.255.253", rank=1)


def add(front_end: FrontEnd, name: str, mac: str, address: str, *, appliance: str = "compute", rank: int = 0) -> None:
    with front_end.database.writing(f"add {name}") as c:
        add_host(c, name, appliance=appliance, rack=0, rank=rank)
        add_interface(c, Interface(name, "eno1", mac=mac, address=address, network="private"))
