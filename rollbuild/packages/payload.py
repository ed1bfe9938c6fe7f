"""The files inside RPM packages: cpio archives, compressed. Nothing is installed and no scriptlet runs."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages.native import load_createrepo
from rollbuild.packages.rpmfile import OpenRpm, open_rpm, verify_payload
from rollbuild.packages.rpmheader import HeaderProblem
from rollbuild.process import run_program

_PAYLOAD_COMPRESSOR = 1125
_MAX_PAYLOAD_BYTES = 4 * 1024**3
_MAX_XZ_MEMORY = 256 * 1024**2
"""Bytes that unpacking may take; `xz -9` needs a quarter of it."""
_MAX_ZSTD_BYTES = 256 * 1024**2
_MAX_WANTED_BYTES = 256 * 1024**2
_MAX_FILES = 100_000
_MAX_NAME_BYTES = 4096
_FOLDER_MODE = 0o755
_CHUNK = 1024 * 1024
_CPIO_HEADER_BYTES = 110
_TRAILER = "TRAILER!!!"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# The standard library has no zstd before Python 3.14. In a process of its own the library can be stopped when a small
# file unpacks to a huge one.
_UNPACK_ZSTD = (
    "import sys, createrepo_c as library; library.decompress_file(sys.argv[1], '/dev/stdout', library.ZSTD_COMPRESSION)"
)


class _PayloadProblem(Exception):
    """What is wrong with a payload, in words."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive; `content` is empty for what was not wanted."""

    name: str
    mode: int
    links: int
    file_id: tuple[int, int, int]
    content: bytes


def unpack_rpm(path: Path, destination: Path, *, below: str) -> tuple[str, ...]:
    """Write the regular files that a package has below a folder into `destination`; their names there, sorted.

    `below` is a folder in the package, such as "export/profile"; "" is its root. Files get mode 644, or 755 where
    their owner may run them; `destination` and folders are made where they are missing. A symbolic link becomes a
    copy of the file it means, if that is unpacked too. The digests of the package are compared first, and nothing is
    written until the whole payload was read. Raises RollbuildError: REFUSED for a damaged package, names that lead
    out of it, too much content and files that are there already; DISK when the disk refuses.
    """
    with open_rpm(path) as opened:
        verify_payload(opened)
        try:
            with _unpacked(opened) as payload:
                wanted = _read_wanted(payload, _split_folder(below))
        except (EOFError, OSError, lzma.LZMAError, zlib.error, HeaderProblem, _PayloadProblem) as problem:
            reason = str(problem) or type(problem).__name__
            raise RollbuildError(
                f"the content of this package cannot be unpacked: {' '.join(reason.split())}",
                location=Location(os.fspath(path)),
                hint="fetch or build it again",
            ) from None
    _write_files(destination, wanted, path)
    return tuple(sorted(wanted))


@contextmanager
def _unpacked(opened: OpenRpm) -> Iterator[BinaryIO]:
    """The payload as it was before it was compressed."""
    start = opened.file.tell()
    magic = opened.file.read(6)
    opened.file.seek(start)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=opened.file) as file:
            yield file  # type: ignore[misc]  # it reads, which is all that is asked of it
    elif magic.startswith(b"BZh"):
        with bz2.BZ2File(opened.file) as file:
            yield file  # type: ignore[misc]
    elif magic.startswith((b"\xfd7zXZ", b"]\0\0")):
        yield io.BufferedReader(_XzReader(opened.file), _CHUNK)
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        with _unpacked_zstd(opened) as file:
            yield file
    elif magic.startswith(b"07070"):
        yield opened.file
    elif not magic:
        raise _PayloadProblem("it has no payload")
    else:
        name = opened.header.text(_PAYLOAD_COMPRESSOR) or "unknown"
        raise _PayloadProblem(f"its payload is compressed in an unknown way (it says: {name[:40]!r})")


