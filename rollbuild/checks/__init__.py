"""Checks: what is likely to go wrong with a profile, told at the line of the node file that it comes from."""

from collections.abc import Collection

from rollbuild.checks.commands import check_commands
from rollbuild.checks.formats import FORMS, Form, as_json, format_findings
from rollbuild.checks.kickstart import check_kickstart
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
    findings: list[Finding] = []
    if kickstart:
        findings += check_kickstart(profile, release)
        refused = {finding.location for finding in findings if finding.code in ("KS-ERROR", "KS-EMPTY")}
        twice = {finding.location for finding in check_storage(profile) if finding.code == "STORAGE-MOUNT"}
        findings = [f for f in findings if f.code != "KS-WARNING" or f.location not in twice]
        findings += [f for f in check_commands(profile, release) if f.code != "KS-EMPTY" or f.location not in refused]
    findings += check_storage(profile)
    findings += check_programs(profile, release)
    findings += check_files(profile, release)
    findings += check_secrets(profile, secret_names)
    return in_order(findings)
