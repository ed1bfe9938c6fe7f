"""An OS tree on a web server, fetched here: its images and all repositories that its `.treeinfo` names."""

import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from rollbuild.distribution.treeinfo import TreeInfo, parse_treeinfo
from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import explained, walk_tree, write_atomically
from rollbuild.location import Location
from rollbuild.packages import (
    RemoteFile,
    RepositoryName,
    check_space,
    download_files,
    is_checksum,
    open_repositories,
    read_repomd,
    show_size,
)

_TREEINFO = (".treeinfo", "treeinfo")
_REPOMD = "repodata/repomd.xml"
_SMALL = 16 * 1024 * 1024
_HIGHEST = 6
_BOOT_FOLDERS = ("EFI/", "isolinux/", "boot/", "images/")
_BOOT_DEPTH = 6
_MOST_FOLDERS = 500
_NOT_NEEDED = frozenset(("images/boot.iso",))
"""A gigabyte that holds the other images once more."""
_TOP_FILES = (".discinfo", "media.repo", "EULA", "GPL", "LICENSE", "extra_files.json")
_WEAK = frozenset(("md5", "sha1"))
_UNQUOTED = "/%:+~^@!$&'()*,;=-._"

Advance = Callable[[int], object]
News = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class MirroredTree:
    """A tree on a server whose metadata is here, and what of it is still to be fetched.

    `folder`: where the tree will lie, whole; repositories beside it, `../../../AppStream/x86_64/os`, lie beside it too.
    `size`: the bytes of all `files`.
    """

    url: str
    folder: Path
    top: Path
    treeinfo: bytes
    files: tuple[RemoteFile, ...]
    kept: frozenset[Path]
    size: int


