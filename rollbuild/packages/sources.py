"""Where repositories lie: folders, folders of them, URLs, lists of names."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rollbuild.errors import REFUSED, USAGE, RollbuildError
from rollbuild.files import explain_os_error
from rollbuild.location import Location
from rollbuild.packages.repomd import METADATA_LIMIT, REPOMD, REPOMD_LIMIT, Record, verify
from rollbuild.packages.repository import Repository, read_names, read_repository

TIMEOUT_SECONDS = 30.0
_SEARCH_DEPTH = 4
_NAMED = re.compile(r"([A-Za-z0-9][\w.+-]*)=(.+)", re.DOTALL)
_SHAPE = "name a folder that holds repodata/, a folder of such folders, their URL, or a list of names"


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository as a user names it: `[NAME=]PLACE`; `name` is empty where none is given."""

    place: str
    name: str = ""

    def is_url(self) -> bool:
        return "://" in self.place and not self.place.lower().startswith("file://")


def parse_repository_name(text: str) -> RepositoryName:
    """Read `[NAME=]URL-OR-DIR`. Raises RollbuildError (usage) when no place is left."""
    found = None if os.path.exists(text) else _NAMED.fullmatch(text)
    named = RepositoryName(found[2], found[1]) if found else RepositoryName(text)
    if not named.place.strip() or "\0" in named.place:
        raise RollbuildError("a repository's place is empty", hint=_SHAPE, exit_code=USAGE)
    return named


@contextmanager
def open_repositories(
    names: Sequence[RepositoryName], *, timeout: float = TIMEOUT_SECONDS
) -> Iterator[tuple[Repository, ...]]:
    """The repositories of these names, in their order; what is fetched for them is kept while the block lasts.

    `timeout`: how many seconds a server may be silent. Raises RollbuildError for a place without a
    repository, for metadata that is damaged or is not what repomd.xml says, and for what cannot be fetched.
    """
    with ExitStack() as stack:
        found: list[Repository] = []
        for name in names:
            if name.is_url():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollbuild-")))
                found.append(_read_url(name, folder, timeout))
            else:
                found += _read_place(name)
        yield tuple(found)


def _read_place(named: RepositoryName) -> Iterator[Repository]:
    place = _path_of(named.place)
    if os.path.isfile(place):
        if os.path.basename(place) != "repomd.xml":
            yield from read_names(place)
            return
        place = os.path.dirname(os.path.dirname(os.path.abspath(place)))
    elif not os.path.isdir(place):
        what = "is neither a folder nor a file" if os.path.lexists(place) else "does not exist"
        raise RollbuildError(f"there is no repository at {named.place}: it {what}", hint=_SHAPE)
    if os.path.basename(os.path.normpath(place)) == "repodata" and os.path.isfile(os.path.join(place, "repomd.xml")):
        place = os.path.dirname(os.path.abspath(place))
    folders = list(_search(place, "", _SEARCH_DEPTH))
    if not folders:
        hint = _SHAPE
        if any(name.endswith(".rpm") for name in os.listdir(place)):
            hint = f"it holds packages but no repodata/; make that with: createrepo_c {place}"
        raise RollbuildError(f"there is no repository in {named.place}", hint=hint)
    tops = [inside.split("/")[0] for inside in folders]
    for inside, top in zip(folders, tops, strict=True):
        folder = os.path.normpath(os.path.join(place, inside))
        own = (top if tops.count(top) == 1 else inside) or os.path.basename(os.path.abspath(place))
        name = own if not named.name else f"{named.name}/{own}" if inside else named.name
        index = os.path.join(folder, REPOMD)
        yield read_repository(name, folder, index, partial(_find_file, folder))


def _path_of(place: str) -> str:
    if not place.lower().startswith("file://"):
        return place
    parts = urlsplit(place)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise RollbuildError(f"{place} names no file of this machine", hint="write it as in file:///srv/repository")
    return unquote(parts.path)


def _search(place: str, inside: str, depth: int) -> Iterator[str]:
    """The repositories at and below a folder, named from `place` with slashes."""
    folder = os.path.join(place, inside)
    if os.path.isfile(os.path.join(folder, REPOMD)):
        yield inside
        return
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False) or not depth)
    except OSError as problem:
        raise explain_os_error(problem, "cannot read", folder) from problem
    for name in names:
        if depth and not name.startswith(".") and name != "repodata":
            yield from _search(place, f"{inside}/{name}" if inside else name, depth - 1)


def _find_file(folder: str, record: Record) -> str | None:
    path = os.path.join(folder, *record.href.split("/"))
    if not os.path.isfile(path):
        return None
    verify(path, record, path)
    return path


def _read_url(named: RepositoryName, folder: Path, timeout: float) -> Repository:
    # urllib.request is slow to import, and folders do without it.
    from rollbuild.packages.download import check_url, download

    place = named.place.rstrip("/").removesuffix("/" + REPOMD)
    check_url(place)
    index = folder / "repomd.xml"
    try:
        download(f"{place}/{REPOMD}", index, REPOMD_LIMIT, timeout=timeout)
    except RollbuildError as problem:
        if problem.exit_code != REFUSED or problem.hint:
            raise
        raise RollbuildError(
            f"there is no repository at {place}: {problem.message}",
            hint="name the folder that holds repodata/, each repository with a --repo of its own",
        ) from None

    def fetch(record: Record) -> str:
        path = folder / record.href.replace("/", "_")
        url = f"{place}/{record.href}"
        if not path.exists():
            if record.size > METADATA_LIMIT:
                raise RollbuildError(f"{record.kind} is {record.size:,} bytes", location=Location(url))
            # Nothing is fetched that is longer than promised.
            download(url, path, record.size or METADATA_LIMIT, timeout=timeout)
        verify(os.fspath(path), record, url)
        return os.fspath(path)

    name = named.name or _name_of(place)
    return read_repository(name, place, os.fspath(index), fetch)


_NOT_TELLING = re.compile(r"os|x86_64(_v[234])?|aarch64|noarch|packages|everything|repo|[\d.]+|EL_\d+|stream", re.I)


def _name_of(url: str) -> str:
    """`AppStream` for .../9/AppStream/x86_64/os: the last part of a URL that tells repositories apart."""
    parts = urlsplit(url)
    words = [unquote(part) for part in parts.path.split("/") if part]
    telling = [word for word in words if not _NOT_TELLING.fullmatch(word)]
    return (telling or words or [parts.hostname or url])[-1]
