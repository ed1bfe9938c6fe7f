"""Installs: attempts with one-time tokens, their stages, and when to stop trying."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.hosts import find_host
from rollbuild.cluster.install_events import clean_detail, keep_event, prune_rows
from rollbuild.errors import RollbuildError

ATTEMPT_LIMIT = 3
SAME_ATTEMPT_SECONDS = 600.0
KEPT_INSTALLS = 50
SUMMARY_LIMIT = 4 * 1024

WAITING, GIVEN, INSTALLING, INSTALLED, FAILED = "waiting", "given", "installing", "installed", "failed"
STAGES = (
    "ks-fetched",
    "pre-start",
    "pre-done",
    "preinstall",
    "packages",
    "post-start",
    "post-done",
    "failed",
    "first-boot",
    "ready",
)
"""In the order of an install (appliances.md 12); a failure after `post-done` is one of the first boot."""

_ENDING = ("post-done", "first-boot", "ready")
_STAGE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TABLE = schema.installs
_ATTEMPT = _TABLE.c.state != WAITING
_SHOWN = (
    "id",
    "host",
    "address",
    "state",
    "stage",
    "detail",
    "created",
    "given",
    "last_event",
    "finished",
    "fetches",
    "secrets_given",
)


@dataclass(frozen=True, slots=True)
class Install:
    """An attempt to install a host. Times are UTC seconds since 1970, 0 for never.

    `state`: waiting (there is a URL token, nobody came), given (the Kickstart), installing (an event came),
    installed, failed. `given` is the first time that the Kickstart was given, `fetches` how often. `detail` is
    the beginning of what came with the stage, from an untrusted host.
    """

    id: int
    host: str
    address: str
    state: str
    stage: str
    detail: str
    created: float
    given: float
    last_event: float
    finished: float
    fetches: int
    secrets_given: int


class AttemptsUsedUp(RollbuildError):
    """Refused: `attempts` installs of `host` did not succeed. Hold the host with `hold_host(c, host, message)`."""

    def __init__(self, host: str, attempts: int) -> None:
        super().__init__(
            f"{host} was given its install {attempts} times and never finished it",
            hint=f"look at its events and logs; when it may try again: rocks set host boot {host} action=install",
        )
        self.host = host
        self.attempts = attempts


def new_token() -> str:
    """A secret that cannot be guessed, fit for a URL and a header."""
    return secrets.token_urlsafe(32)


def begin_install(
    c: Connection,
    host: str,
    *,
    token: str,
    address: str,
    now: float,
    url_token: str = "",
    limit: int = ATTEMPT_LIMIT,
) -> Install:
    """Note that the Kickstart with `token` is given to `host` at `address`.

    The same address asking again within 10 minutes, before any event, is the same attempt: the new token replaces
    the one before. `url_token` is that of the URL it was asked at; then it must be good for one more time.
    Raises AttemptsUsedUp after `limit` attempts without success; RollbuildError for a host that is unknown or held,
    and for a URL that was used. Whether the host should install at all, its boot action says: ask that first.
    """
    held = find_host(c, host).held
    if held:
        raise RollbuildError(f"{host} is held: {held}", hint=f"when it may: rocks set host boot {host} action=install")
    newest = _newest(c, host)
    repeats = newest is not None and newest.id > _counted_after(c, host) and _is_repeated(newest, address, now)
    waiting = None
    url_hash = _hash(url_token) if url_token else None
    if url_token:
        found = c.execute(select(_TABLE).where(_TABLE.c.url_token_hash == url_hash)).first()
        if found is None or found.host != host:
            raise RollbuildError(f"this address of the Kickstart of {host} is not known", hint=_NEW_URL)
        if found.state == WAITING:
            waiting, repeats = found, False
        elif not (repeats and newest is not None and found.id == newest.id):
            raise RollbuildError(f"this address of the Kickstart of {host} was used", hint=_NEW_URL)
    if newest is not None and repeats:
        values: dict[str, Any] = {"token_hash": _hash(token), "fetches": newest.fetches + 1}
        c.execute(update(_TABLE).where(_TABLE.c.id == newest.id).values(values))
        return _after(c, newest.id, "ks-fetched", address, now)
    attempts = count_attempts(c, host)
    if attempts >= limit:
        raise AttemptsUsedUp(host, attempts)
    if waiting is not None:
        c.execute(update(_TABLE).where(_TABLE.c.id == waiting.id).values(url_token_hash=None))
    # A row of its own, so that the newest attempt is the one with the highest number.
    values = {
        "host": host,
        "token_hash": _hash(token),
        "url_token_hash": url_hash,
        "address": address,
        "state": GIVEN,
        "stage": "ks-fetched",
        "created": waiting.created if waiting is not None else now,
        "given": now,
        "fetches": 1,
    }
    key = c.execute(insert(_TABLE).values(values)).inserted_primary_key
    if waiting is not None:
        # Not before: SQLite would give its number to the new row.
        c.execute(delete(_TABLE).where(_TABLE.c.id == waiting.id))
    prune_rows(c, _TABLE, (_TABLE.c.host == host) & _ATTEMPT, KEPT_INSTALLS)
    return _after(c, key[0] if key else 0, "ks-fetched", address, now)


_NEW_URL = "it is good for one install, so make a new one"


def _is_repeated(row: Row[Any], address: str, now: float) -> bool:
    return (
        row.state == GIVEN and not row.last_event and row.address == address and now - row.given <= SAME_ATTEMPT_SECONDS
    )


def make_url_token(c: Connection, host: str, now: float) -> str:
    """A token for the URL of a host's Kickstart: good for one install; those made before end."""
    find_host(c, host)
    here = _TABLE.c.host == host
    c.execute(delete(_TABLE).where(here & (_TABLE.c.state == WAITING)))
    c.execute(update(_TABLE).where(here & _TABLE.c.url_token_hash.is_not(None)).values(url_token_hash=None))
    token = new_token()
    c.execute(insert(_TABLE).values(host=host, url_token_hash=_hash(token), state=WAITING, created=now))
    return token


