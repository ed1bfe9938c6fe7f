"""Fetching metadata files over HTTP: with limits, and never by another scheme than asked for."""

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rollbuild.errors import REFUSED, UNREACHABLE, RollbuildError
from rollbuild.files import explain_os_error

LONGEST_SECONDS = 600.0
_CHUNK = 1024 * 1024


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another place of the same scheme, or from http to https."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after != before and (before, after) != ("http", "https"):
            fp.close()
            raise RollbuildError(
                f"{req.full_url} leads to {newurl}, from {before} to {after or 'no scheme'}",
                hint="name the place itself, if you trust it",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()  # reads some hundred certificates


def make_opener() -> urllib.request.OpenerDirector:
    """What opens http and https URLs, and nothing else."""
    opener = urllib.request.OpenerDirector()  # build_opener() would add ftp, file and data
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=_trusted()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def check_url(url: str, kind: str = "a repository") -> None:
    """Refuse what is no http or https URL of a host; `kind` is what it should be one of. Raises RollbuildError."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for a port that is none
    except ValueError as problem:
        raise RollbuildError(f"{url} is no URL: {problem}") from None
    if parts.username or parts.password:
        hint = "credentials in URLs show in logs; serve it without, or copy it here"
        raise RollbuildError(f"the URL of {parts.hostname} holds a user or a password", hint=hint)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(ord(char) < 33 for char in url):
        raise RollbuildError(f"{url} is no URL of {kind}", hint="it starts with http://, https:// or file://")


def download(url: str, target: Path, limit_bytes: int, *, timeout: float) -> None:
    """Write what a URL holds to a new file; `timeout` is how many seconds the server may be silent.

    Raises RollbuildError: UNREACHABLE when the server does not answer, or stops to; REFUSED when it has no
    such file or sends more than `limit_bytes`; DISK when the file cannot be written.
    """
    check_url(url)
    end = time.monotonic() + LONGEST_SECONDS
    try:
        with make_opener().open(make_request(url), timeout=timeout) as answer:
            _write(answer, url, target, limit_bytes, end)
    except TRANSFER_PROBLEMS as problem:
        raise explain_transfer(problem, url) from None


def ask_size(url: str, *, timeout: float = 30.0) -> int | None:
    """How many bytes a URL has; None where its server does not say. Raises RollbuildError as `download` does."""
    check_url(url)
    request = make_request(url)
    request.method = "HEAD"
    try:
        with make_opener().open(request, timeout=timeout) as answer:
            length = answer.headers.get("Content-Length", "")
    except TRANSFER_PROBLEMS as problem:
        if isinstance(problem, urllib.error.HTTPError) and problem.code in (405, 501):  # it knows no HEAD
            problem.close()
            return None
        raise explain_transfer(problem, url) from None
    return int(length) if length.isdigit() else None


def read_url(url: str, limit_bytes: int, *, timeout: float = 30.0) -> bytes | None:
    """The bytes of a small file; None where there is no such file. Raises RollbuildError as `download` does."""
    check_url(url)
    try:
        with make_opener().open(make_request(url), timeout=timeout) as answer:
            length = answer.headers.get("Content-Length", "")
            data = read_answer(answer, url, limit_bytes + 1)
    except TRANSFER_PROBLEMS as problem:
        if isinstance(problem, urllib.error.HTTPError) and problem.code in (404, 410):
            problem.close()
            return None
        raise explain_transfer(problem, url) from None
    if len(data) > limit_bytes:
        raise RollbuildError(f"{url} is larger than {limit_bytes:,} bytes", hint="is it the right file?")
    if length.isdigit() and len(data) != int(length):
        raise RollbuildError(f"{url} breaks off", hint="try again", exit_code=UNREACHABLE)
    return data


def read_answer(answer: HTTPResponse, url: str, most: int) -> bytes:
    """What a server sends, or about the first `most` bytes of it. Raises RollbuildError, UNREACHABLE, when it takes too
    long."""
    end = time.monotonic() + LONGEST_SECONDS
    data = bytearray()
    # read1: a server that sends a byte now and then shall not hold it up for ever.
    while len(data) < most and (piece := answer.read1(_CHUNK)):
        data += piece
        if time.monotonic() > end:
            raise _too_slow(url)
    return bytes(data)


TRANSFER_PROBLEMS = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)
"""What goes wrong between here and a server; an HTTPError, which is an answer, is among them."""


def explain_transfer(problem: BaseException, url: str) -> RollbuildError:
    """The refusal for a problem of the network or an answer of 400 and above."""
    if isinstance(problem, urllib.error.HTTPError):
        problem.close()
        gone = problem.code in (404, 410)
        message = f"{url} is not there" if gone else f"{url}: the server answers {problem.code} {problem.reason}"
        return RollbuildError(message, exit_code=REFUSED if problem.code < 500 else UNREACHABLE)
    reason = getattr(problem, "reason", None) or problem
    reason = getattr(reason, "strerror", None) or reason  # without the number
    return RollbuildError(
        f"cannot fetch {url}: {' '.join(str(reason).split()) or type(problem).__name__}",
        hint="check the address and the network; http_proxy and https_proxy are used when they are set",
        exit_code=UNREACHABLE,
    )


def make_request(url: str, headers: Mapping[str, str] | None = None) -> urllib.request.Request:
    """A request for a file as it is, with these headers too."""
    # No compression on the way: the files are compressed, and their checksums are those of the files as they are.
    all_headers = {"User-Agent": "rollbuild", "Accept-Encoding": "identity", **(headers or {})}
    return urllib.request.Request(url, headers=all_headers)  # noqa: S310


def _too_slow(url: str) -> RollbuildError:
    return RollbuildError(
        f"{url} was not there after {LONGEST_SECONDS / 60:.0f} minutes",
        hint="copy it here with another program, and name its folder",
        exit_code=UNREACHABLE,
    )


def _write(answer: HTTPResponse, url: str, target: Path, limit_bytes: int, end: float) -> None:
    count = 0
    try:
        file = target.open("xb")
    except OSError as problem:
        raise explain_os_error(problem, "cannot write", target) from problem
    with file:
        while chunk := answer.read1(_CHUNK):
            count += len(chunk)
            if count > limit_bytes:
                raise RollbuildError(f"{url} is larger than {limit_bytes:,} bytes", hint="is it the right file?")
            if time.monotonic() > end:
                raise _too_slow(url)
            try:
                file.write(chunk)
            except OSError as problem:
                raise explain_os_error(problem, "cannot write", os.fspath(target)) from problem
