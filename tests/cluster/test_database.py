"""Opening databases of all kinds and states, and what a transaction is."""

import os
import pwd
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, select

from rollbuild import __version__
from rollbuild.cluster import (
    Database,
    VirtualMachine,
    add_host,
    configuration_generation,
    find_database_url,
    find_host,
    find_vm,
    list_appliances,
    list_hosts,
    open_database,
    read_setting,
    set_host,
    set_vm,
    write_setting,
)
from rollbuild.cluster.engines import parse_url
from rollbuild.cluster.refusing import file_system
from rollbuild.cluster.schema import REVISION, audit
from rollbuild.errors import BUSY, DISK, REFUSED, UNREACHABLE, USAGE, RollbuildError
from tests.cluster.conftest import fill


def refusal_of(act: Callable[[], object]) -> RollbuildError:
    with pytest.raises(RollbuildError) as refusal:
        act()
    assert refusal.value.message
    return refusal.value


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


# Finding and opening


def test_the_default_is_sqlite_below_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    file = tmp_path / "var/lib/rollbuild/cluster.db"
    assert find_database_url() == f"sqlite:///{file}"
    with open_database() as database:
        assert database.path == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) & 0o027 == 0


def test_a_file_and_the_environment_say_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    (tmp_path / "etc/rollbuild").mkdir(parents=True)
    (tmp_path / "etc/rollbuild/database.url").write_text("postgresql://a@b/c\n")
    assert find_database_url() == "postgresql://a@b/c"
    monkeypatch.setenv("ROLLBUILD_DATABASE", "sqlite:////x.db")
    assert find_database_url() == "sqlite:////x.db"
    monkeypatch.delenv("ROLLBUILD_DATABASE")
    (tmp_path / "etc/rollbuild/database.url").write_text("\n")
    assert "is empty" in refusal_of(find_database_url).message
    for text in ("cluster.db", "postgresql:/a@b/c", "secret"):
        (tmp_path / "etc/rollbuild/database.url").write_text(text)
        refusal = refusal_of(find_database_url)
        assert "holds neither the URL of a database nor the whole path" in refusal.message
        assert "secret" not in refusal.message + refusal.hint


URLS = {
    "/a/b.db": "sqlite:////a/b.db",
    "sqlite:////a/b.db": "sqlite:////a/b.db",
    "sqlite+pysqlite:////a/b.db": "sqlite:////a/b.db",
    "postgresql://u:p@h:1/d": "postgresql+psycopg://u:***@h:1/d",
    "postgres://h/d": "postgresql+psycopg://h/d",
}


@pytest.mark.parametrize(("url", "parsed"), URLS.items())
def test_urls(url: str, parsed: str) -> None:
    assert parse_url(url).render_as_string(hide_password=True) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/d",
        "sqlite://",
        "sqlite://h/secret",
        "x y://secret",
        "postgresql://h:secret/d",
        "/a\0secret",
        "a\nsecret",
    ],
)
def test_no_urls(url: str) -> None:
    refusal = refusal_of(lambda: parse_url(url))
    assert refusal.exit_code == USAGE
    assert "secret" not in refusal.message + refusal.hint


def test_what_is_no_database_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    path.write_bytes(b"hosts: []\n" * 1000)
    refusal = refusal_of(lambda: open_database(str(path)))
    assert refusal.message == f"{path} is no database"
    assert refusal.exit_code == REFUSED
    assert path.read_bytes() == b"hosts: []\n" * 1000


