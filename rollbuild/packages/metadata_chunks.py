"""What the metadata of a repository says of one package: three pieces of XML, made from its header."""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from xml.parsers import expat

from rollbuild.errors import RollbuildError
from rollbuild.files import explain_os_error, explained
from rollbuild.location import Location
from rollbuild.packages.metadata_workers import shared_work
from rollbuild.packages.native import load_createrepo

CHANGELOG_LIMIT = 10
"""The newest entries of each package's changelog; createrepo_c's own default."""

_PIECE = 1024 * 1024
_LEAD, _INTRO, _ENTRY = 96, 16, 16  # bytes: RPM's lead, the start of a header, an entry of its index
_MAGIC = b"\x8e\xad\xe8"
_HEADER_LIMIT = 256 * 1024 * 1024  # rpm's own limit
_PLACE = b'<location href="rollbuild"/>'
_WORTH_A_PROCESS = 400
_WORTH_A_PROCESS_BYTES = 128 * 1024 * 1024

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, and times of last change of content and of inode in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """The metadata of one package, wherever it lies: `before` and `after` go around its place in primary.xml.

    It depends on nothing but the file's bytes. `nevra` is "name-epoch:version-release.arch".
    """

    sha256: str
    nevra: str
    before: bytes
    after: bytes
    filelists: bytes
    other: bytes

    def __reduce__(self) -> tuple[object, ...]:
        # Slotted dataclasses travel between processes slowly by themselves.
        return Chunks, (self.sha256, self.nevra, self.before, self.after, self.filelists, self.other)

    def texts(self) -> tuple[bytes, bytes, bytes]:
        """Its pieces of primary.xml, of which the place is left out, filelists.xml and other.xml."""
        return self.before + self.after, self.filelists, self.other

    def primary(self, href: str) -> bytes:
        """Its piece of primary.xml, where the package lies at `href`."""
        return b"%s<location href=%s/>%s" % (self.before, _quote(href), self.after)


def _quote(text: str) -> bytes:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").join('""').encode()


@dataclass(frozen=True, slots=True)
class Task:
    """A package file to read; `guess` is the SHA-256 that it probably has, whose Chunks are at hand."""

    path: str
    size: int
    guess: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading a file gave; `chunks` is None where the guess was right. `identity` is of the moment of reading."""

    identity: Identity
    chunks: Chunks | None

    def __reduce__(self) -> tuple[object, ...]:
        return Scan, (self.identity, self.chunks)


identify: Callable[[os.stat_result], Identity] = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""What changes when a file does."""


