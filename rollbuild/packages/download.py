"""Fetching metadata files over HTTP: with limits, and never by another scheme than asked for."""

import http.client
import os
import time
import urllib.error
import urllib.request
from email.message import Message
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


def _make_opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # build_opener() would add ftp, file and data
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def check_url(url: str) -> None:
    """Refuse what is no http or https URL of a host. Raises RollbuildError."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for a port that is none
    except ValueError as problem:
        raise RollbuildError(f"{url} is no URL: {problem}") from None
    if parts.username or parts.password:
        hint = "credentials in URLs show in logs; serve the metadata without, or copy it here"
        raise RollbuildError(f"the URL of {parts.hostname} holds a user or a password", hint=hint)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(ord(char) < 33 for char in url):
        raise RollbuildError(f"{url} is no URL of a repository", hint="it starts with http://, https:// or file://")


def download(url: str, target: Path, limit_bytes: int, *, timeout: float) -> None:
    """Write what a URL holds to a new file; `timeout` is how many seconds the server may be silent.

    Raises RollbuildError: UNREACHABLE when the server does not answer, or stops to; REFUSED when it has no
    such file or sends more than `limit_bytes`; DISK when the file cannot be written.
    """
    check_url(url)
    end = time.monotonic() + LONGEST_SECONDS
    try:
        with _make_opener().open(_request(url), timeout=timeout) as answer:
            _write(answer, url, target, limit_bytes, end)
    except urllib.error.HTTPError as problem:
        problem.close()
        gone = problem.code in (404, 410)
        message = f"{url} is not there" if gone else f"{url}: the server answers {problem.code} {problem.reason}"
        raise RollbuildError(message, exit_code=REFUSED if problem.code < 500 else UNREACHABLE) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise RollbuildError(
            f"cannot fetch {url}: {' '.join(str(reason).split()) or type(problem).__name__}",
            hint="check the address and the network; http_proxy and https_proxy are used when they are set",
            exit_code=UNREACHABLE,
        ) from None


def _request(url: str) -> urllib.request.Request:
    # No compression on the way: the files are compressed, and their checksums are those of the files as they are.
    return urllib.request.Request(url, headers={"User-Agent": "rollbuild", "Accept-Encoding": "identity"})  # noqa: S310


def _write(answer: IO[bytes], url: str, target: Path, limit_bytes: int, end: float) -> None:
    count = 0
    try:
        file = target.open("xb")
    except OSError as problem:
        raise explain_os_error(problem, "cannot write", target) from problem
    with file:
        while chunk := answer.read(_CHUNK):
            count += len(chunk)
            if count > limit_bytes:
                raise RollbuildError(f"{url} is larger than {limit_bytes:,} bytes", hint="is it the right file?")
            if time.monotonic() > end:
                raise RollbuildError(
                    f"{url} was not there after {LONGEST_SECONDS / 60:.0f} minutes",
                    hint="copy the metadata here and name its folder",
                    exit_code=UNREACHABLE,
                )
            try:
                file.write(chunk)
            except OSError as problem:
                raise explain_os_error(problem, "cannot write", os.fspath(target)) from problem
