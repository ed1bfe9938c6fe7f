"""What was applied: a small file beside the database, by which the next command sees whether anything is stale."""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollbuild import __version__
from rollbuild.distribution import distribution_names, find_generation
from rollbuild.errors import RollbuildError
from rollbuild.files import explained, make_folder, read_limited, system_path, write_atomically
from rollbuild.frontend.authority import PUBLIC_CA
from rollbuild.frontend.configuration import HOSTS_LOCAL, Service
from rollbuild.frontend.place import FrontEnd

RECORD = "/var/lib/rollbuild/configuration.json"
_FORMAT = 1
_LIMIT = 16 * 1024 * 1024
_PRIVATE = 0o750


@dataclass(frozen=True, slots=True)
class Record:
    """`generation` is that of the database which the files are of, -1 for none; `sources` is what else they were made
    from; `files` their size and time; `waiting` are services with new files that they were not started with yet."""

    generation: int = -1
    sources: str = ""
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    waiting: tuple[Service, ...] = ()


def read_applied() -> Record:
    """What was applied; nothing where that is not known, so that all is looked at. Raises RollbuildError, DISK."""
    path = system_path(RECORD)
    if not path.is_file():
        return Record()
    try:
        content: Any = json.loads(read_limited(path, _LIMIT))
        if content["format"] != _FORMAT:
            return Record()
        return Record(
            int(content["generation"]),
            str(content["sources"]),
            {str(name): (int(size), int(time)) for name, (size, time) in content["files"].items()},
            tuple(Service(word) for word in content["waiting"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # What is damaged costs a restart at most, of a service that may have been waiting for it.
        return Record(waiting=tuple(Service))


def write_applied(record: Record) -> None:
    """Keep it; on the disk when this returns. Raises RollbuildError, exit code DISK."""
    path = system_path(RECORD)
    make_folders(path.parent, _PRIVATE)
    content = {
        "format": _FORMAT,
        "generation": record.generation,
        "sources": record.sources,
        "files": {name: list(state) for name, state in record.files.items()},
        "waiting": [str(service) for service in record.waiting],
    }
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), sync=True)


def describe_sources(front_end: FrontEnd) -> str:
    """What files are made from besides the database, so that a change of it shows: cheap, and equal for equal ones."""
    found: dict[str, object] = {"rollbuild": __version__}
    try:
        names = distribution_names(front_end.store)
        found["distributions"] = {name: find_generation(front_end.store, name).number for name in names}
    except RollbuildError as problem:
        found["distributions"] = problem.message
    try:
        found["templates"] = front_end.menus().digest()
    except RollbuildError as problem:
        found["templates"] = problem.message
    found["authority"] = file_state(system_path(PUBLIC_CA))
    found["local"] = file_state(system_path(HOSTS_LOCAL))
    found["store"] = os.path.abspath(front_end.store.folder)
    return json.dumps(found, sort_keys=True)


def file_state(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of the last change in nanoseconds of a file; None where there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def make_folders(folder: Path, mode: int = 0o755) -> None:
    """Make a folder, and those above it that are missing: it has these permissions whatever the umask.

    Raises RollbuildError, exit code DISK.
    """
    with explained("cannot make the folder", folder):
        for path in reversed([path for path in (folder, *folder.parents) if not path.is_dir()]):
            with suppress(FileExistsError):  # another process was quicker
                make_folder(path)
                if path == folder and mode != 0o755:
                    os.chmod(path, mode)
