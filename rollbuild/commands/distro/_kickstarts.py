"""The Kickstarts of a distribution, compiled from its description with the attributes that were given."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollbuild.commands._report import Report, make_report
from rollbuild.commands._shown import find_secrets, secrets_of
from rollbuild.compiler import Compiler, Profile
from rollbuild.distribution import Compiled, DescriptionToCompile
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, warning
from rollbuild.language import parse_assignment, read_attributes
from rollbuild.location import Location
from rollbuild.workspace import Choice, Workspace, make_workspace

_URL = re.compile(r"--url[=\s]\s*(\S+)")
_DATA_LIMIT = 64 * 1024 * 1024


class Compilation:
    """How to compile: attributes and data as the options name them; what is found goes to `report`.

    `url` is where hosts find the distribution, empty where nobody said.
    """

    def __init__(
        self, report: Report, attrs: tuple[str, ...], assignments: tuple[str, ...], data: str | None, url: str = ""
    ) -> None:
        self.report, self.attrs, self.assignments, self.data, self.url = report, attrs, assignments, data, url

    def given(self) -> Mapping[str, str]:
        """Every attribute that was given: its name, and for whom where it is not for all -> its value."""
        found: dict[str, str] = {}
        for path in self.attrs:
            for (scope, key), attributes in read_attributes(path).layers.items():
                place = f" ({scope} {key})" if key else ""
                found |= {f"{name}{place}": attribute.value for name, attribute in attributes.items()}
        return found | dict(parse_assignment(text) for text in self.assignments)

    def data_bytes(self) -> bytes:
        """The bytes of the data file; none where there is none. Raises RollbuildError."""
        return read_limited(self.data, _DATA_LIMIT) if self.data else b""

    def run(self, description: DescriptionToCompile) -> Compiled:
        """Compile and check all appliances. Raises RollbuildError for what cannot be read at all."""
        collected = Report(self.report.console, strict=self.report.strict)
        try:
            workspace = self._open(description)
            collected = make_report(self.report.console, workspace, strict=self.report.strict)
            profiles = self._compile(workspace, collected)
        except FindingsError as problem:
            collected.add(problem.findings)
            profiles = []
        except RollbuildError as problem:
            if problem.exit_code == USAGE and _place_in(problem.location, description) is None:
                raise
            collected.add([problem.as_finding()])
            profiles = []
        self.report.add(_renamed(finding, description) for finding in collected.kept())
        kickstarts = {f"{profile.name}.ks": profile.text.encode() for profile in profiles}
        return Compiled(kickstarts, _secrets_in(profiles, workspace) if profiles else ())

    def _open(self, description: DescriptionToCompile) -> Workspace:
        choice = Choice(
            rolls=(str(description.folder),),
            os_release=description.release,
            attrs=self.attrs,
            assignments=self.assignments,
            data=self.data,
        )
        workspace = make_workspace(choice)
        old = workspace.compiler
        data: dict[str, Any] = {"rolls": list(description.rolls), **old.data}
        return replace(workspace, compiler=Compiler(old.description, old.release, data, old.evaluate))

    def _compile(self, workspace: Workspace, report: Report) -> list[Profile]:
        report.add(workspace.scope_findings())
        appliances = workspace.appliances()
        if not appliances and not workspace.description.graph.findings:
            hint = "add the roll `appliances`, or a roll with <appliance> in a graph; or say --no-kickstarts"
            report.add([warning("NO-APPLIANCE", "the rolls declare no appliance: there are no Kickstarts", hint=hint)])
        profiles = report.compile(workspace, appliances)
        if self.url:
            for profile in profiles:
                report.add(_check_source(profile, self.url.rstrip("/")))
        return profiles


def _check_source(profile: Profile, url: str) -> Iterator[Finding]:
    """A warning when a Kickstart installs from elsewhere than the distribution that it is a part of."""
    if any(url in command.text for command in profile.commands if command.name in ("url", "repo")):
        return
    for command in profile.commands:
        found = _URL.search(command.text) if command.name == "url" else None
        if found and found[1].strip("\"'").rstrip("/") != url:
            message = f"{profile.name} installs from {found[1]}, and the distribution is at {url}: without its rolls"
            hint = "set the attribute that this URL comes from (install_url in the shipped rolls), or correct --url"
            yield warning("INSTALL-URL", message, command.location, hint)


def _secrets_in(profiles: list[Profile], workspace: Workspace) -> tuple[str, ...]:
    """The values of secret attributes that the Kickstarts hold."""
    secrets = secrets_of(workspace)
    return tuple(
        sorted(
            {
                value
                for profile in profiles
                for _, value in find_secrets(profile.attributes, secrets)
                if value in profile.text
            }
        )
    )


def _place_in(location: Location | None, description: DescriptionToCompile) -> Path | None:
    """Where a file of the staged description came from; None for any other."""
    top = f"{description.folder}{os.sep}"
    if location is None or not location.file.startswith(top):
        return None
    roll, _, rest = location.file[len(top) :].partition(os.sep)
    return description.origins[roll] / rest if roll in description.origins else None


def _renamed(finding: Finding, description: DescriptionToCompile) -> Finding:
    """The finding at the file of the store that it is about: the stage is gone when it is read."""
    place = _place_in(finding.location, description)
    message = finding.message.replace(f"{description.folder}{os.sep}", "")
    if place is None or finding.location is None:
        return replace(finding, message=message)
    return replace(finding, message=message, location=replace(finding.location, file=str(place)))