def test_a_damaged_one_is_refused(fresh_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    content = bytearray(fresh_file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    refusal = refusal_of(lambda: open_database(str(path)))
    assert f"the database {path} is damaged" in refusal.message
    assert refusal.exit_code == REFUSED


def test_another_programs_database_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    execute(path, "CREATE TABLE songs (name TEXT)", "INSERT INTO songs VALUES ('a')")
    assert "it has the table songs" in refusal_of(lambda: open_database(str(path))).message
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "cluster.db").touch(0o600)
    with open_database(str(tmp_path / "cluster.db")) as database, database.reading() as c:
        assert list_appliances(c)


def test_folders_and_what_is_below_files(tmp_path: Path) -> None:
    assert "is a folder" in refusal_of(lambda: open_database(str(tmp_path))).message
    (tmp_path / "file").touch()
    assert refusal_of(lambda: open_database(str(tmp_path / "file/cluster.db"))).exit_code == DISK


def test_a_strange_path_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b%20?mode=memory#\u00e4" / "c&d.db"
    with open_database(str(path)) as database, database.reading() as c:
        assert list_appliances(c)
    assert path.exists()


def test_many_open_a_new_one_at_once(tmp_path: Path) -> None:
    found: list[object] = []

    def work(number: int) -> None:
        try:
            with open_database(str(tmp_path / "cluster.db")) as database, database.writing("add") as c:
                add_host(c, f"compute-0-{number}", appliance="compute", rack=0, rank=number)
        except BaseException as problem:
            found.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == []
    with open_database(str(tmp_path / "cluster.db")) as database, database.reading() as c:
        assert [host.rank for host in list_hosts(c)] == list(range(8))
        assert configuration_generation(c) == 9


def test_no_server_is_unreachable_and_no_password_is_shown(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    refusal = refusal_of(lambda: open_database(f"postgresql://u:secret@/d?host={tmp_path}"))
    assert refusal.exit_code == UNREACHABLE
    assert "secret" not in refusal.message + refusal.hint


# Another user, another disk


def as_nobody(act: Callable[[], object]) -> str:
    """What another user gets: the text of a value, or the exit code and message of a refusal."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that the child does without
        child = os.fork()
    if not child:
        try:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            said = str(act())
        except RollbuildError as problem:
            said = f"{problem.exit_code} {problem.message}"
        except BaseException as problem:
            said = repr(problem)
        os.write(writable, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writable)
    with open(readable, encoding="utf-8") as pipe:
        return pipe.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_user_is_told_what_is_wrong(fresh_file: Path) -> None:
    def read() -> int:
        with open_database(str(path)) as database, database.reading() as c:
            return len(list_appliances(c))

    def write() -> None:
        with open_database(str(path)) as database, database.writing("x"):
            pass

    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are for one user
        folder = Path(name)
        path = folder / "cluster.db"
        shutil.copy(fresh_file, path)
        folder.chmod(0o755)
        path.chmod(0o600)
        assert as_nobody(read) == f"4 cannot read the database {path}: permission denied"
        path.chmod(0o644)
        assert "may not write into its folder" in as_nobody(read)
        # While another process holds it open, its log is there to read, and nothing need be written.
        with open_database(str(path)) as database:
            with database.writing("add") as c:
                add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
            assert as_nobody(read) == "8"
            assert as_nobody(write) == f"4 cannot write the database {path}: permission denied"
        folder.chmod(0o750)
        assert as_nobody(read).startswith("4 cannot ")
        assert {file.stat().st_uid for file in folder.iterdir()} == {0}


def test_the_kind_of_file_system() -> None:
    assert file_system(Path("/proc")) == "proc"
    assert file_system(Path("/nothing/here")) == ""


# Transactions


def test_generation_and_audit_count_changes_only(database: Database) -> None:
    with database.reading() as c:
        first = configuration_generation(c)
    with database.writing("rocks list host"):
        pass
    with database.writing("rocks add host compute-0-0", user="root") as c:
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        set_host(c, "compute-0-0", rack=0)
    with database.recording() as c:
        write_setting(c, "applied", "7")
    with database.reading() as c:
        assert configuration_generation(c) == first + 1
        assert read_setting(c, "applied") == "7"
        assert read_setting(c, "nothing", "x") == "x"
        assert find_host(c, "compute-0-0").changed == first + 1
        rows = c.execute(select(audit.c.user, audit.c.command, audit.c.generation)).all()
        assert rows == [("root", "rocks add host compute-0-0", first + 1)]


def test_the_audit_names_who_called_sudo(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ada")
    with database.writing("x") as c:
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        monkeypatch.undo()
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("SUDO_USER", "ada")
    with database.reading() as c:
        assert c.execute(select(audit.c.user)).scalar() == "ada"


def test_what_raises_undoes_all(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing("x") as c:
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        raise ZeroDivisionError
    with database.reading() as c:
        assert list_hosts(c) == ()
        assert configuration_generation(c) == 1


def test_a_reader_sees_one_snapshot_and_no_writer_waits_for_it(database: Database) -> None:
    with database.reading() as reader:
        assert list_hosts(reader) == ()
        with database.writing("x") as c:
            add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        assert list_hosts(reader) == ()
    with database.reading() as reader:
        assert len(list_hosts(reader)) == 1


def test_a_reader_cannot_write(database: Database) -> None:
    def write() -> None:
        with database.reading() as c:
            c.execute(audit.delete())

    assert refusal_of(write).exit_code == DISK


def test_text_that_is_no_unicode_is_refused(database: Database) -> None:
    def find() -> None:
        with database.reading() as c:
            find_host(c, "\udcff")

    assert refusal_of(find).exit_code == USAGE


def test_a_second_writer_waits_and_then_names_the_first(fresh_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    shutil.copy(fresh_file, path)
    with (
        open_database(str(path)) as first,
        open_database(str(path), wait_seconds=0.05) as second,
        first.writing("x") as c,
    ):
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)

        def write() -> None:
            with second.writing("y"):
                pass

        refusal = refusal_of(write)
        assert refusal.exit_code == BUSY
        assert f"the database {path} is busy" in refusal.message
        assert f"pid {os.getpid()}" in refusal.message
        with second.reading() as reader:
            assert list_hosts(reader) == ()


def test_a_copy_that_was_put_back_is_read_at_once(fresh_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    shutil.copy(fresh_file, path)
    with open_database(str(path)) as database:
        with database.writing("x") as c:
            add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0)
        shutil.copy(fresh_file, tmp_path / "copy.db")
        for log in ("cluster.db-wal", "cluster.db-shm"):
            (tmp_path / log).unlink(missing_ok=True)
        os.replace(tmp_path / "copy.db", path)
        with database.reading() as c:
            assert list_hosts(c) == ()


# Schemas of other versions


def test_a_newer_one_is_refused_with_the_version_that_reads_it(fresh_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    shutil.copy(fresh_file, path)
    execute(
        path,
        "UPDATE alembic_version SET version_num = '0999'",
        "UPDATE settings SET value = '7.5' WHERE name = 'rollbuild'",
    )
    refusal = refusal_of(lambda: open_database(str(path)))
    assert refusal.exit_code == REFUSED
    assert "was written by rollbuild 7.5" in refusal.message
    assert "use rollbuild 7.5 or newer" in refusal.hint


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of a rollbuild that has one more, in a folder; its text is written by the test."""
    from rollbuild.cluster import schema, upgrading

    folder = tmp_path / "migrations 100%"
    shutil.copytree(upgrading.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(upgrading, "MIGRATIONS", folder)
    monkeypatch.setattr(schema, "REVISION", "0999")
    return folder / "versions/0999.py"


MIGRATION = f"""
import sqlalchemy as sa
from alembic import op
revision = "0999"
down_revision = "{REVISION}"
def upgrade():
    # SQLite makes another table for most changes, which must not take along what refers to the old one.
    recreate = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("hosts", recreate=recreate) as hosts:
        hosts.add_column(sa.Column("colour", sa.Text, nullable=False, server_default="grey"))
"""


def test_an_older_one_is_migrated_and_a_copy_kept(cluster: Database, future: Path) -> None:
    cluster.close()
    path = cluster.path
    assert path
    future.write_text(MIGRATION)
    execute(path, "UPDATE settings SET value = '0.0' WHERE name = 'rollbuild'")
    with open_database(str(path)) as database, database.reading() as c:
        assert c.exec_driver_sql("SELECT DISTINCT colour FROM hosts").all() == [("grey",)]
        assert len(list_hosts(c)) == 4
        assert read_setting(c, "rollbuild") == __version__
        assert c.exec_driver_sql("SELECT count(*) FROM interfaces").scalar() == 5
        assert c.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    copy = path.with_name(f"cluster.db.schema-{REVISION}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute("SELECT count(*) FROM hosts").fetchall() == [(4,)]


@pytest.mark.long
def test_one_of_postgresql_is_migrated(
    postgresql: Callable[[], str], future: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rollbuild.cluster import schema

    future.write_text(MIGRATION)
    url = postgresql()
    monkeypatch.setattr(schema, "REVISION", REVISION)
    with open_database(url) as database:
        fill(database)
    monkeypatch.setattr(schema, "REVISION", "0999")
    with open_database(url) as database, database.reading() as c:
        assert c.exec_driver_sql("SELECT DISTINCT colour FROM hosts").all() == [("grey",)]
        assert len(list_hosts(c)) == 4


def test_a_migration_that_fails_leaves_the_old_one(cluster: Database, future: Path) -> None:
    cluster.close()
    path = cluster.path
    assert path
    future.write_text(MIGRATION + "    op.execute('INSERT INTO hosts (name) VALUES (1)')\n")
    before = path.read_bytes()
    assert refusal_of(lambda: open_database(str(path))).exit_code == REFUSED
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert "colour" not in [row[1] for row in connection.execute("PRAGMA table_info(hosts)")]
    assert len(before) == path.stat().st_size


def test_migrations_make_the_tables_of_the_schema(fresh_file: Path, tmp_path: Path) -> None:
    """From nothing, through each migration, to what a fresh database gets at once."""
    from sqlalchemy import create_engine

    from rollbuild.cluster.upgrading import _migrate

    def tables(path: Path, *, migrate: bool) -> object:
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as c:
            if migrate:
                c.exec_driver_sql("CREATE TABLE settings (name, value)")
                c.exec_driver_sql("ALTER TABLE settings RENAME TO old_settings")
                _migrate(c)
                c.exec_driver_sql("DROP TABLE old_settings")
            found = inspect(c)
            kinds = (
                found.get_columns,
                found.get_pk_constraint,
                found.get_foreign_keys,
                found.get_unique_constraints,
                found.get_check_constraints,
                found.get_indexes,
            )
            described = {
                name: [sorted(map(repr, kind(name))) for kind in kinds]
                for name in found.get_table_names()
                if name != "alembic_version"
            }
        engine.dispose()
        return described

    shutil.copy(fresh_file, tmp_path / "fresh.db")
    assert tables(tmp_path / "migrated.db", migrate=True) == tables(tmp_path / "fresh.db", migrate=False)


def test_one_of_before_saved_vms_had_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import create_engine

    from rollbuild.cluster import schema
    from rollbuild.cluster.upgrading import _migrate

    path = tmp_path / "cluster.db"
    execute(path, "CREATE TABLE settings (name, value)", "ALTER TABLE settings RENAME TO old_settings")
    engine = create_engine(f"sqlite:///{path}")
    with monkeypatch.context() as patch, engine.begin() as c:
        patch.setattr(schema, "REVISION", "0001")
        _migrate(c)
        c.exec_driver_sql("DROP TABLE old_settings")
    engine.dispose()
    execute(
        path,
        "INSERT INTO settings (name, value) VALUES ('rollbuild', '0.0'), ('generation', '1')",
        "INSERT INTO appliances (name, membership) VALUES ('compute', 'Compute')",
        "INSERT INTO hosts (name, appliance, rack, rank) VALUES ('box', 'compute', 0, 0), ('a', 'compute', 0, 1)",
        "INSERT INTO vms (host, container, slice, memory, state) VALUES ('a', 'box', 0, 32, 'saved')",
    )
    with open_database(str(path)) as database, database.writing("test") as c:
        assert find_vm(c, "a") == VirtualMachine("a", "box", 0, 32, state="saved")
        assert set_vm(c, "a", saved="/a.saved").saved == "/a.saved"


def test_opening_does_not_start_alembic(fresh_file: Path, tmp_path: Path) -> None:
    shutil.copy(fresh_file, tmp_path / "cluster.db")
    code = "import sys; from rollbuild.cluster import *; open_database(sys.argv[1]); print([*sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "cluster.db"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'sqlalchemy'" in done.stdout
    for name in ("alembic", "psycopg", "starlette", "textual"):
        assert f"'{name}'" not in done.stdout
