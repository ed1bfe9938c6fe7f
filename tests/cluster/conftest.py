"""A database for each test, and a small cluster in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.cluster import (
    Database,
    Interface,
    Network,
    add_host,
    add_interface,
    add_network,
    next_address,
    open_database,
)
from tests.postgresql import postgresql

__all__ = ["postgresql"]


@pytest.fixture(scope="session")
def fresh_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a fresh SQLite database, to copy: making one takes longer."""
    path = tmp_path_factory.mktemp("cluster") / "fresh.db"
    open_database(str(path)).close()
    return path


@pytest.fixture
def database(fresh_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database."""
    shutil.copy(fresh_file, tmp_path / "cluster.db")
    with open_database(str(tmp_path / "cluster.db")) as opened:
        yield opened


@pytest.fixture
def cluster(database: Database) -> Database:
    """A front end `granite` on networks private and public, and hosts compute-0-0 to compute-0-2."""
    fill(database)
    return database


def fill(database: Database) -> None:
    with database.writing("fill") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="local", serves_dns=True))
        add_network(c, Network("public", "203.0.113.0", "255.255.255.0", zone="example.org"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth0", "52:54:00:aa:00:01", "10.1.1.1", "private"))
        add_interface(c, Interface("granite", "eth1", "52:54:00:aa:00:02", "203.0.113.77", "public"))
        for rank in range(3):
            name = f"compute-0-{rank}"
            add_host(c, name, appliance="compute", rack=0, rank=rank)
            mac = f"52:54:00:aa:10:0{rank}"
            add_interface(c, Interface(name, "eth0", mac, next_address(c, "private"), "private"))
