"""Fetching many files: packages of repositories, verified against the metadata, several at a time."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, link_file
from rollbuild.location import Location
from rollbuild.packages.closure import Chosen
from rollbuild.packages.contents import check_space, has_content, is_checksum
from rollbuild.packages.parallel import Advance, run_parallel
from rollbuild.packages.rpmfile import RpmFile, verify_rpm

PACKAGE_LIMIT = 16 * 1024**3
_WEAK = frozenset(("md5", "sha1"))
_UNQUOTED = "/%:+~^@!$&'()*,;=-._"


@dataclass(frozen=True, slots=True)
class Offer:
    """A package as a repository offers it. `place` is the repository's folder or URL, `href` the file from there.

    `nevra` is `name-epoch:version-release.arch`, `size` in bytes (0: not known), `checksum` (algorithm, digits).
    """

    nevra: str
    place: str
    href: str
    size: int
    checksum: tuple[str, str]
    repository: str = ""
    location: Location | None = None

    @property
    def file_name(self) -> str:
        """`name-version-release.arch.rpm`. Raises RollbuildError for what is no NEVRA."""
        start, colon, rest = self.nevra.rpartition(":")
        name, dash, epoch = start.rpartition("-")
        plain = f"{name}-{rest}.rpm"
        if not (colon and dash and name and epoch.isdigit()) or "/" in plain or plain[0] in ".-" or "\0" in plain:
            raise RollbuildError(f"{self.nevra!r} is no package", location=self.location)
        return plain


def offer_of(chosen: Chosen) -> Offer:
    """What was chosen, as what is fetched."""
    package, repository = chosen.package, chosen.repository
    place, href = repository.place, package.href
    if package.base_url:
        place = urljoin(repository.place.rstrip("/") + "/", package.base_url)
    return Offer(package.full_label, place, href, package.size, package.checksum, repository.name)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch into `target`, whose folder is made. Without a checksum a file that is there already is kept."""

    url: str
    target: Path
    size: int | None = None
    checksum: tuple[str, str] | None = None
    limit: int | None = None


def fetch_packages(
    packages: Iterable[Chosen | Offer],
    destination: Path,
    *,
    cache: Path | None = None,
    release: str = "el9",
    advance: Advance | None = None,
    timeout: float = 30.0,
) -> tuple[RpmFile, ...]:
    """Have these packages in `destination`, which is made, as `name-version-release.arch.rpm`; sorted by that name.

    Each has the size and the checksum that its repository's metadata says, is whole, and is the package it is said to
    be. Those of folders are linked or copied, others downloaded, four at a time; what has arrived is kept and resumed.
    `cache`: a folder for downloads, kept by their checksums. The files may share their content with those of the
    folder or the cache: never write into them. `release`: repositories of el7 may have checksums that are weak.
    `advance` is told the bytes of each step, from any thread, one at a time.

    Raises RollbuildError: REFUSED for a package that is gone or another, UNREACHABLE, DISK.
    """
    offers: dict[str, Offer] = {}
    for item in packages:
        offer = offer_of(item) if isinstance(item, Chosen) else item
        name = offer.file_name
        _check(offer, release)
        if offers.setdefault(name, offer).checksum != offer.checksum:
            places = " and ".join(sorted({offer.place, offers[name].place}))
            raise RollbuildError(f"{name} has different contents in {places}", location=offer.location)
    for folder in (destination, cache):
        if folder is not None:
            with explained("cannot make", folder):
                folder.mkdir(parents=True, exist_ok=True)
    remote = sum(
        offer.size for name, offer in offers.items() if _is_url(offer.place) and not (destination / name).exists()
    )
    check_space(cache or destination, remote, "what is to be fetched")

    def job(name: str) -> Callable[[Advance], RpmFile]:
        return lambda tell: _fetch(offers[name], destination / name, cache, timeout, tell)

    return tuple(run_parallel([job(name) for name in sorted(offers)], advance))


def _check(offer: Offer, release: str) -> None:
    algorithm, _ = offer.checksum
    parts = offer.href.split("/")
    if not offer.href or offer.href.startswith("/") or ".." in parts or "\0" in offer.href or "://" in offer.href:
        raise RollbuildError(
            f"{offer.nevra} lies outside of its repository: {offer.href!r}",
            location=offer.location or Location(offer.place),
        )
    if not is_checksum(offer.checksum):
        raise RollbuildError(
            f"{offer.nevra} has no checksum that can be verified: {algorithm or 'none'}",
            location=offer.location or Location(offer.place),
            hint="make the repository's metadata anew with createrepo_c",
        )
    if algorithm in _WEAK and release != "el7":
        raise RollbuildError(
            f"{offer.nevra} has a checksum that can be forged: {algorithm}",
            location=offer.location or Location(offer.place),
            hint="make the repository's metadata anew with createrepo_c; only el7 takes such",
        )


