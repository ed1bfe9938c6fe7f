"""What the metadata of a repository says of one package: three pieces of XML, made from its header."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.location import Location
from rollbuild.packages.native import load_createrepo, silent_library

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CHANGELOG_LIMIT = 10
"""The newest entries of each package's changelog; createrepo_c's own default."""

_PIECE = 1024 * 1024
_LEAD, _INTRO, _ENTRY = 96, 16, 16  # bytes: RPM's lead, the start of a header, an entry of its index
_MAGIC = b"\x8e\xad\xe8"
_HEADER_LIMIT = 256 * 1024 * 1024  # rpm's own limit
_PLACE = b'<location href="rollbuild"/>'
_BATCH = 32
_WORTH_A_PROCESS = 400
_WORTH_A_PROCESS_BYTES = 128 * 1024 * 1024
_MOST_PROCESSES = 8

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, and times of last change of content and of inode in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """The metadata of one package, wherever it lies: `before` and `after` go around its place in primary.xml.

    It depends on nothing but the file's bytes. `nevra` is "name-epoch:version-release.arch".
    """

    sha256: str
    size: int
    nevra: str
    before: bytes
    after: bytes
    filelists: bytes
    other: bytes

    def __reduce__(self) -> tuple[object, ...]:
        # Slotted dataclasses travel between processes slowly by themselves.
        return Chunks, (self.sha256, self.size, self.nevra, self.before, self.after, self.filelists, self.other)

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


def identify(status: os.stat_result) -> Identity:
    """What changes when a file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def scan_files(tasks: Sequence[Task], advance: Callable[[int], object] | None = None) -> Iterator[Scan]:
    """Read packages, in the order of the tasks; `advance` is told the bytes read.

    Much work is shared by processes: createrepo_c keeps Python's lock, and threads would take longer than one does.

    Raises RollbuildError, with the file's place: REFUSED for what is no RPM, or damaged; DISK.
    """
    total = sum(task.size for task in tasks)
    jobs = min(
        len(os.sched_getaffinity(0)),
        _MOST_PROCESSES,
        max(len(tasks) // _WORTH_A_PROCESS, total // _WORTH_A_PROCESS_BYTES) + 1,
        max(len(tasks), 1),
    )
    scans = _scan_in_turn(tasks) if jobs == 1 else _scan_with(jobs, tasks)
    for task, scan in zip(tasks, scans, strict=True):
        yield scan
        if advance is not None:
            advance(task.size)


def _scan_in_turn(tasks: Sequence[Task]) -> Iterator[Scan]:
    load_createrepo()
    with _open_scratch() as scratch:
        for task in tasks:
            yield _scan(task, scratch)


@contextmanager
def _open_scratch() -> Iterator[str]:
    """The path of an empty file to write headers into: in memory, where nothing is left of a process that is killed."""
    if os.path.isdir("/proc/self/fd"):
        with explained("cannot write", "/proc/self/fd"):
            file = os.memfd_create("rollbuild-header")
        try:
            yield f"/proc/self/fd/{file}"
        finally:
            os.close(file)
        return
    with explained("cannot write into", tempfile.gettempdir()):
        scratch = tempfile.NamedTemporaryFile(prefix="rollbuild-")  # noqa: SIM115
    with scratch:
        yield scratch.name


def _scan_with(jobs: int, tasks: Sequence[Task]) -> Iterator[Scan]:
    import multiprocessing

    load_createrepo()  # once, before the others are forked
    context = multiprocessing.get_context("fork")
    size = max(min(_BATCH, len(tasks) // (4 * jobs)), 1)
    batches = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    receivers: list[Connection] = []
    workers = []
    try:
        for index in range(jobs):
            receiver, sender = context.Pipe(duplex=False)
            receivers.append(receiver)
            worker = context.Process(target=_work, args=(batches[index::jobs], sender, tuple(receivers)))
            worker.start()
            sender.close()
            workers.append(worker)
        for number in range(len(batches)):
            index = number % jobs
            try:
                answer = receivers[index].recv()
            except (EOFError, ConnectionError):
                workers[index].join()
                code = workers[index].exitcode
                raise RollbuildError(f"a process that read packages died (exit code {code})") from None
            if isinstance(answer, dict):
                raise RollbuildError(**answer)
            yield from answer
    finally:
        for worker, receiver in zip(workers, receivers, strict=False):
            worker.terminate()
            worker.join()
            receiver.close()


def _work(batches: list[Sequence[Task]], sender: "Connection", receivers: "tuple[Connection, ...]") -> None:
    # As long as one process has the reading end, this one would wait for ever when its parent is killed.
    for receiver in receivers:
        receiver.close()
    try:
        try:
            scans = _scan_in_turn([task for batch in batches for task in batch])
            for batch in batches:
                sender.send([next(scans) for _ in batch])
        except RollbuildError as problem:
            words = {"hint": problem.hint, "location": problem.location, "exit_code": problem.exit_code}
            sender.send({"message": problem.message, **words})
    except (KeyboardInterrupt, BrokenPipeError):
        pass


def _scan(task: Task, scratch: str) -> Scan:
    with explained("cannot read", task.path):
        file = os.open(task.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise RollbuildError("this is no file, but a package is needed here", location=Location(task.path))
            digest, size, header = _read(file, task.path)
            if identify(os.fstat(file)) != identify(status) or size != status.st_size:
                raise RollbuildError(
                    "this file changed while it was read", location=Location(task.path), hint="run this again"
                )
        finally:
            os.close(file)
    return Scan(identify(status), None if digest == task.guess else _parse(task.path, header, digest, size, scratch))


def _read(file: int, path: str) -> tuple[str, int, bytes]:
    """SHA-256 and size of an RPM, and its bytes from the start to the end of its header."""
    digest, size, head, end = hashlib.sha256(), 0, b"", 0
    while piece := os.read(file, _PIECE):
        digest.update(piece)
        size += len(piece)
        if not end or len(head) < end:
            head += piece
            end = end or _find_end(head, path)
    if not end or len(head) < end:
        raise _damaged(path, "it ends within its header" if size else "it is empty")
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


def _parse(path: str, header: bytes, digest: str, size: int, scratch: str) -> Chunks:
    """createrepo_c reads a file with the header alone: digesting the rest again would take it longer than all else."""
    library = load_createrepo()
    with explained("cannot write", scratch), open(scratch, "r+b") as file:
        file.write(header)
        file.truncate()
    try:
        with silent_library():
            package: Any = library.package_from_rpm(
                scratch, library.SHA256, location_href="rollbuild", changelog_limit=CHANGELOG_LIMIT
            )
            parts = package.name, package.version, package.release, package.arch
            if not all(parts):
                raise _damaged(path, "its header lacks a name, a version or an architecture")
            package.pkgId, package.size_package = digest, size
            package.time_file = package.time_build  # the time of the file is no part of the content
            primary, filelists, other = (text.encode() for text in library.xml_dump(package))
    except (library.CreaterepoCError, OSError, ValueError, TypeError) as problem:
        raise _damaged(path, " ".join(str(problem).replace(scratch, "its header").split())) from None
    before, place, after = primary.partition(_PLACE)
    if not place:
        raise _damaged(path, "its header cannot be written as XML")
    name, version, release, arch = parts
    nevra = f"{name}-{package.epoch or '0'}:{version}-{release}.{arch}"
    return Chunks(digest, size, nevra, before, after, filelists, other)


def _damaged(path: str, problem: str) -> RollbuildError:
    return RollbuildError(
        f"this package cannot be read: {problem}",
        location=Location(path),
        hint="it is cut short, damaged or no RPM: fetch or build it again",
    )
