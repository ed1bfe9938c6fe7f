"""POST /events/: what hosts report of their installs."""

import re

from starlette.responses import Response

from rollbuild.cluster import (
    ATTEMPT_LIMIT,
    INSTALLED,
    count_attempts,
    hold_host,
    record_event,
)
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.work import Report, Work, install_of_token, is_newest, log

BODY_LIMIT = 1024 * 1024
STAGE = r"[a-z][a-z0-9-]{0,63}"
_STAGE = re.compile(STAGE)
_ENDING = ("post-done", "first-boot", "ready")
_FAILED = "failed"
_SERVERS_OWN = ("ks-fetched", "secrets-given", "secrets-refused", "logs", "refused")
"""Stages that only the service itself notes."""

_SHOWN = 200


def take_event(work: Work, fields: dict[str, str], asker: Asker) -> Response:
    """Keep a report. A host that is installed boots from its disk before it is answered. Raises Refused."""
    host, stage, detail = fields.get("host", ""), fields.get("stage", ""), fields.get("detail", "")
    database, now = work.front_end.database, work.clock()
    with database.reading() as c:
        install = install_of_token(c, host, asker)
        newest = is_newest(c, install)
    if not _STAGE.fullmatch(stage) or stage in _SERVERS_OWN:
        raise Refused(400, "this is no name of a stage")
    ends = stage in _ENDING and newest
    if ends and install.state != INSTALLED:
        work.end_install(Report(install, stage, detail, now))
    else:
        with work.recording() as c:
            record_event(c, install, stage, detail, now)
    log.info("%s: %s %s", host, stage, " ".join(detail[:_SHOWN].split()))
    if stage == _FAILED and newest:
        ends = _hold_after_many(work, host, detail)
    if ends:
        # Also where an earlier report did so: it may have been cut off before it came to the files.
        work.write_boot_files(host)
    return Response(status_code=204)


def _hold_after_many(work: Work, host: str, detail: str) -> bool:
    """Whether the host is held because as many attempts failed as it has."""
    database = work.front_end.database
    with database.reading() as c:
        attempts = count_attempts(c, host)
    if attempts < ATTEMPT_LIMIT:
        return False
    reason = f"{attempts} installs failed; the last: {' '.join(detail[:_SHOWN].split())}"
    with database.writing(f"hold {host}: {attempts} installs failed", "rollbuild serve") as c:
        hold_host(c, host, reason)
    log.error("%s is held: %s", host, reason)
    return True
