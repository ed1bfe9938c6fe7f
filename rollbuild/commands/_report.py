"""Findings of a command: collected, then shown once, then judged."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from rollbuild.checks import Waiver, apply_waivers, check_profile, read_waivers
from rollbuild.commands._workspace import Workspace
from rollbuild.compiler import Profile
from rollbuild.console import Console
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity, in_order
from rollbuild.releases import Release


class Report:
    """The findings of one command; `finish` shows them and refuses to go on where there are errors."""

    def __init__(
        self,
        console: Console,
        *,
        strict: bool = False,
        waivers: Iterable[Waiver] = (),
        secret_names: Collection[str] = (),
    ) -> None:
        self.console = console
        self.secret_names = secret_names
        self.strict = strict
        self.waivers = tuple(waivers)
        self.found: dict[Finding, None] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep findings; the same one counts once, however many profiles have it."""
        self.found.update(dict.fromkeys(findings))

    def add_checks(self, profile: Profile, release: Release) -> None:
        """Check a profile."""
        self.add(check_profile(profile, release, secret_names=self.secret_names))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Turn what is refused inside into findings, so that the rest is looked at too."""
        try:
            yield
        except FindingsError as problem:
            self.add(problem.findings)
        except RollbuildError as problem:
            if problem.exit_code == USAGE:
                raise
            self.add([problem.as_finding()])

    def kept(self) -> tuple[Finding, ...]:
        """The findings that no waiver takes away, in order."""
        kept, _ = apply_waivers(in_order(self.found), self.waivers)
        return in_order(kept)

    def refuses(self, findings: Iterable[Finding]) -> bool:
        """Whether these findings refuse the work."""
        severities = {finding.severity for finding in findings}
        return Severity.ERROR in severities or (self.strict and Severity.WARNING in severities)

    def finish(self) -> None:
        """Show the findings; notes only with -v. Raises RollbuildError when they refuse the work."""
        findings = self.kept()
        for finding in findings:
            if finding.severity is not Severity.NOTE or self.console.verbosity > 0:
                self.console.print_finding(finding)
        if self.refuses(findings):
            raise RollbuildError(f"nothing was written: {count_findings(findings)}", hint=self.hint(findings))

    def hint(self, findings: Iterable[Finding]) -> str:
        """What to do about errors."""
        if all(finding.severity is not Severity.ERROR for finding in findings):
            return "--strict counts warnings as errors"
        return "each code is explained in docs/reference/findings.md; -v shows the codes"


def make_report(console: Console, workspace: Workspace, *, strict: bool, waiver_files: Iterable[str] = ()) -> Report:
    """A report that knows the waivers of the rolls, and which attributes they declare as secret."""
    files = [*waiver_files, *workspace.waiver_files()]
    return Report(
        console,
        strict=strict,
        waivers=[waiver for file in files for waiver in read_waivers(file)],
        secret_names=[item.name for item in workspace.declarations if item.type == "secret"],
    )


def count_findings(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(counted(counts[severity], str(severity)) for severity in Severity if counts[severity])


def counted(count: int, noun: str) -> str:
    """`1 Kickstart`, `2 Kickstarts`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
