"""Findings of a command: collected, then shown once, then judged."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rollbuild.commands._shown import counted
from rollbuild.compiler import Profile
from rollbuild.console import Console
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity, in_order
from rollbuild.language import Appliance
from rollbuild.releases import Release
from rollbuild.workspace import Workspace

if TYPE_CHECKING:
    from rollbuild.checks import Waiver

# rollbuild.checks is imported where it is used: a compile without checks need not wait for it.


_SHOWN_ALIKE = 3
"""How many findings that say the same are shown without -v."""


class Report:
    """The findings of one command; `finish` shows them and refuses to go on where there are errors."""

    def __init__(
        self,
        console: Console,
        *,
        strict: bool = False,
        waivers: "Iterable[Waiver]" = (),
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
        from rollbuild.checks import check_profile

        self.add(check_profile(profile, release, secret_names=self.secret_names))

    def compile(self, workspace: Workspace, appliances: Iterable[Appliance], *, validate: bool = True) -> list[Profile]:
        """Compile appliances and, with `validate`, check them. What cannot be compiled is a finding and left out."""
        profiles = []
        for appliance in appliances:
            self.add(workspace.attribute_findings(appliance))
            with self.collecting():
                profiles.append(workspace.compiler.compile(workspace.target(appliance)))
        self.add(workspace.description.findings)
        for profile in profiles:
            self.add(profile.findings)
            if validate:
                self.add_checks(profile, workspace.release)
        return profiles

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
        findings = in_order(self.found)
        if not self.waivers:
            return findings
        from rollbuild.checks import apply_waivers

        kept, _ = apply_waivers(findings, self.waivers)
        return in_order(kept)

    def refuses(self, findings: Iterable[Finding]) -> bool:
        """Whether these findings refuse the work."""
        severities = {finding.severity for finding in findings}
        return Severity.ERROR in severities or (self.strict and Severity.WARNING in severities)

    def finish(self) -> None:
        """Show the findings; notes only with -v. Raises RollbuildError when they refuse the work."""
        findings = self.kept()
        show_findings(self.console, findings)
        if self.refuses(findings):
            raise RollbuildError(f"nothing was written: {count_findings(findings)}", hint=self.hint(findings))

    def hint(self, findings: Iterable[Finding]) -> str:
        """What to do about errors."""
        if all(finding.severity is not Severity.ERROR for finding in findings):
            return "--strict counts warnings as errors"
        return "docs/reference/findings.md explains each code"


def show_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Findings for a person: notes only with -v, and without it no more than a few of the same words."""
    shown: Counter[tuple[str, str]] = Counter()
    hidden: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        same = (finding.code, finding.message)
        if console.verbosity <= 0 and (finding.severity is Severity.NOTE or shown[same] >= _SHOWN_ALIKE):
            hidden[same] += finding.severity is not Severity.NOTE
            continue
        shown[same] += 1
        console.print_finding(finding)
    for (code, message), count in hidden.items():
        if count:
            console.say(f"... {counted(count, 'more place')} with {code}: {message}")


def make_report(console: Console, workspace: Workspace, *, strict: bool, waiver_files: Iterable[str] = ()) -> Report:
    """A report that knows the waivers of the rolls, and which attributes they declare as secret."""
    waivers: list[Waiver] = []
    if files := [*waiver_files, *workspace.waiver_files()]:
        from rollbuild.checks import read_waivers

        waivers = [waiver for file in files for waiver in read_waivers(file)]
    return Report(console, strict=strict, waivers=waivers, secret_names=workspace.secret_names())


def count_findings(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`; notes are not counted."""
    counts = Counter(finding.severity for finding in findings)
    judged = (Severity.ERROR, Severity.WARNING)
    return ", ".join(counted(counts[severity], str(severity)) for severity in judged if counts[severity])
