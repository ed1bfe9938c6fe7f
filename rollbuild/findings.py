"""What a check reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rollbuild.location import Location


class Severity(StrEnum):
    """How much a finding matters: an error refuses the work, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check reports; `code` is stable and documented in docs/reference/findings.md."""

    code: str
    severity: Severity
    message: str
    location: Location | None = None
    hint: str = ""

    def sort_key(self) -> tuple[int, Location, str, str]:
        """Errors first, then by place, code and message."""
        return (_RANK[self.severity], self.location or Location(""), self.code, self.message)


def error(code: str, message: str, location: Location | None = None, hint: str = "") -> Finding:
    """A finding that refuses the work."""
    return Finding(code, Severity.ERROR, message, location, hint)


def warning(code: str, message: str, location: Location | None = None, hint: str = "") -> Finding:
    """A finding to look at; counts as an error under `--strict`."""
    return Finding(code, Severity.WARNING, message, location, hint)


def note(code: str, message: str, location: Location | None = None, hint: str = "") -> Finding:
    """A finding worth knowing; never fails anything."""
    return Finding(code, Severity.NOTE, message, location, hint)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings without repeats, errors first, then by place."""
    return tuple(sorted(dict.fromkeys(findings), key=Finding.sort_key))
