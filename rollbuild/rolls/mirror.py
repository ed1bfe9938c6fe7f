"""Rolls of a web server, fetched here: an ISO, a built roll, a Rocks roll's folder, or all below a folder."""

import hashlib
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from rollbuild.errors import RollbuildError
from rollbuild.files import explained, walk_tree, write_atomically
from rollbuild.packages import RemoteFile, check_space, download_files, show_size, verify_rpm
from rollbuild.rolls.built import MANIFEST, BuiltRoll, parse_built_roll
from rollbuild.rolls.media import NAMELESS, NAMELESS_HINT

DEPTH = 4
_MOST_FOLDERS = 2_000
_MANIFEST_LIMIT = 256 * 1024 * 1024
_SUMS_LIMIT = 16 * 1024 * 1024
_XML_LIMIT = 16 * 1024 * 1024
_OLD_XML = re.compile(r"roll-[^/]+\.xml\Z")
_OLD_FOLDERS = ("RedHat/RPMS/", "RPMS/", "SRPMS/", "RedHat/SRPMS/")
_GNU_SUM = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)\Z")
_BSD_SUM = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})\Z")
_SUMS = "SHA256SUMS"

Advance = Callable[[int], object]
News = Callable[[str], object]


def fetched_folder(cache: Path, url: str) -> Path:
    """The folder below a cache for what is fetched from a URL: the same whenever it is tried again."""
    return cache / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]


def forget_fetched(cache: Path, url: str) -> None:
    """Remove what was fetched from a URL, once it is added."""
    shutil.rmtree(fetched_folder(cache, url), ignore_errors=True)


