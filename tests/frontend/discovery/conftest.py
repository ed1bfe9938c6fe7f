"""A front end below a temporary folder: its database with a network, without services."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.cluster import Database, Interface, Network, add_host, add_interface, add_network, open_database


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster's database with its private network and the front end `granite` on it; to be copied."""
    path = tmp_path_factory.mktemp("seeded") / "cluster.db"
    database = open_database(str(path))
    with database.writing("test") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="local"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0)
        add_interface(c, Interface("granite", "eth0", mac="52:54:00:00:00:01", address="10.1.1.1", network="private"))
    database.close()
    return path


@pytest.fixture
def database(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A copy of it, as the database of a system below a temporary folder."""
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path / "root"))
    place = tmp_path / "root/var/lib/rollbuild/cluster.db"
    place.parent.mkdir(parents=True)
    shutil.copy(seeded, place)
    database = open_database()
    yield database
    database.close()
