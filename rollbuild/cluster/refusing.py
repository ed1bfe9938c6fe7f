"""What to tell a user whose database refused."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from rollbuild.errors import BUSY, DISK, UNREACHABLE, RollbuildError

# The advisory lock of PostgreSQL that writers queue for: any number that nothing else there uses; this spells "roll".
LOCK = 0x726F6C6C
# Where in the -shm file SQLite locks for its writer.
_WRITER_BYTE = 120
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "ceph", "fuse.gluster", "afs", "beegfs")


def explain(problem: DBAPIError, engine: Engine) -> RollbuildError:
    """The refusal that tells of a database's error; its exit code is REFUSED, DISK, UNREACHABLE or BUSY."""
    if engine.dialect.name == "sqlite":
        return _explain_sqlite(problem, Path(engine.url.database or ""))
    return _explain_postgresql(problem, engine)


def refuse_writing(path: Path) -> RollbuildError:
    """For a database that this user may only read."""
    why = "permission denied" if os.geteuid() else "its file system is mounted read-only"
    hint = "run this as root, as with sudo" if os.geteuid() else "mount it writable; `dmesg` tells why it is not"
    return RollbuildError(f"cannot write the database {path}: {why}", hint=hint, exit_code=DISK)


def _explain_sqlite(problem: DBAPIError, path: Path) -> RollbuildError:
    reason = str(problem.orig)
    # The low byte is the kind, what is above it the variant.
    match getattr(problem.orig, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _busy(f"the database {path}", _writer(path))
        case sqlite3.SQLITE_NOTADB:
            return RollbuildError(f"{path} is no database", hint="is it the right file?")
        case sqlite3.SQLITE_CORRUPT:
            hint = "stop rollbuild's services and put a copy back; `sqlite3 FILE .recover` saves what can be read"
            return RollbuildError(f"the database {path} is damaged: {reason}", hint=hint)
        case sqlite3.SQLITE_FULL:
            hint = "free some space; nothing was changed"
            return RollbuildError(f"cannot write the database {path}: the disk is full", hint=hint, exit_code=DISK)
        case sqlite3.SQLITE_READONLY:
            return refuse_writing(path)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PROTOCOL | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            kind = file_system(path)
            hint = "check the disk and the permissions of the file, of its folder and of the -wal and -shm beside it"
            if kind.startswith(_NETWORK_FILE_SYSTEMS):
                hint = f"it lies on a network file system ({kind}), which SQLite cannot use; keep it on a local disk"
            return RollbuildError(f"cannot use the database {path}: {reason}", hint=hint, exit_code=DISK)
    return _otherwise(problem, f"the database {path}")


def _explain_postgresql(problem: DBAPIError, engine: Engine) -> RollbuildError:
    name = f"the database {engine.url.set(drivername='postgresql').render_as_string(hide_password=True)}"
    state = getattr(problem.orig, "sqlstate", None) or ""
    reason = " ".join(str(problem.orig).split())
    if state in ("55P03", "40001", "40P01"):
        return _busy(name, _session(engine))
    if state.startswith("53"):
        return RollbuildError(f"cannot write {name}: {reason}", hint="free some space on its server", exit_code=DISK)
    if state == "42501":
        return RollbuildError(f"{name} denies this: {reason}", hint="the user of its URL must own its tables")
    if not state or state.startswith(("08", "28", "3D", "57P")):
        hint = "is the server running, and the URL right? It is in ROLLBUILD_DATABASE or /etc/rollbuild/database.url"
        return RollbuildError(f"cannot open {name}: {reason}", hint=hint, exit_code=UNREACHABLE)
    return _otherwise(problem, name)


def _busy(name: str, holder: str) -> RollbuildError:
    held = f" (held by {holder})" if holder else ""
    return RollbuildError(f"{name} is busy{held}", hint="try again when the other command is done", exit_code=BUSY)


def _otherwise(problem: DBAPIError, name: str) -> RollbuildError:
    reason = " ".join(str(problem.orig).split())
    if isinstance(problem, IntegrityError):
        return RollbuildError(f"{name} refuses this change: {reason}", hint="nothing was changed")
    return RollbuildError(f"{name} cannot do this: {reason}", hint="was it made by rollbuild? Nothing was changed")


def _writer(path: Path) -> str:
    """The process that writes to an SQLite file, as `pid 4711, rocks`, where the kernel tells."""
    try:
        inode = os.stat(f"{path}-shm").st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return ""
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 4711 fe:01:1835023 120 120
        fields = [field for field in line.split() if field != "->"]
        if len(fields) < 8 or fields[3] != "WRITE" or fields[5].rpartition(":")[2] != str(inode):
            continue
        first, last = (int(place) if place.isdigit() else _WRITER_BYTE for place in fields[6:8])
        if first <= _WRITER_BYTE <= last and int(fields[4]) > 0:
            return _described(fields[4])
    return ""


def _described(pid: str) -> str:
    try:
        return f"pid {pid}, {Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()}"
    except OSError:
        return f"pid {pid}"


def _session(engine: Engine) -> str:
    """The session of PostgreSQL that holds the lock."""
    query = text(
        "SELECT a.pid, a.usename, a.client_addr FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.objid = :lock AND l.granted AND a.datname = current_database()"
    )
    try:
        with engine.connect() as connection:
            row = connection.execute(query, {"lock": LOCK}).first()
    except DBAPIError:
        return ""
    if row is None:
        return ""
    return f"session {row.pid} of {row.usename}" + (f" from {row.client_addr}" if row.client_addr else "")


def file_system(path: Path) -> str:
    """The kind of file system that a path lies on, as ext4, or "" where the kernel does not tell."""
    try:
        device = os.stat(path).st_dev
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return ""
