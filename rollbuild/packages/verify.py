"""Is a repository whole? Its metadata, and every package that this lists."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages.native import damaged, load_createrepo, silent_library
from rollbuild.packages.repomd import REPOMD, read_repomd, verify
from rollbuild.packages.repository import MOST_PACKAGES

_SHOWN = 5
_PIECE = 1024 * 1024
_MOST_THREADS = 8
_SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class _Listed:
    """A package as primary metadata lists it."""

    href: str
    size: int
    algorithm: str
    checksum: str


def check_repository(
    folder: str | os.PathLike[str], *, digests: bool, advance: Callable[[int], object] | None = None
) -> Mapping[str, tuple[str, int]]:
    """(SHA-256, bytes) of every package of the repository in a folder that holds repodata/, by path from there.

    Every metadata file must be what repomd.xml says, and every package that is listed must be there, a file with the
    size that is listed, and with `digests` the checksum. Without `digests` the SHA-256 is the one that is listed; only
    where metadata has another kind of checksum the package is read. `advance` is told the bytes of packages done with.

    Raises RollbuildError: REFUSED for whatever is missing, other than listed, or outside of the folder, with the
    count and the first five; DISK when the disk refuses.
    """
    base = os.fspath(folder)
    inside = _inside(base)
    records = read_repomd(os.path.join(base, REPOMD), os.path.join(base, REPOMD))
    for record in records.values():
        path = os.path.join(base, *record.href.split("/"))
        if not inside(path) or not os.path.isfile(path):
            raise RollbuildError(
                f"this file is missing, but repomd.xml lists it ({record.kind})",
                location=Location(path),
                hint="copy the whole repodata folder",
            )
        verify(path, record, path)
    listed = _read_listed(os.path.join(base, *records["primary"].href.split("/")))
    _check_sizes(base, listed, inside)
    found: dict[str, tuple[str, int]] = {}
    to_read = []
    for one in listed:
        if digests or one.algorithm != _SHA256:
            to_read.append(one)
        else:
            found[one.href] = (one.checksum, one.size)
            if advance is not None:
                advance(one.size)
    found.update(_read_digests(base, to_read, advance))
    return dict(sorted(found.items()))


def _inside(base: str) -> Callable[[str], bool]:
    """Whether a path is below the folder after all links are followed."""
    root = os.path.realpath(base)

    @cache
    def is_inside(folder: str) -> bool:
        real = os.path.realpath(folder)
        return real == root or real.startswith(root.rstrip("/") + "/")

    def look(path: str) -> bool:
        return is_inside(path) if os.path.islink(path) else is_inside(os.path.dirname(path))

    return look


def _read_listed(path: str) -> tuple[_Listed, ...]:
    library = load_createrepo()
    found: dict[str, _Listed] = {}

    def keep(package: Any) -> None:
        href = package.location_href or ""
        parts = href.split("/")
        base = package.location_base or ""
        if {"", ".", ".."} & set(parts) or "\0" in href or "://" in href or (base and not base.startswith("media:")):
            raise RollbuildError(
                f"{package.name} lies outside of the repository: {base}{href}",
                location=Location(path),
                hint="packages are named from the folder that holds repodata/",
            )
        algorithm = (package.checksum_type or "").lower()
        one = _Listed(href, int(package.size_package), algorithm, (package.pkgId or "").lower())
        if found.setdefault(href, one) != one:
            raise RollbuildError(f"two different packages are listed as {href}", location=Location(path))
        if len(found) > MOST_PACKAGES:
            raise RollbuildError(f"more than {MOST_PACKAGES:,} packages", location=Location(path))

    try:
        with silent_library():
            library.xml_parse_primary(path, None, keep, None, 0)
    except (library.CreaterepoCError, OSError, ValueError, TypeError) as problem:
        raise damaged(path, str(problem)) from None
    return tuple(found.values())


def _check_sizes(base: str, listed: Iterable[_Listed], inside: Callable[[str], bool]) -> None:
    missing, climbing, other = [], [], []
    count = 0
    for one in listed:
        count += 1
        path = os.path.join(base, one.href)
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(one.href)
            continue
        except OSError as problem:
            with explained("cannot read", path):
                raise problem
        if not inside(path):
            climbing.append(one.href)
        elif not stat.S_ISREG(status.st_mode):
            missing.append(one.href)
        elif status.st_size != one.size:
            other.append(f"{one.href} ({status.st_size:,} bytes, not {one.size:,})")
    if missing:
        raise _refusal(
            base,
            missing,
            f"of {count:,} packages that the metadata lists {{}} missing",
            "this is a boot.iso, a mirror that was cut down, or a copy that is not whole: take the DVD or all of it",
        )
    if climbing:
        raise _refusal(base, climbing, "{} reached by links that lead out of the repository", "copy the files there")
    if other:
        raise _refusal(base, other, "{} cut short or another than listed", _FETCH)


_FETCH = "copy these files again, or make the metadata anew if they were changed on purpose"


def _refusal(base: str, names: list[str], message: str, hint: str) -> RollbuildError:
    count = len(names)
    what = message.format(f"{count:,} {'is' if count == 1 else 'are'}")
    if not message.startswith("of "):
        what = message.format(f"{count:,} package{' is' if count == 1 else 's are'}")
    more = ", ..." if count > _SHOWN else ""
    return RollbuildError(f"{what}: {', '.join(names[:_SHOWN])}{more}", location=Location(base), hint=hint)


def _read_digests(
    base: str, listed: list[_Listed], advance: Callable[[int], object] | None
) -> Mapping[str, tuple[str, int]]:
    """The SHA-256 of each, after comparing what is listed. hashlib drops Python's lock: threads help."""
    found: dict[str, tuple[str, int]] = {}
    wrong = []
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        try:
            reads = pool.map(lambda one: _digest(os.path.join(base, one.href), one), listed)
            for one, (sha256, size, same) in zip(listed, reads, strict=True):
                found[one.href] = (sha256, size)
                if not same or size != one.size:
                    wrong.append(one.href)
                if advance is not None:
                    advance(size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if wrong:
        raise _refusal(base, wrong, "{} not what the metadata lists: the checksums differ", _FETCH)
    return found


def _digest(path: str, listed: _Listed) -> tuple[str, int, bool]:
    algorithm = "sha1" if listed.algorithm == "sha" else listed.algorithm
    sha256, size = hashlib.sha256(), 0
    try:
        other = sha256 if algorithm == _SHA256 else hashlib.new(algorithm, usedforsecurity=False)
    except ValueError:
        raise RollbuildError(
            f"its metadata has no checksum that can be verified: {algorithm or 'none'}", location=Location(path)
        ) from None
    with explained("cannot read", path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(file, _PIECE):
                size += len(piece)
                sha256.update(piece)
                if other is not sha256:
                    other.update(piece)
        finally:
            os.close(file)
    return sha256.hexdigest(), size, other.hexdigest() == listed.checksum
