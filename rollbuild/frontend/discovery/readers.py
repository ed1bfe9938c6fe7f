"""Following the log of a DHCP server: a file, which may be rotated or cut, or the journal."""

import os
import selectors
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.files import system_path
from rollbuild.frontend.discovery.dhcplog import LINE_LIMIT

UNITS = ("dnsmasq", "kea-dhcp4", "dhcpd")
_LOGS = ("/var/log/dnsmasq.log", "/var/log/kea/kea-dhcp4.log", "/var/log/messages", "/var/log/syslog")
_CHUNK = 65536
_WAIT = 0.2  # seconds until a file is looked at again
_AGAIN = 2.0  # seconds until a journalctl that ended is started again

Tell = Callable[[str], object]


def find_log() -> Path | None:
    """The log of a DHCP server, for a machine without a journal: the first that is there."""
    return next((path for path in map(system_path, _LOGS) if path.is_file()), None)


def has_journal() -> bool:
    """Whether this machine keeps a journal that can be followed."""
    return shutil.which("journalctl") is not None and os.path.isdir("/run/systemd/journal")


class _Lines:
    """Puts pieces together to lines; what is longer than LINE_LIMIT loses its end."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_skipping = False

    def add(self, piece: bytes) -> Iterator[str]:
        *whole, rest = (self._rest + piece).split(b"\n")
        for line in whole:
            if self._is_skipping:
                self._is_skipping = False
                continue
            yield line[:LINE_LIMIT].decode("utf-8", "replace")
        if len(rest) > LINE_LIMIT:
            if not self._is_skipping:
                yield rest[:LINE_LIMIT].decode("utf-8", "replace")
            self._is_skipping, rest = True, b""
        self._rest = rest


def follow_file(path: Path, stop: Event, tell: Tell, *, ready: Event | None = None) -> Iterator[str]:
    """Lines that are added to a file, until `stop` is set.

    A file that is replaced is read to its end and then the new one from its start; one that is cut is read from its
    start. While there is none, or it cannot be read, `tell` gets why, and it is tried again. `ready` is set when the
    file's end was found: what is written afterwards is read.
    """
    is_first = True
    told = ""
    while not stop.is_set():
        try:
            with open(path, "rb", buffering=0) as file:
                if is_first:
                    file.seek(0, os.SEEK_END)
                is_first = False
                told = ""
                if ready is not None:
                    ready.set()
                yield from _follow_open(file.fileno(), path, stop)
        except OSError as problem:
            # What appears after the start is new from its first line on.
            is_first = False
            if ready is not None:
                ready.set()
            why = f"cannot read {path}: {(problem.strerror or str(problem)).lower()}"
            if why != told:
                tell(why)
                told = why
            stop.wait(_WAIT)


def _follow_open(file: int, path: Path, stop: Event) -> Iterator[str]:
    """Lines of an open file until another one has its name."""
    lines = _Lines()
    opened = os.fstat(file)
    while not stop.is_set():
        piece = os.read(file, _CHUNK)
        if piece:
            yield from lines.add(piece)
            continue
        try:
            now = os.stat(path)
        except FileNotFoundError:
            now = None
        if now is None or (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
            # What was written between the last read and the rename.
            while piece := os.read(file, _CHUNK):
                yield from lines.add(piece)
            yield from lines.add(b"\n")
            if now is not None:
                return
        elif now.st_size < os.lseek(file, 0, os.SEEK_CUR):
            os.lseek(file, 0, os.SEEK_SET)
            lines = _Lines()
            continue
        stop.wait(_WAIT)
        if now is None and os.path.exists(path):
            return


def follow_journal(stop: Event, tell: Tell, *, ready: Event | None = None) -> Iterator[str]:
    """What the DHCP servers write to the journal from now on, until `stop` is set.

    A journalctl that ends is started again, and `tell` gets why. Raises RollbuildError when there is none.
    """
    program = shutil.which("journalctl")
    if program is None:
        raise RollbuildError(
            "the program journalctl is missing",
            hint="let insert-ethers read a log instead: --log FILE",
            exit_code=MISSING_PROGRAM,
        )
    argv = [program, "--follow", "--lines=0", "--output=cat", "--no-pager", "--quiet"]
    argv += [f"--unit={unit}" for unit in UNITS]
    while not stop.is_set():
        yield from _follow_program(argv, stop, tell, ready)
        stop.wait(_AGAIN)


def _follow_program(argv: list[str], stop: Event, tell: Tell, ready: Event | None) -> Iterator[str]:
    lines = _Lines()
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    last = ""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if ready is not None:
                ready.set()
            while not stop.is_set():
                if not selector.select(_WAIT):
                    continue
                piece = os.read(process.stdout.fileno(), _CHUNK)
                if not piece:
                    break
                for line in lines.add(piece):
                    last = line
                    yield line
        if not stop.is_set():
            tell(f"journalctl ended{f': {last[:200]}' if last else ''}; it is started again")
    finally:
        process.stdout.close()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait()
