"""Bringing an OS tree from a web server into the store's cache: an ISO, or a mirror's tree with all that it names.

What was fetched stays in the cache when an import fails or is interrupted, and the next one goes on from there.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rollbuild.distribution.mirror import MirroredTree, fetch_mirror, open_mirror
from rollbuild.distribution.osmedium import FolderMedium, IsoMedium, Progress, in_turn, open_medium
from rollbuild.distribution.ostree import OsTree
from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages import check_url, download_file
from rollbuild.rolls import Store


class NothingToFetch(Exception):
    """The store has this tree already."""

    def __init__(self, tree: OsTree) -> None:
        super().__init__(tree.name)
        self.tree = tree


@contextmanager
def fetched_iso(store: Store, url: str, progress: Progress) -> Iterator[IsoMedium]:
    """The ISO at a URL, fetched and whole, while the block lasts.

    Raises RollbuildError: UNREACHABLE, DISK, REFUSED for what is no ISO or was damaged on the way.
    """
    check_url(url, "an OS tree")
    folder, parts = _cache(store, url)
    path = folder / parts[-1]
    if not path.exists():
        with progress(None, f"fetching {parts[-1]}") as advance:
            download_file(url, path, advance=in_turn(advance))
    try:
        medium = open_medium(path, label=f"ISO {url}", progress=progress)
    except RollbuildError as problem:
        if problem.exit_code != REFUSED:
            raise
        path.unlink(missing_ok=True)  # what is damaged is not worth keeping
        raise RollbuildError(problem.message, location=Location(url), hint=problem.hint, code=problem.code) from None
    if not isinstance(medium, IsoMedium):
        raise RollbuildError(f"{path} is a folder where an ISO belongs", hint="remove it")
    yield medium
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fetched_tree(
    store: Store, url: str, progress: Progress, look: Callable[[MirroredTree], None], notes: list[str]
) -> Iterator[FolderMedium]:
    """The tree at a URL, with the repositories beside it that its `.treeinfo` names, while the block lasts.

    `look` sees its metadata first, and may raise NothingToFetch or a refusal, which ends it all. What is left out is
    added to `notes`. Raises RollbuildError: UNREACHABLE, DISK, REFUSED for what is no tree.
    """
    check_url(url, "an OS tree")
    folder, parts = _cache(store, url.rstrip("/"))
    with progress(None, "reading what the mirror has"):
        mirror = open_mirror(url, folder, news=notes.append)
    try:
        look(mirror)
    except NothingToFetch:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with progress(mirror.size, f"fetching {parts[-1] if parts else url}") as advance:
        here = fetch_mirror(mirror, advance=in_turn(advance))
    yield FolderMedium(here, label=url)
    shutil.rmtree(folder, ignore_errors=True)


def _cache(store: Store, url: str) -> tuple[Path, list[str]]:
    """A folder of the cache for a URL, and the parts of the URL's path. Raises RollbuildError."""
    split = urlsplit(url)
    parts = [unquote(part) for part in split.path.split("/") if part]
    if any(part in (".", "..") or "/" in part or "\0" in part for part in parts):
        raise RollbuildError(f"{url} is no URL of an OS tree", hint="name an ISO, or the folder that holds .treeinfo")
    folder = store.cache_folder / "os" / hashlib.sha256(url.encode()).hexdigest()[:16]
    with explained("cannot make", folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder, parts
