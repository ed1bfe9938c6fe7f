"""GET /ks/: a host's Kickstart, with the token of a new install in it."""

from starlette.responses import PlainTextResponse, Response

from rollbuild.cluster import (
    AttemptsUsedUp,
    begin_install,
    find_install,
    hold_host,
    new_token,
    note_event,
)
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.frontend.kickstarts import TlsNeeded
from rollbuild.frontend.service.answers import PLAIN, Refused, is_passing
from rollbuild.frontend.service.asking import Asker
from rollbuild.frontend.service.work import Work, host_to_install, log, refuse_stranger

_HEADERS = {"Cache-Control": "no-store"}
_FINDINGS = 20


def give_by_name(work: Work, name: str, asker: Asker, *, records: bool = True) -> Response:
    """The Kickstart of a host that asks for itself. Raises Refused."""
    refused: Refused | None = None
    with work.front_end.database.reading() as c:
        refuse_stranger(c, name, asker)
        try:
            host_to_install(c, name)
        except Refused as problem:
            refused = problem
    if refused is not None:
        if records:
            work.mend_boot_files(name)
        raise refused
    return _give(work, name, asker, records=records)


def give_by_url_token(work: Work, url_token: str, asker: Asker, *, records: bool = True) -> Response:
    """The Kickstart of the host that a URL was made for. It is good for one install. Raises Refused."""
    with work.front_end.database.reading() as c:
        install = find_install(c, url_token=url_token)
        if install is None:
            raise Refused(403, "this token of a URL is not known")
        host_to_install(c, install.host)
    return _give(work, install.host, asker, url_token=url_token, records=records)


def _give(work: Work, name: str, asker: Asker, *, records: bool, url_token: str = "") -> Response:
    token = _plain_token()
    try:
        text = work.maker.render(name, token=token, is_secure=asker.is_secure)
    except TlsNeeded as problem:
        raise Refused(403, problem.message) from None
    except RollbuildError as problem:
        return _tell(work, name, problem, records=records)
    if records:
        _record(work, name, asker, token, url_token)
        log.info("%s has its Kickstart, from %s", name, asker.address)
    return Response(text, media_type=PLAIN, headers=_HEADERS)


def _record(work: Work, name: str, asker: Asker, token: str, url_token: str) -> None:
    """Note the install before the Kickstart leaves: a host that was cut off before asks again."""
    database, now = work.front_end.database, work.clock()
    try:
        with work.recording() as c:
            host_to_install(c, name)
            begin_install(c, name, token=token, address=asker.address, now=now, url_token=url_token)
    except AttemptsUsedUp as problem:
        with database.writing(f"hold {name}: {problem.message}", "rollbuild serve") as c:
            hold_host(c, name, problem.message)
        work.write_boot_files(name)
        raise Refused(403, f"{problem.message}: it is held") from None
    except RollbuildError as problem:
        if is_passing(problem):
            raise
        raise Refused(403, problem.message) from None


def _tell(work: Work, name: str, problem: RollbuildError, *, records: bool) -> Response:
    """Why there is no Kickstart: to the installer's screen, the log, and the events of the host."""
    if is_passing(problem):
        raise problem
    findings = problem.findings if isinstance(problem, FindingsError) else (problem.as_finding(),)
    lines = [f"{item.location}: {item.message}" if item.location else item.message for item in findings[:_FINDINGS]]
    if len(findings) > _FINDINGS:
        lines.append(f"and {len(findings) - _FINDINGS} more")
    log.error("%s cannot be installed: %s", name, "; ".join(lines))
    if records:
        with work.recording() as c:
            note_event(c, name, "refused", "\n".join(lines), work.clock())
    text = "".join(f"{line}\n" for line in (f"rollbuild: {name} cannot be installed:", *lines))
    return PlainTextResponse(text, 503, _HEADERS)


def _plain_token() -> str:
    """A token that stands in a Kickstart as it is, wherever it stands: all hosts then share one plan."""
    while True:
        token = new_token()
        if not token.startswith("-") and "--" not in token and "RB_" not in token:
            return token
