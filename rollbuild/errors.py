"""The one error base. Whatever rollbuild refuses, it refuses with a message, a place and a hint."""

from collections.abc import Iterable

from rollbuild.findings import Finding, Severity, in_order
from rollbuild.location import Location

REFUSED = 1
USAGE = 2
MISSING_PROGRAM = 3
DISK = 4
UNREACHABLE = 69
BUSY = 75
INTERRUPTED = 130


class RollbuildError(Exception):
    """Work that was refused or failed; shown as `error: LOCATION: message` and `hint: ...`.

    `exit_code` is one of the constants of this module (the command line's contract); `code` is that of the
    finding it becomes where findings are collected.
    """

    def __init__(
        self,
        message: str,
        *,
        location: Location | None = None,
        hint: str = "",
        exit_code: int = REFUSED,
        code: str = "REFUSED",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.hint = hint
        self.exit_code = exit_code
        self.code = code

    def as_finding(self) -> Finding:
        """The same as a finding of severity error."""
        return Finding(self.code, Severity.ERROR, self.message, self.location, self.hint)


class FindingsError(RollbuildError):
    """Refused because of findings: all of them are collected before anything fails."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = in_order(findings)
        first = self.findings[0]
        super().__init__(first.message, location=first.location, hint=first.hint)