class _XzReader(io.RawIOBase):
    """What an xz or lzma file holds. The library's own reader takes as much memory as the file says, up to 4 GiB."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decoder.eof:
            packed = self._file.read(_CHUNK) if self._decoder.needs_input else b""
            if not packed and self._decoder.needs_input:
                raise EOFError("its compressed content is cut short")
            if piece := self._decoder.decompress(packed, len(buffer)):
                buffer[: len(piece)] = piece
                return len(piece)
        return 0


@contextmanager
def _unpacked_zstd(opened: OpenRpm) -> Iterator[BinaryIO]:
    library = load_createrepo()
    # Where this process found the library, the other one looks too.
    folder = os.path.dirname(os.path.dirname(os.path.abspath(library.__file__)))
    environment = {**os.environ, "PYTHONPATH": folder}
    with tempfile.TemporaryDirectory(prefix="rollbuild-") as temporary:
        packed = os.path.join(temporary, "payload.zst")
        with explained("cannot write", packed), open(packed, "wb") as copy:
            left = opened.payload_size
            while left and (piece := opened.file.read(min(_CHUNK, left))):
                copy.write(piece)
                left -= len(piece)
        argv = [sys.executable, "-P", "-c", _UNPACK_ZSTD, packed]
        try:
            done = run_program(argv, env=environment, output_limit=_MAX_ZSTD_BYTES)
        except RollbuildError:
            raise _PayloadProblem(f"it unpacks to more than {_MAX_ZSTD_BYTES:,} bytes") from None
    if done.returncode or not done.stdout:
        raise _PayloadProblem("its payload is no whole zstd file")
    yield io.BytesIO(done.stdout)


def _read_wanted(payload: BinaryIO, below: tuple[str, ...]) -> dict[str, tuple[bytes, int]]:
    """name -> (content, mode) of the regular files below a folder."""
    files: dict[str, tuple[bytes, int]] = {}
    links: dict[str, str] = {}
    same: dict[tuple[int, int, int], list[str]] = {}  # names of one file; its content comes with any one of them
    total = 0
    for member in _read_members(payload, below):
        parts = _split_name(member.name)
        if len(parts) <= len(below) or parts[: len(below)] != below:
            continue
        name = "/".join(parts[len(below) :])
        if _UNPRINTABLE.search(name):  # it would break lists of files, such as SHA256SUMS
            raise _PayloadProblem(f"the name {name!r} has control characters or is not UTF-8")
        if name in files or name in links:
            raise _PayloadProblem(f"it holds {name} twice")
        if stat.S_ISLNK(member.mode):
            links[name] = member.content.decode("utf-8", "surrogateescape")
        elif stat.S_ISREG(member.mode):
            names = same.setdefault(member.file_id, []) if member.links > 1 else []
            content = member.content or (files[names[0]][0] if names else b"")
            names.append(name)
            for each in names:
                files[each] = (content, 0o755 if member.mode & 0o100 else 0o644)
        total += len(member.content)
        if total > _MAX_WANTED_BYTES:
            raise _PayloadProblem(f"its files are larger than {_MAX_WANTED_BYTES:,} bytes together")
    for name, target in links.items():
        files[name] = files[_follow(name, target, links, files, "/".join(below))]
    _check_folders(files)
    return files


def _follow(name: str, target: str, links: dict[str, str], files: dict[str, tuple[bytes, int]], below: str) -> str:
    """The file that a symbolic link means."""
    at, first = name, target
    for _ in range(40):
        inside = os.path.normpath(os.path.join("/", below, os.path.dirname(at), target))
        at = os.path.relpath(inside, os.path.join("/", below))
        if at not in links:
            break
        target = links[at]
    if at not in files:
        raise _PayloadProblem(f"its symbolic link {name} means {first}, which is no file beside it")
    return at


def _check_folders(files: dict[str, tuple[bytes, int]]) -> None:
    for name in files:
        folder = os.path.dirname(name)
        while folder:
            if folder in files:
                raise _PayloadProblem(f"it holds {folder} as a file and as a folder")
            folder = os.path.dirname(folder)


def _read_members(payload: BinaryIO, below: tuple[str, ...]) -> Iterator[_Member]:
    """The entries of a cpio archive ("newc"), with the content of those below a folder."""
    done = 0
    for _ in range(_MAX_FILES + 1):
        head = _read_exactly(payload, _CPIO_HEADER_BYTES)
        if head.startswith(b"07070X"):
            raise _PayloadProblem("it has files of more than 4 GiB, and so a form of archive that is not read here")
        if not head.startswith((b"070701", b"070702")):
            raise _PayloadProblem("its payload is no cpio archive")
        try:
            fields = [int(head[at : at + 8].decode("ascii"), 16) for at in range(6, _CPIO_HEADER_BYTES, 8)]
        except ValueError:
            raise _PayloadProblem("its archive is damaged") from None
        inode, mode, links, size, major, minor, name_bytes = (fields[at] for at in (0, 1, 4, 6, 7, 8, 11))
        if not 1 < name_bytes <= _MAX_NAME_BYTES:
            raise _PayloadProblem("its archive is damaged: a name has an impossible length")
        raw = _read_exactly(payload, name_bytes + -(_CPIO_HEADER_BYTES + name_bytes) % 4)[: name_bytes - 1]
        name = raw.decode("utf-8", "surrogateescape")
        if name == _TRAILER:
            return
        done += size
        if done > _MAX_PAYLOAD_BYTES:
            raise _PayloadProblem(f"its files are larger than {_MAX_PAYLOAD_BYTES:,} bytes together")
        wanted = _split_name(name)[: len(below)] == below and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
        if wanted and size > _MAX_WANTED_BYTES:
            raise _PayloadProblem(f"{name} is larger than {_MAX_WANTED_BYTES:,} bytes")
        content = _read_exactly(payload, size) if wanted else _skip(payload, size)
        _skip(payload, -size % 4)
        yield _Member(name, mode, links, (major, minor, inode), content)
    raise _PayloadProblem(f"it holds more than {_MAX_FILES:,} files")


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _PayloadProblem("its archive is cut short")
    return data


def _skip(file: BinaryIO, size: int) -> bytes:
    while size:
        size -= len(_read_exactly(file, min(size, _CHUNK)))
    return b""


def _split_folder(below: str) -> tuple[str, ...]:
    return tuple(part for part in below.split("/") if part)


def _split_name(name: str) -> tuple[str, ...]:
    """The parts of a name in an archive; rpm writes `./usr/share`, source packages plain names."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or "\0" in name:
        raise _PayloadProblem(f"the name {name!r} leads out of it")
    return parts


def _write_files(destination: Path, files: dict[str, tuple[bytes, int]], path: Path) -> None:
    made: list[str] = []
    try:
        with explained("cannot write", destination):
            destination.mkdir(parents=True, exist_ok=True)
        for name, (content, mode) in sorted(files.items()):
            target = os.path.join(destination, name)
            with explained("cannot write", target):
                _make_folders(destination, os.path.dirname(name))
                try:
                    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
                except FileExistsError:
                    raise RollbuildError(
                        f"this package has the file {name}, which is in {destination} already",
                        location=Location(os.fspath(path)),
                    ) from None
                made.append(target)
                with os.fdopen(number, "wb") as file:
                    os.fchmod(number, mode)  # whatever the umask
                    file.write(content)
    except BaseException:
        for target in made:
            with suppress(OSError):
                os.unlink(target)
        raise


def _make_folders(destination: Path, folder: str) -> None:
    """Make a folder and those above it, inside the destination; none may be a link that leads elsewhere."""
    at = os.fspath(destination)
    for part in folder.split("/") if folder else ():
        at = os.path.join(at, part)
        try:
            os.mkdir(at)
            os.chmod(at, _FOLDER_MODE)  # whatever the umask
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                raise NotADirectoryError(20, os.strerror(20)) from None