def _is_url(place: str) -> bool:
    return "://" in place and not place.lower().startswith("file://")


def _fetch(offer: Offer, target: Path, cache: Path | None, timeout: float, tell: Advance) -> RpmFile:
    size = offer.size or None
    if has_content(target, size, offer.checksum):
        tell(target.stat().st_size)
    elif _is_url(offer.place):
        url = urljoin(offer.place.rstrip("/") + "/", quote(offer.href, safe=_UNQUOTED))
        kept = target if cache is None else cache / f"{offer.checksum[0]}-{offer.checksum[1]}.rpm"
        _download(url, offer, kept, timeout, tell)
        if kept != target:
            _give_name(kept, target)
    else:
        source = _find_file(offer)
        if not has_content(source, size, offer.checksum):
            raise _other(offer, os.fspath(source))
        _give_name(source, target)
        tell(source.stat().st_size)
    found = verify_rpm(target)
    # Source packages are filed below the architecture they were built on.
    if found.nevra != offer.nevra and found.arch != "src":
        raise RollbuildError(
            f"{offer.href} is {found.nevra}, and its repository says {offer.nevra}",
            location=offer.location or Location(offer.place),
            hint="make the repository's metadata anew with createrepo_c",
        )
    return found


def _download(url: str, offer: Offer, target: Path, timeout: float, tell: Advance) -> None:
    from rollbuild.packages.transfer import download_file

    size = offer.size or None
    if has_content(target, size, offer.checksum):
        tell(target.stat().st_size)
        return
    try:
        download_file(
            url, target, size=size, checksum=offer.checksum, limit=PACKAGE_LIMIT, timeout=timeout, advance=tell
        )
    except RollbuildError as problem:
        if problem.location is not None or offer.location is None:
            raise
        raise RollbuildError(
            problem.message, location=offer.location, hint=problem.hint, exit_code=problem.exit_code
        ) from None


def _find_file(offer: Offer) -> Path:
    place = unquote(urlsplit(offer.place).path) if offer.place.lower().startswith("file://") else offer.place
    for href in (offer.href, unquote(offer.href)):
        path = Path(os.path.realpath(Path(place, *href.split("/"))))
        if ".." not in href.split("/") and path.is_file():
            return path
    raise RollbuildError(
        f"{offer.nevra} is not there: {offer.place}/{offer.href}",
        location=offer.location,
        hint="the repository's metadata lists it: copy the whole repository, or make its metadata anew",
    )


def _other(offer: Offer, path: str) -> RollbuildError:
    return RollbuildError(
        f"this file is not the one that its repository lists as {offer.nevra}",
        location=Location(path),
        hint="it is damaged, or was replaced: copy it again, or make the metadata anew with createrepo_c",
    )


def _give_name(source: Path, target: Path) -> None:
    with explained("cannot write", target), suppress(FileNotFoundError):
        target.unlink()
    link_file(source, target)


def download_files(
    files: Sequence[RemoteFile],
    *,
    advance: Advance | None = None,
    check: Callable[[Path], object] | None = None,
    timeout: float = 30.0,
) -> None:
    """Fetch files, four at a time; those that are there, with their checksum, are kept.

    `check` looks at each file, those that were there too, and raises RollbuildError; one that was there and fails is
    fetched anew. `advance` is as for `fetch_packages`. Raises RollbuildError as `download_file` does.
    """

    def job(file: RemoteFile) -> Callable[[Advance], None]:
        return lambda tell: _fetch_file(file, check, timeout, tell)

    run_parallel([job(file) for file in files], advance)


def _fetch_file(file: RemoteFile, check: Callable[[Path], object] | None, timeout: float, tell: Advance) -> None:
    from rollbuild.packages.transfer import download_file

    if _is_kept(file, check):
        tell(file.target.stat().st_size)
        return
    with explained("cannot make", file.target.parent):
        file.target.parent.mkdir(parents=True, exist_ok=True)
    download_file(
        file.url,
        file.target,
        size=file.size,
        checksum=file.checksum,
        limit=file.limit,
        advance=tell,
        timeout=timeout,
    )
    if check is not None:
        check(file.target)


def _is_kept(file: RemoteFile, check: Callable[[Path], object] | None) -> bool:
    target = file.target
    if file.checksum is not None:
        kept = has_content(target, file.size, file.checksum)
    else:
        kept = target.is_file() and not target.is_symlink() and file.size in (None, target.stat().st_size)
    if kept and check is not None:
        try:
            check(target)
        except RollbuildError:
            return False
    return kept