def scan_files(tasks: Sequence[Task], advance: Callable[[int], object] | None = None) -> list[Scan]:
    """Read packages, in the order of the tasks; `advance` is told the bytes read.

    Raises RollbuildError, with the file's place: REFUSED for what is no RPM, or damaged; DISK.
    """
    scans = []
    worth = max(len(tasks) // _WORTH_A_PROCESS, sum(task.size for task in tasks) // _WORTH_A_PROCESS_BYTES) + 1
    with shared_work(_scan_some, tasks, worth=worth) as results:
        for task, scan in zip(tasks, results, strict=True):
            scans.append(scan)
            if advance is not None:
                advance(task.size)
    return scans


def _scan_some(tasks: Sequence[Task]) -> list[Scan]:
    with _open_scratch() as scratch:
        scans = [_scan(task, scratch) for task in tasks]
    chunks = [scan.chunks for scan in scans if scan.chunks is not None]
    if not _is_xml([text for one in chunks for text in one.texts()]):
        for task, scan in zip(tasks, scans, strict=True):
            if scan.chunks is not None and not all(_is_xml([text]) for text in scan.chunks.texts()):
                raise _damaged(task.path, "its metadata is no XML")
    return scans


@dataclass(frozen=True, slots=True)
class _Scratch:
    """A file to write headers into: in memory, where nothing is left of a process that is killed."""

    file: int
    path: str

    def fill(self, header: bytes) -> None:
        try:
            if os.pwrite(self.file, header, 0) < len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.ftruncate(self.file, len(header))
        except OSError as problem:
            raise explain_os_error(problem, "cannot write", self.path) from problem


@contextmanager
def _open_scratch() -> Iterator[_Scratch]:
    if os.path.isdir("/proc/self/fd"):
        with explained("cannot write", "/proc/self/fd"):
            file = os.memfd_create("rollbuild-header")
        try:
            yield _Scratch(file, f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        return
    with explained("cannot write into", tempfile.gettempdir()):
        scratch = tempfile.NamedTemporaryFile(prefix="rollbuild-")  # noqa: SIM115
    with scratch:
        yield _Scratch(scratch.fileno(), scratch.name)


def _scan(task: Task, scratch: _Scratch) -> Scan:
    try:
        file = os.open(task.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise RollbuildError("this is no file, but a package is needed here", location=Location(task.path))
            digest, size, header = _read(file, task)
            if identify(os.fstat(file)) != identify(status) or size != status.st_size:
                raise RollbuildError(
                    "this file changed while it was read", location=Location(task.path), hint="run this again"
                )
        finally:
            os.close(file)
    except OSError as problem:
        raise explain_os_error(problem, "cannot read", task.path) from problem
    return Scan(identify(status), None if digest == task.guess else _parse(task.path, header, digest, size, scratch))


def _read(file: int, task: Task) -> tuple[str, int, bytes]:
    """SHA-256 and size of an RPM, and its bytes from the start to the end of its header."""
    digest, size, head, end = hashlib.sha256(), 0, b"", 0
    while piece := os.read(file, min(_PIECE, task.size + 1)):
        digest.update(piece)
        size += len(piece)
        if not end or len(head) < end:
            head += piece
            end = end or _find_end(head, task.path)
    if not end or len(head) < end:
        raise _damaged(task.path, "it ends within its header" if size else "it is empty")
    return digest.hexdigest(), size, head[:end]


def _find_end(head: bytes, path: str) -> int:
    """Where an RPM's header ends, counted from the start of the file; 0 when more of it must be read to know."""
    if len(head) >= 4 and head[:4] != b"\xed\xab\xee\xdb":
        raise _damaged(path, "it does not start as an RPM does")
    place = _LEAD
    for padding in (7, 0):
        intro = head[place : place + _INTRO]
        if len(intro) < _INTRO:
            return 0
        if intro[:3] != _MAGIC:
            raise _damaged(path, "its header is not where it should be")
        size = _INTRO + _ENTRY * int.from_bytes(intro[8:12], "big") + int.from_bytes(intro[12:16], "big")
        if size > _HEADER_LIMIT:
            raise _damaged(path, "its header is too large to be one")
        place += size + (-size & padding)
    return place


def _parse(path: str, header: bytes, digest: str, size: int, scratch: _Scratch) -> Chunks:
    """createrepo_c reads a file with the header alone: digesting the rest again would take it longer than all else."""
    library = load_createrepo()
    scratch.fill(header)
    try:
        package: Any = library.package_from_rpm(
            scratch.path, library.SHA256, location_href="rollbuild", changelog_limit=CHANGELOG_LIMIT
        )
        name, version, release, arch = package.name, package.version, package.release, package.arch
        if not (name and version and release and arch):
            raise _damaged(path, "its header lacks a name, a version or an architecture")
        package.pkgId, package.size_package = digest, size
        package.time_file = package.time_build  # the time of the file is no part of the content
        primary, filelists, other = (text.encode() for text in library.xml_dump(package))
    except (library.CreaterepoCError, OSError, ValueError, TypeError) as problem:
        raise _damaged(path, " ".join(str(problem).replace(scratch.path, "its header").split())) from None
    before, place, after = primary.partition(_PLACE)
    if not place:
        raise _damaged(path, "its header cannot be written as XML")
    nevra = f"{name}-{package.epoch or '0'}:{version}-{release}.{arch}"
    return Chunks(digest, nevra, before, after, filelists, other)


def _is_xml(texts: Sequence[bytes]) -> bool:
    """Whether readers take these in a row. A header may hold anything, and with one of them they refuse all."""
    try:
        expat.ParserCreate().Parse(b"<all>%s</all>" % b"".join(texts), True)
    except expat.ExpatError:
        return False
    return all(text.startswith(b"<package") for text in texts)


def _damaged(path: str, problem: str) -> RollbuildError:
    return RollbuildError(
        f"this package cannot be read: {problem}",
        location=Location(path),
        hint="it is cut short, damaged or no RPM: fetch or build it again",
    )
