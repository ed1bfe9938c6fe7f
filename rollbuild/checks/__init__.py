"""Checks: what is likely to go wrong with a profile, told at the line of the node file that it comes from."""

from collections.abc import Collection, Iterable, Iterator

from rollbuild.checks.commands import check_commands
from rollbuild.checks.formats import FORMS, Form, as_json, format_findings
from rollbuild.checks.kickstart import check_kickstart
from rollbuild.checks.mainlines import MainLine, read_main_lines
from rollbuild.checks.packages import check_packages
from rollbuild.checks.scripts import check_programs
from rollbuild.checks.secrets import check_secrets
from rollbuild.checks.shell import check_scripts
from rollbuild.checks.storage import check_storage
from rollbuild.checks.waivers import Waiver, apply_waivers, read_waivers
from rollbuild.checks.written import check_files
from rollbuild.compiler import Profile
from rollbuild.findings import Finding, in_order
from rollbuild.releases import Release

__all__ = [
    "FORMS",
    "Form",
    "Waiver",
    "apply_waivers",
    "as_json",
    "check_packages",
    "check_profile",
    "check_scripts",
    "format_findings",
    "read_waivers",
]


def check_profile(
    profile: Profile, release: Release, *, kickstart: bool = True, secret_names: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Every check that needs no other program, in order; what the compiler itself found is not repeated.

    Without `kickstart`, pykickstart is not asked, nor whether the commands make an install: right for profiles
    of single nodes. `secret_names` are the attributes that rolls declare as secret.
    """
    lines = read_main_lines(profile)
    findings = [*check_storage(lines)]
    if kickstart:
        findings += _check_install(profile, lines, release, tuple(findings))
    findings += check_programs(profile, release)
    findings += check_files(profile, release)
    findings += check_secrets(profile, lines, secret_names)
    return in_order(findings)


def _check_install(
    profile: Profile, lines: tuple[MainLine, ...], release: Release, storage: Iterable[Finding]
) -> Iterator[Finding]:
    """pykickstart's findings and those about commands; what two of them see alike is told once."""
    twice = {finding.location for finding in storage if finding.code == "STORAGE-MOUNT"}
    refused = set()
    for finding in check_kickstart(profile, lines, release):
        if finding.code in ("KS-ERROR", "KS-EMPTY"):
            refused.add(finding.location)
        if finding.code != "KS-WARNING" or finding.location not in twice:
            yield finding
    for finding in check_commands(profile.appliance, lines, release):
        if finding.code != "KS-EMPTY" or finding.location not in refused:
            yield finding
