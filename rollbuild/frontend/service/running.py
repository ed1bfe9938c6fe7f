"""Running the service: one process, which may be killed at any moment."""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from rollbuild.errors import BUSY, RollbuildError
from rollbuild.files import explained
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.service.app import make_app
from rollbuild.frontend.service.limits import HEADER_LIMIT, ImpatientProtocol
from rollbuild.frontend.service.work import log
from rollbuild.frontend.serving import Listening

CONNECTIONS = 4096
"""At once; each further one is told to come back."""
_BACKLOG = 2048
_GRACE_SECONDS = 20


def run_service(
    front_end: FrontEnd, listening: Listening, files: Path | None = None, *, tell: Callable[[str], object] | None = None
) -> None:
    """What `rollbuild.frontend.serve` does."""
    for path in filter(None, (listening.certificate, listening.key)):
        with explained("cannot read", path):
            path.open("rb").close()
    config = make_config(make_app(front_end, files), listening)
    with _logging(), _bind(listening) as bound:
        _load(config, listening)
        _follow_up(front_end)
        if tell is not None:
            scheme = "https" if listening.certificate else "http"
            host, port = bound.getsockname()[:2]
            tell(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
        uvicorn.Server(config).run(sockets=[bound])


def make_config(app: Starlette, listening: Listening) -> uvicorn.Config:
    """How uvicorn is to serve."""
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Addresses are the app's to judge: asking.py believes a proxy of this machine only.
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEADER_LIMIT,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )


def _bind(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listening.address, listening.port))
        bound.listen(_BACKLOG)
    except OSError as problem:
        bound.close()
        where = f"{listening.address}:{listening.port}"
        reason = (problem.strerror or str(problem)).lower()
        hint = "another process listens there, or the address is not this machine's: see `ss -tlnp`"
        raise RollbuildError(f"cannot listen on {where}: {reason}", hint=hint, exit_code=BUSY) from None
    return bound


def _load(config: uvicorn.Config, listening: Listening) -> None:
    try:
        config.load()
    except OSError as problem:  # ssl.SSLError is one
        reason = problem.strerror or str(problem)
        message = f"{listening.certificate} and {listening.key} are no certificate with its key: {reason}"
        raise RollbuildError(message, hint="both are PEM; the key has no passphrase") from None


def _follow_up(front_end: FrontEnd) -> None:
    """Bring up to date what a service that was killed left between the database and the boot files."""
    from rollbuild.frontend import ensure_applied

    try:
        ensure_applied(front_end)
    except RollbuildError as problem:
        log.error("the configuration is not up to date: %s", problem.message)


@contextmanager
def _logging() -> Iterator[None]:
    """Lines on standard error, for the journal, which adds the time itself."""
    handler = logging.StreamHandler(sys.stderr)
    shows_time = not os.environ.get("JOURNAL_STREAM")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if shows_time else "%(message)s"))
    loggers = [logging.getLogger("rollbuild"), logging.getLogger("uvicorn")]
    for logger, level in zip(loggers, (logging.INFO, logging.WARNING), strict=True):
        logger.addHandler(handler)
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
