"""Several processes write at once, are killed, or find the server gone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbuild.cluster import (
    Database,
    add_host,
    configuration_generation,
    list_hosts,
    list_interfaces,
    open_database,
)
from rollbuild.errors import BUSY, DISK, REFUSED, UNREACHABLE, RollbuildError
from tests.cluster.conftest import fill

ROOT = Path(__file__).parents[2]

# What insert-ethers does for each machine that it sees, as often as told.
ADD = """
import sys
from rollbuild.cluster import *
with open_database(sys.argv[1], wait_seconds=60) as database:
    for _ in range(int(sys.argv[2])):
        with database.writing("add host") as c:
            rank = next_rank(c, "compute", 5)
            name = f"compute-5-{rank}"
            add_host(c, name, appliance="compute", rack=5, rank=rank)
            add_interface(c, Interface(name, "eth0", next_mac(c), next_address(c, "private"), "private"))
"""

# Stops in the middle of a transaction until it is killed.
HANG = """
import sys
from rollbuild.cluster import *
database = open_database(sys.argv[1])
with database.writing("add host") as c:
    add_host(c, "compute-7-0", appliance="compute", rack=7, rank=0)
    remove_host(c, "compute-0-0")
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, fresh_file: Path, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        shutil.copy(fresh_file, tmp_path / "cluster.db")
        made = str(tmp_path / "cluster.db")
    else:
        made = request.getfixturevalue("postgresql")()
    with open_database(made) as database:
        fill(database)
    yield made


@pytest.mark.long
def test_many_processes_add_hosts_and_none_gets_what_another_has(url: str) -> None:
    writers = [start(ADD, url, "10") for _ in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    with open_database(url) as database, database.reading() as c:
        hosts = [host for host in list_hosts(c) if host.rack == 5]
        interfaces = list_interfaces(c, [host.name for host in hosts])
        assert [host.rank for host in hosts] == list(range(40))
        assert len({interface.mac for interface in interfaces}) == 40
        # Without holes, from the top: nobody allocated what was not free.
        assert {one.address for one in interfaces} == {f"10.1.255.{number}" for number in range(212, 252)}
        assert configuration_generation(c) == 42


@pytest.mark.long
def test_a_killed_writer_leaves_what_was_there_before(url: str) -> None:
    with open_database(url) as database, database.reading() as c:
        before = configuration_generation(c), list_hosts(c), list_interfaces(c)
    writer = start(HANG, url)
    assert writer.stdout
    assert writer.stdout.readline() == "ready\n"
    writer.kill()
    writer.communicate()
    with open_database(url, wait_seconds=30) as database:
        with database.reading() as c:
            assert (configuration_generation(c), list_hosts(c), list_interfaces(c)) == before
        with database.writing("add host") as c:
            add_host(c, "compute-7-0", appliance="compute", rack=7, rank=0)


@pytest.mark.long
def test_a_second_writer_is_told_who_holds_the_database(url: str) -> None:
    writer = start(HANG, url)
    assert writer.stdout
    try:
        assert writer.stdout.readline() == "ready\n"
        with open_database(url, wait_seconds=0.05) as database:
            with database.reading() as c:
                assert len(list_hosts(c)) == 4
            with pytest.raises(RollbuildError) as refusal, database.writing("y"):
                pass
        assert refusal.value.exit_code == BUSY
        who = f"pid {writer.pid}" if url.startswith("/") else " of test"
        assert who in refusal.value.message
    finally:
        writer.kill()
        writer.communicate()


def execute(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def refusal_at(url: str) -> RollbuildError:
    with pytest.raises(RollbuildError) as refusal:
        open_database(url)
    return refusal.value


@pytest.mark.long
def test_what_postgresql_refuses(postgresql: Callable[..., str]) -> None:
    made = postgresql()
    missing = refusal_at(made.replace("?", "x?"))
    assert missing.exit_code == UNREACHABLE
    assert "does not exist" in missing.message

    execute(made, "CREATE TABLE songs (name TEXT)")
    assert "it has the table songs" in refusal_at(made).message

    made = postgresql()
    open_database(made).close()
    execute(made, "CREATE ROLE reader LOGIN", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        with open_database(made.replace("test@", "reader@")) as database:
            with database.reading() as c:
                assert list_hosts(c) == ()
            with pytest.raises(RollbuildError, match="permission denied") as refusal, database.writing("x") as c:
                add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
            assert refusal.value.exit_code == REFUSED
    finally:
        execute(made, "DROP OWNED BY reader", "DROP ROLE reader")

    execute(made, "UPDATE alembic_version SET version_num = '0999'")
    assert "was written by rollbuild" in refusal_at(made).message


@pytest.mark.long
def test_a_session_that_the_server_ended_is_replaced(postgresql: Callable[..., str]) -> None:
    made = postgresql()
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"

    def change(database: Database) -> None:
        with database.writing("x") as c:
            add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
            execute(made, end)
            add_host(c, "compute-0-1", appliance="compute", rack=0, rank=1)

    with open_database(made) as database:
        with pytest.raises(RollbuildError) as refusal:
            change(database)
        assert refusal.value.exit_code == UNREACHABLE
        with database.reading() as c:
            assert list_hosts(c) == ()
        execute(made, end)
        with database.reading() as c:
            assert list_hosts(c) == ()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], capture_output=True).returncode:
        pytest.skip("mount needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.long
def test_a_full_disk_leaves_what_was_there_before(disk: Path) -> None:
    with open_database(str(disk / "cluster.db")) as database:
        fill(database)
        with database.reading() as c:
            before = configuration_generation(c), list_hosts(c)

        def add_many() -> None:
            with database.writing("x") as c:
                for rank in range(1000):
                    add_host(c, f"nas-0-{rank}", appliance="nas", rack=0, rank=rank, comment="x" * 4000)

        with pytest.raises(RollbuildError, match="the disk is full") as refusal:
            add_many()
        assert refusal.value.exit_code == DISK
        with database.reading() as c:
            assert (configuration_generation(c), list_hosts(c)) == before
    with open_database(str(disk / "cluster.db")) as database, database.reading() as c:
        assert (configuration_generation(c), list_hosts(c)) == before


@pytest.mark.long
def test_a_disk_that_is_mounted_read_only_is_read(disk: Path) -> None:
    path = disk / "cluster.db"
    with open_database(str(path)) as database:
        fill(database)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with open_database(str(path)) as database:
        with database.reading() as c:
            assert len(list_hosts(c)) == 4
        with pytest.raises(RollbuildError, match="mounted read-only") as refusal, database.writing("x"):
            pass
    assert refusal.value.exit_code == DISK
    with pytest.raises(RollbuildError, match="cannot make the database") as refusal:
        open_database(str(disk / "other.db"))
    assert refusal.value.exit_code == DISK
