"""POST /logs/HOST: the logs of an install that failed, kept as they came and never opened here."""

import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rollbuild.cluster import Install, record_event
from rollbuild.files import explained, system_path
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.work import Work, install_of_token, is_newest, log

LOGS = "/var/lib/rollbuild/logs"
BODY_LIMIT = 8 * 1024 * 1024
KEPT = 5
AT_ONCE = 2
"""Uploads of a host that are taken at the same time: a host that opens a thousand would fill the disk."""
_SUFFIX = ".tar.gz"
_PART = ".part-"
_LIVE_SECONDS = 300.0  # that a part grows for at most; what is older is of a process that was killed


async def take_logs(work: Work, host: str, asker: Asker, body: AsyncIterator[bytes]) -> Response:
    """Keep what a host sends. Raises Refused, also where `body` does, and RollbuildError where the disk refuses."""
    install = await run_in_threadpool(_find_install, work, host, asker)
    folder = system_path(LOGS) / host
    with explained("cannot keep logs in", folder):
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(place, 0o700)
        if _count_parts(folder) >= AT_ONCE:
            raise Refused(503, f"{host} sends its logs several times at once")
        file, name = tempfile.mkstemp(dir=folder, prefix=_PART)
        try:
            with os.fdopen(file, "wb") as target:
                async for piece in body:
                    target.write(piece)
                size = target.tell()
                if not size:
                    raise Refused(400, "no logs came")
                target.flush()
                await run_in_threadpool(os.fsync, target.fileno())
            return await run_in_threadpool(_keep, work, install, Path(name), size)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


def _find_install(work: Work, host: str, asker: Asker) -> Install:
    with work.front_end.database.reading() as c:
        install = install_of_token(c, host, asker)
        if not is_newest(c, install):
            raise Refused(403, "a later install followed")
        return install


def _keep(work: Work, install: Install, part: Path, size: int) -> Response:
    now = work.clock()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    name = f"{stamp}-{install.id}{_SUFFIX}"
    with explained("cannot keep", part.with_name(name)):
        os.rename(part, part.with_name(name))
        _prune(part.parent, now)
    with work.recording() as c:
        record_event(c, install, "logs", f"{name} ({size:,} bytes)", now)
    log.info("%s sent its logs: %s", install.host, name)
    return Response(status_code=204)


def _count_parts(folder: Path) -> int:
    started = time.time() - _LIVE_SECONDS
    found = 0
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            found += entry.name.startswith(_PART) and entry.stat().st_mtime > started
    return found


def _prune(folder: Path, now: float) -> None:
    """Leave the last few, and nothing of uploads that a kill cut off an hour ago."""
    entries = list(os.scandir(folder))
    kept = sorted(entry.name for entry in entries if entry.name.endswith(_SUFFIX))
    old = [entry.name for entry in entries if entry.name.startswith(_PART) and entry.stat().st_mtime < now - 3600]
    for name in (*kept[:-KEPT], *old):
        with suppress(FileNotFoundError):
            os.unlink(folder / name)
