"""The database: one transaction per command, one writer at a time, and a generation that counts the changes."""

import getpass
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, bindparam, cast, event, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Integer

from rollbuild.cluster import schema
from rollbuild.cluster.engines import WRITES, make_engine, parse_url
from rollbuild.cluster.refusing import explain
from rollbuild.cluster.upgrading import prepare_schema
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited, system_path

VARIABLE = "ROLLBUILD_DATABASE"
_URL_FILE = "/etc/rollbuild/database.url"
_SQLITE_FILE = "/var/lib/rollbuild/cluster.db"
_URL_LIMIT = 4096
_CHANGES = "rollbuild_changes"

_generation = select(cast(schema.settings.c.value, Integer) + 1).where(schema.settings.c.name == "generation")
NEXT_GENERATION = func.coalesce(_generation.scalar_subquery(), 1)
"""What `changed` of a host becomes: in SQL, the generation that the transaction makes."""

# Statements that every host needs are made once: making them takes as long as running them.
_MARK = update(schema.hosts).where(schema.hosts.c.name == bindparam("host")).values(changed=NEXT_GENERATION)


class Database:
    """A database that is open, with the schema of this rollbuild. Its methods may be called by many threads."""

    def __init__(self, engine: Engine, *, is_new: bool = False) -> None:
        self._engine = engine
        self.is_new = is_new
        """Whether it was made when it was opened."""
        weakref.finalize(self, engine.dispose)
        event.listen(engine, "after_cursor_execute", _count_changes)

    @property
    def url(self) -> str:
        """The URL, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(self._engine.url.database or "") if self._engine.dialect.name == "sqlite" else None

    def close(self) -> None:
        """Close the connections that wait for more work; the next use opens one again."""
        self._engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection on one snapshot: what others write meanwhile does not show."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self, command: str, user: str = "") -> Iterator[Connection]:
        """A connection that holds the only write lock; commits when the block ends, and undoes all where it raises.

        Where something changed, 1 is added to the configuration generation, and the audit gets a row of `command`
        and `user` (the default is the user who runs this, also through sudo).
        Raises RollbuildError: BUSY when another writer did not end in time.
        """
        with self._transaction(writes=True) as connection:
            connection.info[_CHANGES] = 0
            yield connection
            if connection.info[_CHANGES]:
                generation = configuration_generation(connection) + 1
                connection.execute(
                    update(schema.settings).where(schema.settings.c.name == "generation"), {"value": str(generation)}
                )
                row = {"time": time.time(), "user": user or _who(), "command": command, "generation": generation}
                connection.execute(insert(schema.audit), row)

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        """As `writing`, for what is no configuration: installs, their events, discoveries, what was applied."""
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection, connection.execution_options(**{WRITES: writes}).begin():
                yield connection
        except DBAPIError as problem:
            raise explain(problem, self._engine) from problem
        except UnicodeEncodeError as problem:
            raise RollbuildError(f"{problem.object!r} is not text in UTF-8", exit_code=USAGE) from problem


def open_database(url: str | None = None, *, wait_seconds: float = 10.0) -> Database:
    """Open a database; make, seed or migrate it where needed.

    `url` is that of SQLite or PostgreSQL, or the path of an SQLite file; None is `find_database_url()`.
    A writer waits `wait_seconds` for another one. An older SQLite database is copied beside itself before it is
    migrated. Raises RollbuildError: REFUSED when it is no database or one of a newer rollbuild, DISK, UNREACHABLE,
    BUSY, MISSING_PROGRAM (no driver).
    """
    engine = make_engine(parse_url(url or find_database_url()), wait_seconds)
    try:
        is_new = prepare_schema(engine)
    except DBAPIError as problem:
        refusal = explain(problem, engine)
        engine.dispose()
        raise refusal from problem
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, is_new=is_new)


def find_database_url() -> str:
    """ROLLBUILD_DATABASE, else the text of /etc/rollbuild/database.url, else that of /var/lib/rollbuild/cluster.db."""
    if named := os.environ.get(VARIABLE, "").strip():
        return named
    file = system_path(_URL_FILE)
    if file.exists():
        text = read_limited(file, _URL_LIMIT).decode("utf-8", "replace").strip()
        if not text:
            raise RollbuildError(f"{file} is empty", hint="it holds the database's URL; without the file it is SQLite")
        if "://" not in text and not text.startswith("/"):
            # A relative path would be another database in each folder that a command is called in.
            raise RollbuildError(
                f"{file} holds neither the URL of a database nor the whole path of a file",
                hint="it looks like postgresql://USER:PASSWORD@HOST/DATABASE or /var/lib/rollbuild/cluster.db",
            )
        return text
    return URL.create("sqlite", database=os.path.abspath(system_path(_SQLITE_FILE))).render_as_string()


def configuration_generation(c: Connection) -> int:
    """How often the configuration changed."""
    return int(read_setting(c, "generation", "0"))


def read_setting(c: Connection, name: str, default: str = "") -> str:
    found = c.execute(select(schema.settings.c.value).where(schema.settings.c.name == name)).scalar()
    return default if found is None else found


def write_setting(c: Connection, name: str, value: str) -> None:
    """Keep a text: inside `Database.recording`, unless it is part of the configuration."""
    if not c.execute(update(schema.settings).where(schema.settings.c.name == name).values(value=value)).rowcount:
        c.execute(insert(schema.settings).values(name=name, value=value))


def mark_changed(c: Connection, *hosts: str) -> None:
    """Note that the generation which this transaction makes changes hosts: their boot files are written again."""
    if hosts:
        c.execute(_MARK, [{"host": host} for host in hosts])


def _count_changes(
    connection: Connection, cursor: object, statement: str, parameters: object, context: object, executemany: bool
) -> None:
    changes = getattr(context, "isinsert", False) or getattr(context, "isupdate", False)
    if changes or getattr(context, "isdelete", False):
        # Drivers say -1 where they do not know, as after many inserts at once.
        connection.info[_CHANGES] = connection.info.get(_CHANGES, 0) + abs(getattr(cursor, "rowcount", -1))


def _who() -> str:
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_USER")):
        return caller
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return str(os.getuid())
