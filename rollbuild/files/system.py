"""Where the files of the running system are: below a prefix, so that all of it also works without root."""

import os
from pathlib import Path

ROOT_VARIABLE = "ROLLBUILD_ROOT"


def system_root() -> Path:
    """The prefix of every file that the front end's commands read and write: ROLLBUILD_ROOT, else `/`."""
    return Path(os.environ.get(ROOT_VARIABLE) or "/")


def system_path(path: str) -> Path:
    """An absolute path of the running system, such as `/etc/rollbuild/hosts`, below the prefix."""
    return system_root() / path.lstrip("/")