def fetch_tree(
    url: str,
    destination: Path,
    *,
    begin: Callable[[int], object] | None = None,
    advance: Advance | None = None,
    news: News | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch the OS tree at a URL into `destination`, a folder for this URL alone; where in it the tree lies.

    `begin` is told the bytes of all before they come, `advance` the bytes of each step. Otherwise as `open_mirror` and
    `fetch_mirror`.
    """
    mirror = open_mirror(url, destination, news=news, timeout=timeout)
    if begin is not None:
        begin(mirror.size)
    return fetch_mirror(mirror, advance=advance, timeout=timeout)


def open_mirror(url: str, destination: Path, *, news: News | None = None, timeout: float = 30.0) -> MirroredTree:
    """Fetch the `.treeinfo` at a URL and the metadata of each repository that it names, verified.

    `destination`: a folder for this URL alone, made where it is missing; what has arrived is kept there and resumed.
    Raises RollbuildError: UNREACHABLE, REFUSED for what is no tree or is damaged, DISK.
    """
    from rollbuild.packages import check_url

    check_url(url, "an OS tree")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise RollbuildError(f"{url} is no place of an OS tree", hint="name the folder itself, without ? and #")
    return _Reading(url if url.endswith("/") else url + "/", destination, news or (lambda _: None), timeout).read()


def fetch_mirror(mirror: MirroredTree, *, advance: Advance | None = None, timeout: float = 30.0) -> Path:
    """Fetch everything else of the tree, verified by its metadata; its folder, whole. Raises RollbuildError."""
    missing = 0
    for file in mirror.files:
        part = file.target.with_name(file.target.name + ".part")
        here = next((path for path in (file.target, part) if path.is_file()), None)
        missing += max((file.size or 0) - (here.stat().st_size if here else 0), 0)
    check_space(mirror.top, missing, f"{mirror.url} ({show_size(mirror.size)})")
    download_files(mirror.files, advance=advance, timeout=timeout)
    write_atomically(mirror.folder / ".treeinfo", mirror.treeinfo)
    wanted = {*mirror.kept, *(file.target for file in mirror.files), mirror.folder / ".treeinfo"}
    for name, status in list(walk_tree(mirror.top)):
        # What an earlier try left of files that the server no longer has.
        if not stat.S_ISDIR(status.st_mode) and mirror.top / name not in wanted:
            with explained("cannot remove", mirror.top / name):
                (mirror.top / name).unlink()
    return mirror.folder


@dataclass(frozen=True, slots=True)
class _Reading:
    url: str
    destination: Path
    news: News
    timeout: float

    def read(self) -> MirroredTree:
        info, data = self._read_treeinfo()
        repositories = tuple(dict.fromkeys(variant.repository for variant in info.variants))
        top = self.destination / "tree"
        folder = top.joinpath(*_shared_parts(self.url, repositories))
        files: dict[Path, RemoteFile] = {}
        kept: set[Path] = set()
        for repository in repositories:
            metadata, packages = self._read_repository(repository, folder, info)
            kept |= metadata
            files |= {file.target: file for file in packages}
        for file in self._find_images(info, folder):
            if file.target not in kept:
                files.setdefault(file.target, file)
        for file in self._find_others(folder):
            if file.target not in kept:
                files.setdefault(file.target, file)
        size = sum(file.size or 0 for file in files.values())
        self.news(f"{info.family} {info.version} {info.arch}: {len(files):,} files, {show_size(size)}")
        ordered = tuple(files[target] for target in sorted(files))
        return MirroredTree(self.url, folder, top, data, ordered, frozenset(kept), size)

    def _read_treeinfo(self) -> tuple[TreeInfo, bytes]:
        from rollbuild.packages import read_url

        for name in _TREEINFO:
            data = read_url(self.url + name, _SMALL, timeout=self.timeout)
            if data is not None:
                return parse_treeinfo(data, self.url + name), data
        raise RollbuildError(
            f"there is no OS tree at {self.url}: it has no .treeinfo",
            hint="name the folder that holds .treeinfo, on mirrors .../BaseOS/x86_64/os/, or the ISO of a DVD",
        )

    def _place(self, path: str, folder: Path) -> tuple[str, Path]:
        """The URL and the local path of something named from the tree."""
        local = Path(posixpath.normpath(posixpath.join(folder.as_posix(), path)))
        return urljoin(self.url, quote(path, safe=_UNQUOTED)), local

    def _read_repository(
        self, repository: str, folder: Path, info: TreeInfo
    ) -> tuple[set[Path], tuple[RemoteFile, ...]]:
        """Fetch a repository's metadata; the files of that, and its packages."""
        from rollbuild.packages import read_url

        url, local = self._place(f"{repository}/", folder)
        data = read_url(url + _REPOMD, _SMALL, timeout=self.timeout)
        if data is None:
            raise RollbuildError(
                f"there is no repository at {url}, which the .treeinfo names",
                hint="the mirror is not whole: use another",
            )
        index = local / _REPOMD
        with explained("cannot make", index.parent):
            index.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(index, data)
        kept = {index}
        for name in (f"{_REPOMD}.asc", f"{_REPOMD}.key"):
            signature = read_url(url + name, _SMALL, timeout=self.timeout)
            if signature is not None:
                write_atomically(local / name, signature)
                kept.add(local / name)
        records = []
        for record in read_repomd(str(index), url + _REPOMD).values():
            checksum = ("sha1" if record.algorithm == "sha" else record.algorithm, record.checksum)
            self._check(url, record.href, checksum, info)
            target = local.joinpath(*record.href.split("/"))
            records.append(RemoteFile(url + quote(record.href, safe=_UNQUOTED), target, record.size or None, checksum))
        download_files(records, timeout=self.timeout)
        kept |= {record.target for record in records}
        files = []
        with open_repositories([RepositoryName(str(local), "os")]) as (found,):
            for package in (package for some in found.packages.values() for package in some):
                if package.base_url:
                    raise RollbuildError(f"{package.label} lies outside of its repository", location=Location(url))
                self._check(url, package.href, package.checksum, info)
                target = local.joinpath(*package.href.split("/"))
                place = url + quote(package.href, safe=_UNQUOTED)
                files.append(RemoteFile(place, target, package.size or None, package.checksum))
        return kept, tuple(files)

    def _check(self, url: str, href: str, checksum: tuple[str, str], info: TreeInfo) -> None:
        parts = href.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in href or "://" in href:
            raise RollbuildError(f"this repository names a file elsewhere: {href!r}", location=Location(url))
        weak = checksum[0] in _WEAK and info.version.partition(".")[0] != "7"
        if not is_checksum(checksum) or weak:
            raise RollbuildError(
                f"{href} has no checksum that can be relied on: {checksum[0] or 'none'}", location=Location(url)
            )

    def _find_images(self, info: TreeInfo, folder: Path) -> Iterator[RemoteFile]:
        """The images that `.treeinfo` names; what it has no checksum of may be missing."""
        from rollbuild.packages import ask_size

        named = {path for images in info.images.values() for path in images.values()}
        named |= {info.stage2} if info.stage2 else set()
        for path in sorted(named | set(info.checksums)):
            checksum = info.checksums.get(path)
            if path in _NOT_NEEDED or path.endswith(_REPOMD):
                continue
            url, target = self._place(path, folder)
            try:
                size = ask_size(url, timeout=self.timeout)
            except RollbuildError as problem:
                if problem.exit_code != REFUSED:
                    raise
                self.news(f"the mirror lacks {path}, which the .treeinfo names")
                continue
            yield RemoteFile(url, target, size, checksum)

    def _find_others(self, folder: Path) -> Iterator[RemoteFile]:
        """Boot loaders, keys and texts, which only the server's listing names."""
        from rollbuild.packages import ask_size, list_url

        try:
            names = list_url(self.url, timeout=self.timeout)
            folders: set[str] = set()
            paths = [name for name in names if name in _TOP_FILES or name.startswith("RPM-GPG-KEY")]
            for boot in (name for name in names if name in _BOOT_FOLDERS):
                paths += self._list(boot, _BOOT_DEPTH, folders)
        except RollbuildError as problem:
            if problem.exit_code != REFUSED:
                raise
            self.news(f"the mirror lists no folders: boot loaders and keys are left out ({problem.message})")
            return
        for path in paths:
            if path not in _NOT_NEEDED and not path.endswith(".iso"):
                url, target = self.url + quote(path), folder.joinpath(*path.split("/"))
                yield RemoteFile(url, target, ask_size(url, timeout=self.timeout))

    def _list(self, path: str, depth: int, folders: set[str]) -> list[str]:
        """The files below a folder; `folders`, those that were asked for, grows."""
        from rollbuild.packages import list_url

        folders.add(path)
        if len(folders) > _MOST_FOLDERS:
            raise RollbuildError(f"there are more than {_MOST_FOLDERS:,} folders below {self.url}")
        found = []
        for name in list_url(self.url + quote(path), timeout=self.timeout):
            if not name.endswith("/"):
                found.append(path + name)
            elif depth:
                found += self._list(path + name, depth - 1, folders)
        return found


def _shared_parts(url: str, repositories: tuple[str, ...]) -> list[str]:
    """The last parts of the tree's own path, as many as a repository beside it climbs up."""
    highest = 0
    for repository in repositories:
        parts = posixpath.normpath(repository).split("/")
        climbs = parts.count("..")
        if parts[:climbs] != [".."] * climbs:
            raise RollbuildError(f"{repository!r} is no place of a repository", location=Location(url))
        highest = max(highest, climbs)
    own = [unquote(part) for part in urlsplit(url).path.split("/") if part]
    odd = any(part in (".", "..") or "/" in part or "\0" in part for part in own)
    if highest > min(len(own), _HIGHEST) or odd:
        raise RollbuildError(
            f"the .treeinfo of {url} names repositories far from it: {', '.join(repositories)}",
            hint="rollbuild takes those close to the tree, as mirrors have them: ../../../AppStream/x86_64/os",
        )
    return own[-highest:] if highest else []
