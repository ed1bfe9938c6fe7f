"""Joining an OS tree and rolls into one tree, by hard links, from what is known of their files."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import digest_file, explained, link_names, make_folder
from rollbuild.findings import Finding, error
from rollbuild.location import Location

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file that a generation shares: `name` is its path from the folder `top`; what is known of its content.

    `remedy` says what to do when it is not so.
    """

    top: str
    name: str
    sha256: str
    size: int
    remedy: str

    @property
    def path(self) -> Path:
        return Path(self.top, self.name)


def check_sources(
    sources: Iterable[Source], *, digests: bool, advance: Callable[[], object] | None = None
) -> tuple[Finding, ...]:
    """An error for each file that is missing, is no file, or has another size or, with `digests`, other contents.

    Raises RollbuildError, exit code DISK, for what cannot be read.
    """
    findings: list[Finding] = []
    for (top, folder), inside in _by_folder(sources).items():
        place = os.path.join(top, folder)
        sizes = _sizes_of(place, [source.name.rpartition("/")[2] for source in inside])
        for source, size in zip(inside, sizes, strict=True):
            problem = ""
            if size is None:
                problem = "this file is missing, or is no file any more"
            elif size != source.size:
                problem = f"this file has {size:,} bytes, but {source.size:,} were recorded"
            elif digests and digest_file(source.path)[0] != source.sha256:
                problem = "this file was changed: its SHA-256 is not the recorded one"
            if problem:
                findings.append(error("INPUT-CHANGED", problem, Location(os.fspath(source.path)), source.remedy))
            if advance is not None:
                advance()
    if len(findings) > _MOST_SHOWN:
        message = f"{len(findings) - _MOST_SHOWN} more files are missing or changed"
        findings[_MOST_SHOWN:] = [error("INPUT-CHANGED", message, hint=findings[0].hint)]
    return tuple(findings)


def _by_folder(sources: Iterable[Source]) -> dict[tuple[str, str], list[Source]]:
    found: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        found.setdefault((source.top, source.name.rpartition("/")[0]), []).append(source)
    return found


def _sizes_of(folder: str, names: Iterable[str]) -> list[int | None]:
    """The size of each regular file; None for what is missing or is something else."""
    names = list(names)
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return [None] * len(names)
    sizes: list[int | None] = []
    try:
        with explained("cannot read", folder):
            for name in names:
                try:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    sizes.append(None)
                    continue
                sizes.append(status.st_size if stat.S_ISREG(status.st_mode) else None)
    finally:
        os.close(directory)
    return sizes


def join_files(stage: Path, shared: Mapping[str, Source], *, advance: Callable[[], object] | None = None) -> int:
    """Give files their places below a folder, by path; how many could be linked (the others were copied).

    Makes the folders (mode 755). Raises RollbuildError: REFUSED for a path that climbs out, DISK.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for path, source in shared.items():
        folder, _, name = path.rpartition("/")
        from_folder, _, from_name = source.name.rpartition("/")
        groups.setdefault((folder, source.top, from_folder), []).append((from_name, name))
    make_folders(stage, (folder for folder, _, _ in groups))
    return sum(
        link_names(os.path.join(top, from_folder), stage / folder, sorted(names), advance=advance)
        for (folder, top, from_folder), names in sorted(groups.items())
    )


def find_symlinks(top: Path, folders: Iterable[str]) -> dict[str, Path]:
    """The symbolic links in folders below `top`: path from it -> where the link is. Raises RollbuildError."""
    found = {}
    for folder in sorted(set(folders)):
        place = top / folder
        with explained("cannot read", place):
            found.update(
                {os.path.join(folder, item.name): Path(item.path) for item in os.scandir(place) if item.is_symlink()}
            )
    return found


def make_folders(stage: Path, folders: Iterable[str]) -> None:
    """Make folders below another, with those above them, readable for all whatever the umask.

    Raises RollbuildError: REFUSED for a path that climbs out, DISK.
    """
    wanted: set[str] = set()
    for folder in folders:
        while folder and folder not in wanted:
            if folder.startswith("/") or any(part in ("", ".", "..") for part in folder.split("/")):
                raise RollbuildError(f"{folder!r} leads out of the generation")
            wanted.add(folder)
            folder = os.path.dirname(folder)
    for folder in sorted(wanted):
        path = stage / folder
        if not path.is_dir():
            with explained("cannot write", path):
                make_folder(path)


def write_files(stage: Path, files: Mapping[str, bytes], *, mode: int = 0o644) -> None:
    """Write files below a folder, by path; exactly with these permissions. Raises RollbuildError, exit code DISK."""
    make_folders(stage, map(os.path.dirname, files))
    for name, content in sorted(files.items()):
        path = stage / name
        with explained("cannot write", path), open(path, "xb", opener=_open_private) as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def sync_tree(folder: Path) -> None:
    """Have the disk keep all that was written so far. Raises RollbuildError, exit code DISK."""
    with explained("cannot write", folder):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _sync_file_system(directory):
                os.sync()
            os.fsync(directory)
        finally:
            os.close(directory)


def _sync_file_system(directory: int) -> bool:
    """Whether only the file system of a folder was synchronised: the others may be busy with other things."""
    import ctypes  # as slow to import as a link of a hundred files

    with suppress(OSError, AttributeError):
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
        return bool(syncfs(directory) == 0)
    return False
