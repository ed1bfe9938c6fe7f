"""A schema for each database: made and seeded, migrated, or refused."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, update

from rollbuild import __version__
from rollbuild.cluster import schema
from rollbuild.cluster.engines import WRITES
from rollbuild.cluster.seeds import insert_seeds
from rollbuild.errors import DISK, MISSING_PROGRAM, RollbuildError
from rollbuild.files import explained

MIGRATIONS = Path(__file__).parent / "migrations"


def prepare_schema(engine: Engine) -> bool:
    """Bring a database to the schema of this rollbuild, in one transaction; whether it was made for that.

    A copy of an older SQLite database is kept beside it. Raises RollbuildError: REFUSED for one of a newer rollbuild or
    of another program, DISK, MISSING_PROGRAM (alembic).
    """
    with engine.connect() as connection:
        with connection.begin():
            found = _revision(connection)
        if found == schema.REVISION:
            return False
        if found > schema.REVISION:
            raise _newer(connection, engine)
        # Tables are rebuilt by migrations of SQLite, while others refer to them; it ignores this inside a transaction.
        _set_foreign_keys(connection, "OFF")
        try:
            with connection.execution_options(**{WRITES: True}).begin():
                # Another process may have done it meanwhile.
                found = _revision(connection)
                is_new = not found
                if is_new:
                    _make(connection)
                elif found < schema.REVISION:
                    _copy(engine, found)
                    _migrate(connection)
        finally:
            _set_foreign_keys(connection, "ON")
    return is_new


def _revision(c: Connection) -> str:
    """The revision of the schema, "" for a database without any table. Raises RollbuildError for another's."""
    tables = inspect(c).get_table_names()
    if schema.revisions.name in tables and schema.settings.name in tables:
        found = c.execute(select(schema.revisions.c.version_num)).scalar() or ""
        if len(found) == len(schema.REVISION) and found.isdigit():
            return found
    if not tables:
        return ""
    raise RollbuildError(
        f"this database is another program's: it has the table {min(tables)}",
        hint=f"{c.engine.url.render_as_string(hide_password=True)} must be empty, or made by rollbuild",
    )


def _newer(c: Connection, engine: Engine) -> RollbuildError:
    with c.begin():
        said = select(schema.settings.c.value).where(schema.settings.c.name == "rollbuild")
        version = c.execute(said).scalar() or "a newer version"
    return RollbuildError(
        f"the database {engine.url.render_as_string(hide_password=True)} was written by rollbuild {version}",
        hint=f"use rollbuild {version} or newer; this is {__version__}",
    )


def _make(c: Connection) -> None:
    schema.metadata.create_all(c)
    schema.revisions.create(c)
    c.execute(insert(schema.revisions).values(version_num=schema.REVISION))
    c.execute(
        insert(schema.settings),
        [{"name": "generation", "value": "1"}, {"name": "rollbuild", "value": __version__}],
    )
    insert_seeds(c)


def _migrate(c: Connection) -> None:
    try:
        from alembic import command
        from alembic.config import Config
    except ImportError as problem:
        raise RollbuildError(
            "the Python package alembic is missing, which brings an older database to the schema of this rollbuild",
            hint='install it: pip install "rollbuild[frontend]", or the package python3-alembic',
            exit_code=MISSING_PROGRAM,
        ) from problem
    config = Config()
    # The reader of options would take a % in a path for the name of another option.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = c
    command.upgrade(config, schema.REVISION)
    if c.dialect.name == "sqlite" and (row := c.exec_driver_sql("PRAGMA foreign_key_check").first()):
        raise RollbuildError(f"the database cannot be migrated: a row of its table {row[0]} refers to none of {row[2]}")
    c.execute(update(schema.settings).where(schema.settings.c.name == "rollbuild").values(value=__version__))


def _copy(engine: Engine, revision: str) -> None:
    """Keep `FILE.schema-REVISION` beside an SQLite file: what is committed. The caller keeps others from writing."""
    if engine.dialect.name != "sqlite":
        return
    path = engine.url.database or ""
    copy = f"{path}.schema-{revision}"
    stage = f"{copy}.new"
    try:
        with explained("cannot copy the database to", copy):
            with suppress(FileNotFoundError):
                os.unlink(stage)
            os.close(os.open(stage, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(stage)) as target:
                source.backup(target)
            os.replace(stage, copy)
    except sqlite3.Error as problem:
        raise RollbuildError(f"cannot copy the database to {copy}: {problem}", exit_code=DISK) from problem
    finally:
        with suppress(OSError):
            os.unlink(stage)


def _set_foreign_keys(c: Connection, state: str) -> None:
    if c.dialect.name == "sqlite":
        # Past SQLAlchemy, which would begin a transaction for it.
        c.connection.cursor().execute(f"PRAGMA foreign_keys={state}")
