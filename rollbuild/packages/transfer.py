"""Fetching large files over HTTP: resumed after whatever stopped the last try, verified, renamed into place."""

import email.utils
import errno
import fcntl
import http.client
import json
import os
import re
import time
import urllib.error
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from rollbuild.errors import BUSY, UNREACHABLE, RollbuildError
from rollbuild.files import explained
from rollbuild.packages.contents import check_space, digest_open
from rollbuild.packages.download import TRANSFER_PROBLEMS, check_url, explain_transfer, make_opener, make_request

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each further try; when they are used up it has failed."""
_CHUNK = 256 * 1024
_GOOD_RUN = 1024 * 1024
"""A connection that brought as many bytes before it broke starts the pauses anew."""
_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)\Z")
_HINT = "try again: what has arrived is kept and resumed"


def download_file(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    checksum: tuple[str, str] | None = None,
    limit: int | None = None,
    advance: Callable[[int], object] | None = None,
    timeout: float = 30.0,
) -> None:
    """Fetch a URL into `target`, which is replaced once the file is there, whole and verified.

    What has arrived lies in `target` + ".part" and is resumed by the next call, in this process or another. `size` and
    `limit` (the most it may have) are in bytes; `checksum` is (algorithm, hexadecimal digits), `sha256` the
    same for SHA-256. `timeout` is how many seconds the server may be silent; the whole may take any time. `advance` is
    told the bytes of each step, the kept ones too; their sum is the file's size.

    Raises RollbuildError: UNREACHABLE when the server does not answer, or breaks off again and again; REFUSED when it
    has no such file, or another than expected; DISK; BUSY when another process fetches the same file.
    """
    check_url(url, "a file")
    part = target.with_name(target.name + ".part")
    expected = ("sha256", sha256) if sha256 else checksum
    with explained("cannot write", part):
        file = _open_locked(part, url)
    try:
        transfer = _Transfer(url, part, file, size, limit, expected, timeout, advance or (lambda _: None))
        transfer.run()
        with explained("cannot write", target):
            os.fsync(file)
            os.replace(part, target)
            _sync_folder(target.parent)
        _forget(part)
    finally:
        os.close(file)


def _open_locked(part: Path, url: str) -> int:
    while True:
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held the lock before may have renamed the file, or removed it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(part, follow_symlinks=False)):
                    return file
        except OSError as problem:
            os.close(file)
            if problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                hint = "try again when it is done"
                raise RollbuildError(f"another rollbuild is fetching {url}", hint=hint, exit_code=BUSY) from None
            raise
        os.close(file)


def _sync_folder(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _memory_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    with suppress(OSError):
        _memory_of(part).unlink()


class _BrokenError(Exception):
    """A connection that broke off, or an answer that may be another one next time."""

    def __init__(self, refusal: RollbuildError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass
class _Transfer:
    """One file on its way. `have`: the bytes of it that are on the disk, all of them of what `validator` stands for."""

    url: str
    part: Path
    file: int
    size: int | None
    limit: int | None
    expected: tuple[str, str] | None
    timeout: float
    advance: Callable[[int], object]
    have: int = 0
    total: int | None = None
    validator: str = ""
    answered: bool = False
    mixed: bool = False
    told: int = 0
    opener: Any = field(default_factory=make_opener)

    def run(self) -> None:
        self._recall()
        self._fill()
        got = self._wrong_digest()
        if got and self.mixed:
            # Pieces of two versions of the file; a server need not say that it has a new one.
            self._restart()
            self._fill()
            got = self._wrong_digest()
        if got and self.expected:
            self._discard()
            raise RollbuildError(
                f"{self.url} is not the file that was expected: its {self.expected[0]} is {got}, "
                f"not {self.expected[1]}",
                hint="the server has another version, or the file was damaged on the way: fetch its metadata anew, or "
                "use another mirror",
            )

    def _recall(self) -> None:
        self.have = os.fstat(self.file).st_size
        self.mixed = self.have > 0
        with suppress(OSError, ValueError, KeyError, TypeError):
            memory = json.loads(_memory_of(self.part).read_bytes())
            if memory["url"] == self.url:
                self.validator = str(memory["validator"])
                self.total = None if memory["total"] is None else int(memory["total"])
        whole = self.size if self.size is not None else self.total
        if whole is not None and self.have > whole:
            self._restart()

    def _remember(self) -> None:
        memory = {"url": self.url, "validator": self.validator, "total": self.total}
        with explained("cannot write", _memory_of(self.part)):
            _memory_of(self.part).write_text(json.dumps(memory) + "\n")

    def _restart(self) -> None:
        with explained("cannot write", self.part):
            os.ftruncate(self.file, 0)
        self.have, self.total, self.validator, self.mixed = 0, None, "", False

    def _discard(self) -> None:
        _forget(self.part)
        with suppress(OSError):
            self.part.unlink()

    def _wrong_digest(self) -> str:
        """The digest of what has arrived where it is not the expected one."""
        if self.expected is None:
            return ""
        with explained("cannot read", self.part), open(self.file, "rb", closefd=False) as file:
            file.seek(0)
            got = digest_open(file, self.expected[0])
        return "" if got == self.expected[1].lower() else got

    def _is_whole(self) -> bool:
        whole = self.size if self.size is not None else self.total
        # What an earlier run left counts only where something can tell that it is of this file.
        return whole == self.have and bool(self.answered or (self.have and (self.expected or self.validator)))

    def _fill(self) -> None:
        pauses = iter(PAUSES)
        while not self._is_whole():
            before = self.have
            try:
                if self._receive():
                    break
            except _BrokenError as problem:
                if self.have - before >= _GOOD_RUN:
                    pauses = iter(PAUSES)
                pause = next(pauses, None)
                if pause is None:
                    raise problem.refusal from None
                time.sleep(pause)
                self.mixed = self.mixed or (self.have > 0 and not self.validator)
        self._tell()

    def _receive(self) -> bool:
        """One request; whether the file is whole. False: the server wants it to be asked for anew."""
        if self.have and not (self.validator or self.expected):
            self._restart()  # nobody could tell whether the rest belongs to it
        headers = {}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            answer = self.opener.open(make_request(self.url, headers), timeout=self.timeout)
        except urllib.error.HTTPError as problem:
            self.answered = True
            if problem.code == 416 and self.have:
                problem.close()
                if self.validator and _total_of(problem.headers) == self.have:
                    self.total = self.have
                    return True
                self._restart()
                return False
            refusal = explain_transfer(problem, self.url)
            if problem.code in _RETRIED:
                raise _BrokenError(refusal) from None
            raise refusal from None
        except TRANSFER_PROBLEMS as problem:
            refusal = explain_transfer(problem, self.url)
            if isinstance(problem, http.client.RemoteDisconnected | ConnectionError) or self.answered:
                raise _BrokenError(refusal) from None
            raise refusal from None  # nobody there: a wrong address should not take seconds to say
        with answer:
            self.answered = True
            return self._take(answer)

    def _take(self, answer: Any) -> bool:
        if answer.status == 206 and self.have:
            found = _RANGE.match(answer.headers.get("Content-Range", ""))
            tag = answer.headers.get("ETag", "")
            changed = self.validator.startswith('"') and tag not in ("", self.validator)
            if not found or found[1] is None or int(found[1]) != self.have or changed:
                self._restart()
                return False
            total: int | None = int(found[2])
        elif answer.status == 206:
            raise RollbuildError(f"{self.url}: the server sends a part where the whole was asked for")
        else:
            self._restart()
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            self.validator = _validator_of(answer.headers)
        self._check_total(total)
        self.total = total
        self._remember()
        self._tell()
        whole = total if total is not None else self.size
        while True:
            try:
                piece = answer.read1(_CHUNK)
            except TRANSFER_PROBLEMS as problem:
                raise _BrokenError(self._explain_break(getattr(problem, "strerror", None) or str(problem))) from None
            if not piece:
                break
            self._write(piece)
        if whole is not None and self.have < whole:
            raise _BrokenError(self._explain_break(f"the server hung up after {self.have:,} of {whole:,} bytes"))
        self.total = self.have
        return True

    def _explain_break(self, reason: str) -> RollbuildError:
        message = f"{self.url} breaks off: {' '.join(reason.split())}"
        return RollbuildError(message, hint=_HINT, exit_code=UNREACHABLE)

    def _check_total(self, total: int | None) -> None:
        if total is not None and self.size is not None and total != self.size:
            self._discard()
            raise RollbuildError(
                f"{self.url} has {total:,} bytes, and {self.size:,} were expected",
                hint="the server has another version of the file: fetch its metadata anew, or use another mirror",
            )
        if total is not None and self.limit is not None and total > self.limit:
            self._discard()
            raise self._too_large(self.limit)
        whole = total if total is not None else self.size
        if whole is not None:
            check_space(self.part.parent, whole - self.have, self.url)

    def _too_large(self, most: int) -> RollbuildError:
        return RollbuildError(f"{self.url} is larger than {most:,} bytes", hint="is it the right file?")

    def _write(self, piece: bytes) -> None:
        limits = [most for most in (self.size, self.limit) if most is not None]
        if limits and self.have + len(piece) > min(limits):
            self._discard()
            raise self._too_large(min(limits))
        with explained("cannot write", self.part):
            view = memoryview(piece)
            while view:
                count = os.pwrite(self.file, view, self.have)
                self.have += count
                view = view[count:]
        self._tell()

    def _tell(self) -> None:
        if self.have > self.told:
            step, self.told = self.have - self.told, self.have
            self.advance(step)


def _total_of(headers: Message) -> int | None:
    found = _RANGE.match(headers.get("Content-Range", ""))
    return int(found[2]) if found else None


def _validator_of(headers: Message) -> str:
    """What If-Range takes: a strong ETag, or a date of change at least a second before that of the answer (RFC 9110,
    8.8.2.2): within one second a file may change twice."""
    tag = str(headers.get("ETag", ""))
    if tag.startswith('"'):
        return tag
    changed = str(headers.get("Last-Modified", ""))
    with suppress(ValueError, TypeError):
        before = email.utils.parsedate_to_datetime(changed)
        if (email.utils.parsedate_to_datetime(str(headers.get("Date", ""))) - before).total_seconds() >= 1:
            return changed
    return ""
