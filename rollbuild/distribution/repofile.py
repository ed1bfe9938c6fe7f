"""The `.repo` file of a generation: with it alone, a host's dnf sees everything that the distribution has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rollbuild.errors import USAGE, RollbuildError

REPO_FILE = "rollbuild.repo"
_URL = re.compile(r"(?:https?|ftp|file)://\S+\Z", re.ASCII)
_ID = re.compile(r"[^A-Za-z0-9._:-]")


@dataclass(frozen=True, slots=True)
class DnfRepository:
    """A repository as dnf is told of it.

    `path` is from the top of the generation. `keys` are files of public keys there; with `is_checked` dnf takes
    only packages that one of them signed. `priority`: 1 to 99, the lower number wins.
    """

    name: str
    path: str
    is_os: bool
    priority: int
    is_checked: bool
    keys: tuple[str, ...] = ()
    has_hotfixes: bool = False

    @property
    def id(self) -> str:
        """The name in brackets: `rollbuild-baseos`, `rollbuild-roll-NAME`."""
        name = _ID.sub("-", self.name)
        return f"rollbuild-{name.lower() or 'os'}" if self.is_os else f"rollbuild-roll-{name}"


def check_url(url: str) -> str:
    """A URL that the generation will be found at, without a slash at its end. Raises RollbuildError."""
    if not _URL.match(url) or any(ord(letter) < 32 for letter in url):
        hint = "such as http://10.1.1.1/install/distributions/cluster/current"
        raise RollbuildError(f"{url!r} is no URL of a distribution", hint=hint, exit_code=USAGE)
    return url.rstrip("/")


def url_of(folder: Path) -> str:
    """The `file://` URL of a folder; what dnf would take for a variable is written as a code."""
    return "file://" + quote(str(folder))


def write_repo_file(distribution: str, repositories: Sequence[DnfRepository], url: str) -> bytes:
    """The bytes of the `.repo` file; `url` is that of the generation's top."""
    sections = []
    for repository in repositories:
        path = quote(repository.path)
        lines = [
            f"[{repository.id}]",
            f"name={repository.name} of distribution {distribution}",
            f"baseurl={url}/{path}" if path not in ("", ".") else f"baseurl={url}",
            "enabled=1",
            f"priority={repository.priority}",
            f"gpgcheck={int(repository.is_checked)}",
        ]
        if repository.is_checked and repository.keys:
            lines.append("gpgkey=" + " ".join(f"{url}/{quote(key)}" for key in repository.keys))
        if repository.has_hotfixes:
            lines.append("module_hotfixes=1")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections).encode()


def describe_rolls(
    repositories: Sequence[DnfRepository], versions: Mapping[str, tuple[str, str]], url: str
) -> list[dict[str, object]]:
    """The data `rolls` for templates: each roll that has packages.

    `versions`: (version, release) of each roll by name; `url` is that of the generation, empty where hosts have to
    know it. Paths are as they stand in a URL.
    """
    return [
        {
            "name": repository.name,
            "id": repository.id,
            "version": versions[repository.name][0],
            "release": versions[repository.name][1],
            "path": quote(repository.path),
            "url": url,
            "priority": repository.priority,
            "gpgcheck": repository.is_checked,
            "gpgkey": [quote(key) for key in repository.keys],
            "module_hotfixes": repository.has_hotfixes,
        }
        for repository in repositories
        if not repository.is_os
    ]