def find_install(
    c: Connection, *, host: str | None = None, token: str | None = None, url_token: str | None = None
) -> Install | None:
    """The newest attempt of a host, or the attempt (also one that is over) that a token belongs to.

    An attempt found by a URL token may be used up: `begin_install` says so.
    """
    if host is not None:
        row = _newest(c, host)
    elif token is not None:
        row = c.execute(select(_TABLE).where(_TABLE.c.token_hash == _hash(token))).first()
    else:
        row = c.execute(select(_TABLE).where(_TABLE.c.url_token_hash == _hash(url_token or ""))).first()
    return _install(row) if row is not None else None


def find_ordered(c: Connection, host: str) -> Install | None:
    """The newest install of a host, also one that waits: a URL token was made, and nobody came with it."""
    row = c.execute(select(_TABLE).where(_TABLE.c.host == host).order_by(_TABLE.c.id.desc()).limit(1)).first()
    return _install(row) if row is not None else None


def record_event(c: Connection, install: Install, stage: str, detail: str, now: float) -> Install:
    """Keep what a host reports, and move its install on: the attempt as it is then.

    The first event makes it `installing`; post-done, first-boot and ready end it well, `failed` badly. Stages of any
    other name are kept only. Late, doubled and disordered events do no harm, and those of an attempt that a newer
    one followed change nothing. Raises RollbuildError for a text that is no name of a stage.
    """
    if not _STAGE.fullmatch(stage):
        raise RollbuildError("this is no name of a stage", hint="small letters, digits and dashes; at most 64")
    detail = clean_detail(detail)
    keep_event(c, install.host, install.id, stage, detail, now)
    if stage == "failed":
        return _move(c, install, FAILED, stage, detail, now)
    if stage in _ENDING:
        return _move(c, install, INSTALLED, stage, detail, now)
    return _move(c, install, INSTALLING, stage, detail, now)


def finish_install(c: Connection, install: Install, now: float) -> Install:
    """The host is installed, and boots from its own disk from now on. Once is enough; again changes nothing."""
    return _move(c, install, INSTALLED, "post-done", "", now)


def fail_install(c: Connection, install: Install, detail: str, now: float) -> Install:
    """This attempt failed; the host may try again, up to the limit. An install that is done stays done."""
    return _move(c, install, FAILED, "failed", clean_detail(detail), now)


