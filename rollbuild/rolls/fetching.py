"""The packages that a roll only names: chosen with all that they require, pinned in its roll.lock, and fetched."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

from rollbuild.errors import MISSING_PROGRAM, FindingsError, RollbuildError
from rollbuild.findings import error
from rollbuild.location import Location
from rollbuild.packages import (
    Chosen,
    Offer,
    Repository,
    Resolver,
    RpmFile,
    Wanted,
    fetch_packages,
    has_solver,
    hidden_packages,
    open_repositories,
    parse_repository_name,
)
from rollbuild.rolls.lock import LOCK, LockedPackage, LockEntry, check_lock, read_lock, write_lock
from rollbuild.rolls.source import RollSource


def fetch_named(
    source: RollSource,
    *,
    release: str,
    arch: str,
    repositories: Sequence[str],
    base: Sequence[str],
    update: bool,
    folder: Path,
    news: Callable[[str], object],
    advance: Callable[[int], object] | None = None,
) -> tuple[RpmFile, ...]:
    """Fetch the named packages of a roll, and what they require and `base` has not, into `folder`; none named: none.

    `repositories` and `base` are `[NAME=]URL-OR-DIR`. What roll.lock says is fetched; where it says nothing for this
    release and architecture, or with `update`, the packages are chosen anew and written there. A repository named
    like one of roll.lock stands in for it, as a mirror does. Never write into the files. Raises RollbuildError:
    FindingsError with every package that cannot be had, MISSING_PROGRAM without libsolv, UNREACHABLE, DISK.
    """
    if not source.packages:
        return ()
    path = source.folder / LOCK
    lock = read_lock(path)
    entry = lock.entry_for(release, arch)
    if entry is None or update:
        with ExitStack() as stack:
            chosen = _choose(source, arch, repositories, base, stack, news)
            entry = _as_entry(source, release, arch, chosen)
            news(f"fetching {len(chosen)} packages for roll {source.name}")
            rpms = fetch_packages(chosen, folder, release=release, advance=advance)
        # Only what was fetched, and so verified, is pinned.
        write_lock(path, lock.with_entry(entry))
        return rpms
    entry = check_lock(entry, source.packages, entry.repositories, location=source.location)
    places = dict(entry.repositories)
    for named in map(parse_repository_name, repositories):
        if named.name in places:
            places[named.name] = named.place
    offers = [
        Offer(item.nevra, places[item.repository], item.href, item.size, item.checksum, item.repository, item.location)
        for item in entry.packages
    ]
    news(f"fetching the {len(offers)} packages of {path}")
    return fetch_packages(offers, folder, release=release, advance=advance)


def _choose(
    source: RollSource,
    arch: str,
    repositories: Sequence[str],
    base: Sequence[str],
    stack: ExitStack,
    news: Callable[[str], object],
) -> tuple[Chosen, ...]:
    if not repositories:
        raise RollbuildError(
            f"roll {source.name} names packages to fetch, and no repository to fetch them from",
            location=source.location,
            hint="name one with --repo URL-OR-DIR; and with --base-repo those of the OS, whose packages stay out",
        )
    if not has_solver():
        raise RollbuildError(
            "to find out what packages require, libsolv is needed, which is missing",
            hint="pip install 'rollbuild[resolve]', or install the package python3-solv",
            exit_code=MISSING_PROGRAM,
        )
    news(f"choosing the packages of roll {source.name}")
    own = stack.enter_context(open_repositories([parse_repository_name(text) for text in repositories]))
    others = stack.enter_context(open_repositories([parse_repository_name(text) for text in base]))
    _check_names(own, others)
    both = (*own, *others)
    resolver = Resolver(both, arch, hidden_packages(both, {}))
    closure = resolver.find_closure([Wanted(name) for name in source.packages], base=[one.name for one in others])
    if closure.problems:
        hint = "check the name, or name the repository that has it with --repo (or --base-repo, if hosts have it)"
        place = Location(source.location.file)
        raise FindingsError(
            error("PACKAGE-UNRESOLVED", "; ".join((problem.message, *problem.because)), place, hint)
            for problem in closure.problems
        )
    return closure.packages


def _check_names(own: Sequence[Repository], others: Sequence[Repository]) -> None:
    known: dict[str, str] = {}
    for repository in (*own, *others):
        if repository.only_names:
            raise RollbuildError(
                "this is a list of names, and packages cannot be fetched from it",
                location=Location(os.fspath(repository.place)),
                hint="name a folder or a URL that holds repodata/",
            )
        other = known.setdefault(repository.name, repository.place)
        if other != repository.place:
            raise RollbuildError(
                f"two repositories are called {repository.name}: {other} and {repository.place}",
                hint="name one of them: --repo NAME=PLACE",
            )


def _as_entry(source: RollSource, release: str, arch: str, chosen: Sequence[Chosen]) -> LockEntry:
    places: dict[str, str] = {}
    packages = []
    for choice in chosen:
        package, repository = choice.package, choice.repository
        place = repository.place
        if package.base_url:
            place = urljoin(place.rstrip("/") + "/", package.base_url)
        places[repository.name] = place
        checksum = package.checksum
        packages.append(LockedPackage(package.full_label, repository.name, package.href, package.size, checksum))
    return LockEntry(release, arch, places, tuple(sorted(source.packages)), tuple(packages))