def fetch_roll(
    url: str,
    cache: Path,
    *,
    advance: Advance | None = None,
    news: News | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch the roll, or the rolls, at a URL; the ISO or folder that holds them, as if they had been here.

    The URL is that of an ISO, of a roll's folder NAME/VERSION/ARCH, or of a folder up to four levels above, such as
    `http://central/install/rolls/`, whose server lists its folders. What has arrived is kept in `cache`,
    which is made where it is missing, and resumed, until `forget_fetched` is called. A built roll's files have
    the digests of its roll.json, packages of a Rocks roll those inside of them; an ISO is compared with
    URL.sha256 or the SHA256SUMS beside it, where there is one. `news` is told what was found and how large it is.

    Raises RollbuildError: UNREACHABLE when the server does not answer, REFUSED when there is no roll or it is
    damaged, DISK.
    """
    from rollbuild.packages import check_url

    check_url(url, "a roll")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise RollbuildError(f"{url} is no place of a roll", hint="name the ISO or folder itself, without ? and #")
    destination = fetched_folder(cache, url)
    with explained("cannot make", destination):
        destination.mkdir(parents=True, exist_ok=True)
    fetch = _Fetch(destination, advance, news or (lambda _: None), timeout)
    if urlsplit(url).path.lower().endswith(".iso"):
        return fetch.iso(url)
    return fetch.folder(url if url.endswith("/") else url + "/")


@dataclass(frozen=True, slots=True)
class _Place:
    """A roll's folder: its URL, where it lies below what was asked for, and the names in it where they were listed."""

    url: str
    inside: str
    manifest: bytes | None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fetch:
    destination: Path
    advance: Advance | None
    news: News
    timeout: float

    def iso(self, url: str) -> Path:
        name = unquote(urlsplit(url).path).rpartition("/")[2]
        if name.startswith(".") or any(ord(char) < 32 for char in name):
            raise RollbuildError(f"{url} has no name that a file could have")
        sha256 = self._sum_of(url, name)
        if sha256 is None:
            self.news(f"{name}: the server has no checksum of it ({name}.sha256 or {_SUMS})")
        checksum = None if sha256 is None else ("sha256", sha256)
        target = self.destination / name
        if checksum is None:  # the server may have another one by now
            target.unlink(missing_ok=True)
        self._download([RemoteFile(url, target, checksum=checksum)])
        return target

    def _sum_of(self, url: str, name: str) -> str | None:
        from rollbuild.packages import read_url

        folder = url.rpartition("/")[0]
        for place in (f"{url}.sha256", f"{folder}/{_SUMS}", f"{folder}/CHECKSUM"):
            data = read_url(place, _SUMS_LIMIT, timeout=self.timeout)
            found = None if data is None else find_sum(data.decode(errors="replace"), name)
            if found:
                return found
        return None

    def folder(self, url: str) -> Path:
        top = self.destination / "rolls"
        nameless: list[str] = []
        places = tuple(self._find(url, "", DEPTH, [0], nameless))
        for other in nameless if places else ():
            self.news(f"{other}: {NAMELESS}; {NAMELESS_HINT}")
        if not places:
            raise self._explain_none(url, nameless)
        wanted: set[str] = set()
        for place in places:
            local = top.joinpath(*place.inside.split("/")) if place.inside else top
            names = self._old(place, local) if place.manifest is None else self._built(place, place.manifest, local)
            wanted |= {f"{place.inside}/{name}".lstrip("/") for name in names}
        _remove_others(top, wanted)
        return top

    def _explain_none(self, url: str, nameless: Sequence[str]) -> RollbuildError:
        from rollbuild.packages import list_url

        if nameless:
            return RollbuildError(f"{nameless[0]}: {NAMELESS}", hint=NAMELESS_HINT)
        isos = [name for name in list_url(url, timeout=self.timeout) if name.endswith(".iso")]
        hint = "name an ISO, a folder NAME/VERSION/ARCH with a roll.json or RedHat/, or a folder of such"
        if isos:
            hint = f"it holds ISOs; name one of them: {url}{quote(isos[0])}"
        return RollbuildError(f"there is no roll at {url}", hint=hint)

    def _find(self, url: str, inside: str, depth: int, count: list[int], nameless: list[str]) -> Iterator[_Place]:
        from rollbuild.packages import list_url, read_url

        count[0] += 1
        if count[0] > _MOST_FOLDERS:
            raise RollbuildError(
                f"there are more than {_MOST_FOLDERS:,} folders below {url}", hint="name a roll's folder"
            )
        if not inside:
            # A single roll needs no server that lists its folders.
            manifest = read_url(url + MANIFEST, _MANIFEST_LIMIT, timeout=self.timeout)
            if manifest is not None:
                yield _Place(url, inside, manifest)
                return
        names = list_url(url, timeout=self.timeout)
        if MANIFEST in names:
            manifest = read_url(url + MANIFEST, _MANIFEST_LIMIT, timeout=self.timeout)
            if manifest is None:
                raise RollbuildError(f"{url}{MANIFEST} is listed and not there")
            yield _Place(url, inside, manifest)
        elif "RedHat/" in names and not any(map(_OLD_XML.match, names)):
            nameless.append(url)
        elif any(map(_OLD_XML.match, names)):
            yield _Place(url, inside, None, names)
        elif depth:
            for name in names:
                if name.endswith("/") and not name.startswith("."):
                    below = f"{inside}/{name[:-1]}".lstrip("/")
                    yield from self._find(url + quote(name), below, depth - 1, count, nameless)

    def _built(self, place: _Place, manifest: bytes, local: Path) -> set[str]:
        """Fetch what a roll.json lists; the names of all files. The roll.json itself comes last."""
        roll = parse_built_roll(manifest, place.url + MANIFEST)
        size = sum(size for _, size in roll.files.values())
        self.news(f"roll {roll.id}: {len(roll.files):,} files, {show_size(size)}")
        files = [
            RemoteFile(place.url + quote(name), local / name, size, ("sha256", sha256))
            for name, (sha256, size) in sorted(roll.files.items())
        ]
        _refuse_odd(roll, place.url)
        _check_room(files, self.destination, f"roll {roll.id}")
        self._download(files)
        names = {*roll.files, MANIFEST}
        for name in (_SUMS, f"{_SUMS}.asc"):
            if name not in roll.files and self._optional(place.url + name, local / name):
                names.add(name)
        write_atomically(local / MANIFEST, manifest)
        return names

    def _optional(self, url: str, target: Path) -> bool:
        from rollbuild.packages import read_url

        data = read_url(url, _SUMS_LIMIT, timeout=self.timeout)
        if data is None:
            return False
        with explained("cannot make", target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, data)
        return True

    def _old(self, place: _Place, local: Path) -> set[str]:
        """Fetch a Rocks roll's XML file and packages; their names."""
        from rollbuild.packages import list_url

        files: dict[str, RemoteFile] = {}
        folders = {name.split("/")[0] + "/" for name in _OLD_FOLDERS} & set(place.names)
        present: set[str] = set()
        for folder in sorted(folders):
            below = list_url(place.url + folder, timeout=self.timeout) if folder == "RedHat/" else ()
            present |= {f"RedHat/{name}" for name in below} | {folder}
        for folder in (folder for folder in _OLD_FOLDERS if folder in present):
            for name in list_url(place.url + folder, timeout=self.timeout):
                if name.endswith(".rpm") and not name.startswith("."):
                    files[folder + name] = RemoteFile(place.url + folder + quote(name), local / folder / name)
        if not files:
            raise RollbuildError(f"{place.url} holds no packages", hint="copy the roll's whole folder")
        self.news(f"roll of Rocks at {place.url}: {len(files):,} packages")
        self._download(list(files.values()), check=verify_rpm)
        xml = [name for name in place.names if _OLD_XML.match(name)]
        for name in xml:
            # Small, without a checksum: the server's is the right one.
            self._optional(place.url + quote(name), local / name)
        return {*files, *xml}

    def _download(self, files: list[RemoteFile], check: Callable[[Path], object] | None = None) -> None:
        download_files(files, advance=self.advance, check=check, timeout=self.timeout)


def find_sum(text: str, name: str) -> str | None:
    """The SHA-256 of a file in a list of them: lines of sha256sum or `SHA256 (name) = ...`, or just one digest."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) == 1 and re.fullmatch(r"[0-9a-fA-F]{64}", lines[0]):
        return lines[0].lower()
    for line in lines:
        gnu, bsd = _GNU_SUM.match(line), _BSD_SUM.match(line)
        if gnu and gnu[2].removeprefix("./") == name:
            return gnu[1].lower()
        if bsd and bsd[1] == name:
            return bsd[2].lower()
    return None


def _refuse_odd(roll: BuiltRoll, url: str) -> None:
    """Refuse two names of which one would be a folder for the other, or that our own files have."""
    folders = {name[:end] for name in roll.files for end in range(len(name)) if name[end] == "/"}
    for name in roll.files:
        if name in folders or name == MANIFEST or name.endswith((".part", ".part.json")):
            raise RollbuildError(f"{url}{MANIFEST} lists a file that cannot be: {name}", hint="build the roll again")


def _check_room(files: list[RemoteFile], folder: Path, what: str) -> None:
    missing = 0
    for file in files:
        here = next((path for path in (file.target, Path(f"{file.target}.part")) if path.is_file()), None)
        missing += max((file.size or 0) - (here.stat().st_size if here else 0), 0)
    check_space(folder, missing, what)


def _remove_others(top: Path, wanted: set[str]) -> None:
    """Remove what an earlier try left of files that the server no longer has."""
    for name, status in list(walk_tree(top)):
        if name not in wanted and not stat.S_ISDIR(status.st_mode):
            with explained("cannot remove", top / name):
                (top / name).unlink()
