"""The way to the Kickstart service; its packages are imported when it starts, and by nothing else."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.frontend.place import FrontEnd

LISTEN = "127.0.0.1:8441"
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the service listens, and its certificate and key where it speaks TLS itself. Port 0: any that is free."""

    address: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


def parse_listen(text: str) -> tuple[str, int]:
    """Address and port of `ADDRESS:PORT` or `[ADDRESS]:PORT`. Raises RollbuildError (USAGE)."""
    match = _LISTEN.match(text)
    try:
        if match is not None and int(match[3]) <= 65535:
            return str(ipaddress.ip_address(match[1] or match[2])), int(match[3])
    except ValueError:
        pass
    raise RollbuildError(f"{text!r} is no ADDRESS:PORT", hint=f"for example {LISTEN}", exit_code=USAGE)


def serve(
    front_end: FrontEnd, listening: Listening, files: Path | None = None, *, tell: Callable[[str], object] | None = None
) -> None:
    """Serve until a signal ends it; `tell` is given the URL once requests are taken.

    With `files`, that folder is /install/ too. Raises RollbuildError: BUSY where the port is taken, DISK where the
    certificate cannot be read, MISSING_PROGRAM without the packages starlette and uvicorn.
    """
    from rollbuild.frontend.service import run_service

    run_service(front_end, listening, files, tell=tell)