def _move(c: Connection, install: Install, state: str, stage: str, detail: str, now: float) -> Install:
    row = c.execute(select(_TABLE).where(_TABLE.c.id == install.id)).first()
    if row is None:
        return install
    newest = _newest(c, row.host)
    if newest is None or newest.id != row.id:
        return _install(row)
    values: dict[str, Any] = {"last_event": now}
    # What is over stays over, but a host that boots its own system is installed, whatever failed before.
    if row.state in (GIVEN, INSTALLING) or (row.state == FAILED and state == INSTALLED):
        values["state"] = state
        if state in (INSTALLED, FAILED):
            values["finished"] = now
        if state == INSTALLED:
            _boot_from_disk(c, row.host)
    # curl may deliver a report twice, or after the next one; and the first failure is the cause of the others.
    repeated = row.state == FAILED and state == FAILED
    if stage in STAGES and not repeated and ("finished" in values or _position(stage) >= _position(row.stage)):
        values.update(stage=stage, detail=detail[:SUMMARY_LIMIT])
    c.execute(update(_TABLE).where(_TABLE.c.id == row.id).values(values))
    return _read(c, row.id)


def _position(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else -1


def _boot_from_disk(c: Connection, host: str) -> None:
    hosts = schema.hosts
    # Whatever it was held for, it did install.
    wanted = (hosts.c.name == host) & ((hosts.c.boot_action == "install") | (hosts.c.held != ""))
    if c.execute(update(hosts).where(wanted).values(boot_action="os", held="")).rowcount:
        mark_changed(c, host)


def hold_host(c: Connection, host: str, reason: str) -> None:
    """Let a host boot from its own disk and not install, until it is told to again."""
    reason = clean_detail(reason).strip()[:SUMMARY_LIMIT] or "no reason was given"
    find_host(c, host)
    c.execute(update(schema.hosts).where(schema.hosts.c.name == host).values(held=reason, boot_action="os"))
    mark_changed(c, host)


def count_attempts(c: Connection, host: str) -> int:
    """How often the host was given its install since one succeeded, or since it was told to install."""
    counted = (_TABLE.c.host == host) & _ATTEMPT & (_TABLE.c.id > _counted_after(c, host))
    return c.execute(select(func.count()).select_from(_TABLE).where(counted)).scalar_one()


def _counted_after(c: Connection, host: str) -> int:
    told = select(schema.hosts.c.attempts_after).where(schema.hosts.c.name == host)
    done = select(func.max(_TABLE.c.id)).where((_TABLE.c.host == host) & (_TABLE.c.state == INSTALLED))
    return max(c.execute(told).scalar() or 0, c.execute(done).scalar() or 0)


def note_secrets(c: Connection, install: Install) -> Install:
    """Count that the secrets of the host were given out for this attempt."""
    more = _TABLE.c.secrets_given + 1
    c.execute(update(_TABLE).where(_TABLE.c.id == install.id).values(secrets_given=more))
    return _read(c, install.id)


def install_states(c: Connection) -> dict[str, Install]:
    """Host -> its newest attempt, of all hosts that had one."""
    newest = select(func.max(_TABLE.c.id)).where(_ATTEMPT).group_by(_TABLE.c.host)
    rows = c.execute(select(_TABLE).where(_TABLE.c.id.in_(newest)).order_by(_TABLE.c.host))
    return {row.host: _install(row) for row in rows}


def _after(c: Connection, key: int, stage: str, detail: str, now: float) -> Install:
    install = _read(c, key)
    keep_event(c, install.host, install.id, stage, detail, now)
    return install


def _read(c: Connection, key: int) -> Install:
    return _install(c.execute(select(_TABLE).where(_TABLE.c.id == key)).one())


def _newest(c: Connection, host: str) -> Row[Any] | None:
    query = select(_TABLE).where((_TABLE.c.host == host) & _ATTEMPT)
    return c.execute(query.order_by(_TABLE.c.id.desc()).limit(1)).first()


def _install(row: Row[Any]) -> Install:
    return Install(**{name: row._mapping[name] for name in _SHOWN})


def _hash(token: str) -> str:
    # Found by its hash, so that the time a look-up takes tells nothing about the token.
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()
