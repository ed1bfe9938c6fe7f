"""Engines of SQLite and PostgreSQL, set up so that readers see one state and writers queue."""

import errno
import os
import sqlite3
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from rollbuild.cluster.refusing import LOCK, refuse_writing
from rollbuild.errors import DISK, MISSING_PROGRAM, USAGE, RollbuildError
from rollbuild.files import explained

# The execution option that makes a transaction a writer's.
WRITES = "rollbuild_writes"
_CONNECT_SECONDS = 10
_NAP_SECONDS = 0.02


def parse_url(url: str) -> URL:
    """The URL with its driver; a text without `://` is the path of an SQLite file. Raises RollbuildError, USAGE."""
    if not url.isprintable():
        raise _refused_url()
    if "://" not in url:
        return URL.create("sqlite", database=os.path.abspath(url))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as problem:
        raise _refused_url() from problem
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        if parsed.host or not parsed.database or parsed.database == ":memory:":
            raise RollbuildError(
                "this URL names no file",
                hint="it looks like sqlite:////var/lib/rollbuild/cluster.db, with four slashes",
                exit_code=USAGE,
            )
        return URL.create("sqlite", database=os.path.abspath(parsed.database))
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise RollbuildError(
        f"rollbuild keeps no cluster in a database of kind {kind!r}", hint="use sqlite or postgresql", exit_code=USAGE
    )


def _refused_url() -> RollbuildError:
    # The text is not shown: it may hold a password.
    return RollbuildError(
        "this is not the URL of a database",
        hint="it looks like sqlite:////var/lib/rollbuild/cluster.db or postgresql://USER:PASSWORD@HOST/DATABASE",
        exit_code=USAGE,
    )


def make_engine(url: URL, wait_seconds: float) -> Engine:
    """An engine; the file of an SQLite database that is missing is made, empty, for its owner alone.

    Raises RollbuildError: DISK, REFUSED (it is no file), MISSING_PROGRAM.
    """
    if url.drivername == "sqlite":
        return _make_sqlite(url, wait_seconds)
    if find_spec("psycopg") is None:
        raise RollbuildError(
            "the Python package psycopg is missing, which talks to PostgreSQL",
            hint='install it: pip install "rollbuild[postgresql]", or the package python3-psycopg3',
            exit_code=MISSING_PROGRAM,
        )
    options = {"connect_timeout": _CONNECT_SECONDS, "application_name": "rollbuild"}
    engine = create_engine(
        url,
        connect_args={name: value for name, value in options.items() if name not in url.query},
        max_overflow=-1,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(WRITES):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return
        # The snapshot of a stricter level would be from before the wait for the lock.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, round(wait_seconds * 1000))}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")

    return engine


def _make_sqlite(url: URL, wait_seconds: float) -> Engine:
    path = Path(url.database or "")
    _make_file(path)
    options = _options(path)

    def open_file() -> sqlite3.Connection:
        name = f"file:{quote(str(path))}?{options}"
        return sqlite3.connect(name, uri=True, timeout=wait_seconds, check_same_thread=False, isolation_level=None)

    engine = create_engine(url, creator=open_file, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, record: Any) -> None:
        # SQLAlchemy resets this: the driver would begin transactions at the first write, too late to queue.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        if options == "mode=rw":
            _set_journal(connection, wait_seconds)
            connection.execute("PRAGMA synchronous=FULL")
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def checkout(connection: Any, record: Any, proxy: Any) -> None:
        # After a copy was put back, or in a forked process, the old connection is to the wrong file or not ours.
        if record.info["file"] != _identity(path):
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = bool(connection.get_execution_options().get(WRITES))
        if writes and options != "mode=rw":
            raise refuse_writing(path)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set_journal(connection: sqlite3.Connection, wait_seconds: float) -> None:
    """Have a log written ahead, so that readers and a writer do not wait for each other.

    The mode stays in the file. Two that set it in a new file at once are told so at once, whatever the time-out.
    """
    end = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_NAP_SECONDS)


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, os.getpid()
    return status.st_dev, status.st_ino, os.getpid()


def _make_file(path: Path) -> None:
    with explained("cannot make the folder of the database,", path.parent):
        # `parents` would make those above with all permissions that the umask leaves.
        for folder in reversed([folder for folder in path.parent.parents if not folder.exists()]):
            folder.mkdir(mode=0o755, exist_ok=True)
        path.parent.mkdir(mode=0o750, exist_ok=True)
    with explained("cannot make the database", path), suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    if path.exists() and not path.is_file():
        raise RollbuildError(f"{path} is a {'folder' if path.is_dir() else 'device'} where a file is needed")


def _options(path: Path) -> str:
    """How SQLite opens the file. Raises RollbuildError, exit code DISK, where this user may not even read it."""
    log = f"{path}-wal"
    if not os.access(path, os.R_OK):
        raise RollbuildError(
            f"cannot read the database {path}: permission denied",
            hint="run this as root, as with sudo; the cluster's database is for nobody else",
            exit_code=DISK,
        )
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    # SQLite writes beside the file even to read it, unless another process holds it open or nobody can write there.
    if os.path.exists(log):
        return "mode=ro"
    if _is_frozen(path):
        return "mode=ro&immutable=1"
    raise RollbuildError(
        f"cannot read the database {path}: this user may not write into its folder, which SQLite needs even to read",
        hint="run this as root, as with sudo",
        exit_code=DISK,
    )


def _is_frozen(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as problem:
        return problem.errno == errno.EROFS
