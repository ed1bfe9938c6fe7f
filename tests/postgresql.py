"""A PostgreSQL server for tests: temporary, on a socket of its own, gone with the process that started it."""

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path

import pytest

_numbers = count()
# A test's data need not outlive a power failure.
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off"


@pytest.fixture(scope="session")
def postgresql() -> Callable[..., str]:
    """A function that makes a database on the server of this test run and returns its URL.

    It is empty, or a copy of that whose URL is given and which nobody is connected to. The first use takes 1.5 s: mark
    its tests `long`. Skips where `initdb` is missing.
    """
    if _find_programs() is None:
        pytest.skip("initdb is missing")
    folder = _start_server()

    def make_database(template: str = "template0") -> str:
        import psycopg

        source = template.partition("?")[0].rpartition("/")[2]
        name = f"cluster{next(_numbers)}"
        with psycopg.connect(f"host={folder} user=test dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        return f"postgresql://test@/{name}?host={folder}"

    return make_database


def _find_programs() -> Path | None:
    """The folder of initdb and pg_ctl; distributions keep it off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    return next((folder for folder in sorted(folders, reverse=True) if (folder / "initdb").exists()), None)


@cache
def _start_server() -> str:
    """Start the server; the folder of its socket."""
    programs = _find_programs()
    folder = tempfile.mkdtemp(prefix="rollbuild-postgresql-")
    user = _unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        argv = [f"{programs}/{program}", *arguments]
        with open(os.devnull, "r+b") as null:  # the server keeps these open
            subprocess.run(argv, check=True, user=user, cwd=folder, stdin=null, stdout=null, stderr=null, timeout=60)

    def stop() -> None:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder)

    run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8", "--locale=C")
    run("pg_ctl", "-D", f"{folder}/data", "-w", "-o", f"{_OPTIONS} -k {folder}", "-l", f"{folder}/log", "start")
    atexit.register(stop)
    return folder


def _unprivileged_user() -> str | None:
    """Who the server runs as: it refuses to run as root. None is this user."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
