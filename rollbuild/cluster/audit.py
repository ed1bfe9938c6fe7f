"""The audit: who changed the configuration, when, and with which command."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from rollbuild.cluster import schema
from rollbuild.language import HIDDEN, is_secret_name

KEPT_ROWS = 100_000

_PARAMETER = re.compile(r"([A-Za-z0-9_+-]+)=(.*)", re.DOTALL)
_TABLE = schema.audit


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A change: `time` in UTC seconds since 1970, and the configuration generation that it made."""

    time: float
    user: str
    command: str
    generation: int


def list_audit(
    c: Connection, *, limit: int = 100, user: str | None = None, since: float | None = None
) -> tuple[AuditRow, ...]:
    """The last changes, the newest first; of one user, or from a time on, where that is given."""
    query = select(_TABLE.c.time, _TABLE.c.user, _TABLE.c.command, _TABLE.c.generation)
    if user is not None:
        query = query.where(_TABLE.c.user == user)
    if since is not None:
        query = query.where(_TABLE.c.time >= since)
    return tuple(AuditRow(*row) for row in c.execute(query.order_by(_TABLE.c.id.desc()).limit(limit)))


def prune_audit(c: Connection, kept: int = KEPT_ROWS) -> int:
    """Forget all but the newest rows; how many that were."""
    oldest = select(_TABLE.c.id).order_by(_TABLE.c.id.desc()).offset(kept).limit(1).scalar_subquery()
    return c.execute(delete(_TABLE).where(_TABLE.c.id <= oldest)).rowcount


def describe_command(words: Sequence[str]) -> str:
    """A command as the audit and logs may keep it: quoted for the shell, on one line, the values of secrets hidden."""
    line = " ".join(_describe(words))
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _describe(words: Sequence[str]) -> Iterator[str]:
    # `rocks set attr NAME VALUE`, and `attr=NAME value=VALUE` in any order.
    sets_attribute = any("attr" in word.lower().split() for word in words[:4])
    parameters = [match.groups() if (match := _PARAMETER.fullmatch(word)) else ("", word) for word in words]
    names_secret = sets_attribute and any(is_secret_name(value) for name, value in parameters if name in ("", "attr"))
    hides_rest = False
    for (name, value), word in zip(parameters, words, strict=True):
        if name:
            hides = is_secret_name(name) or (names_secret and name == "value")
            yield f"{name}={HIDDEN}" if hides else shlex.quote(word)
        else:
            yield HIDDEN if hides_rest else shlex.quote(word)
            hides_rest = hides_rest or (sets_attribute and is_secret_name(value))
