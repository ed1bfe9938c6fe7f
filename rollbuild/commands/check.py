"""`rollbuild check`: everything that is wrong in rolls and in the Kickstarts they make."""

import os
from collections.abc import Iterable
from dataclasses import replace

import click

from rollbuild.checks import FORMS, Form, check_packages, check_scripts, format_findings
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import Report, count_findings, make_report, show_findings
from rollbuild.commands._shown import counted
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.compiler import Profile, check_references
from rollbuild.errors import REFUSED, USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.workspace import Choice, Workspace, default_rolls, make_workspace


@click.command(name="check")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True))
@workspace_options
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--appliance", "names", multiple=True, metavar="NAME", help="Check only this one.  [all]")
@click.option("--waivers", "waiver_files", multiple=True, metavar="FILE", help="Findings to pass over, with reasons.")
@click.option("--no-shell", is_flag=True, help="Leave out the check of shell scripts.")
@click.option(
    "--repo",
    "repos",
    multiple=True,
    metavar="[NAME=]URL-OR-DIR",
    help="Do the packages exist there? RPM metadata, a folder of several, or a list of names; repeatable.",
)
@click.option("--resolve/--no-resolve", default=True, help="With --repo: can they be installed together?  [--resolve]")
@common_options
@pass_session
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    form: Form,
    as_json: bool,
    strict: bool,
    names: tuple[str, ...],
    waiver_files: tuple[str, ...],
    no_shell: bool,
    repos: tuple[str, ...],
    resolve: bool,
    **choice: object,
) -> int:
    """Check rolls and what every appliance compiles to.

    With PATHs, folders of rolls or single files, only findings in them are shown; they are looked at together with
    the rolls. Exit code 1 when there is an error.
    """
    form = "json" if as_json else form
    options = Choice(**choice)  # type: ignore[arg-type]
    options = replace(options, rolls=_with_paths(options.rolls, paths))
    try:
        workspace = make_workspace(options)
        report = make_report(session.console, workspace, strict=strict, waiver_files=waiver_files)
    except RollbuildError as problem:
        if form == "text" or problem.exit_code == USAGE:
            raise
        found = problem.findings if isinstance(problem, FindingsError) else (problem.as_finding(),)
        session.console.data(format_findings(found, form))
        return problem.exit_code
    profiles = _look_at(workspace, names, report)
    if not no_shell:
        report.add(check_scripts(profiles))
    if repos:
        report.add(_look_for_packages(repos, profiles, workspace, resolve))
    findings = [finding for finding in report.kept() if not paths or _lies_in(finding, paths)]
    _show(session, findings, form, profiles, workspace)
    return REFUSED if report.refuses(findings) else 0


def _look_at(workspace: Workspace, names: Iterable[str], report: Report) -> list[Profile]:
    chosen = tuple(names) or workspace.choice.root
    appliances = workspace.chosen_appliances(tuple(names)) if chosen else workspace.appliances()
    report.add(workspace.scope_findings())
    profiles = report.compile(workspace, appliances)
    description = workspace.description
    for name in description.node_names:
        with report.collecting():
            description.node(name)
    report.add(description.findings)
    report.add(check_references(description))
    return profiles


def _look_for_packages(
    repos: tuple[str, ...], profiles: list[Profile], workspace: Workspace, resolve: bool
) -> tuple[Finding, ...]:
    from rollbuild.packages import open_repositories, parse_repository_name

    elsewhere: dict[str, dict[str, None]] = {}
    for roll in workspace.rolls:
        for source, names in roll.packages_from:
            for name in names:
                elsewhere.setdefault(name, {})[source] = None
    with open_repositories([parse_repository_name(text) for text in repos]) as repositories:
        return check_packages(profiles, repositories, elsewhere=elsewhere, resolve=resolve)


def _with_paths(rolls: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """The rolls to read: those named or found here, and those that the paths are in or are."""
    found = list(rolls or default_rolls())
    for path in paths:
        folder = os.path.abspath(path)
        # nodes/NAME.xml, site-nodes/NAME.xml or graphs/default/NAME.xml of a roll, or one of these folders
        part = folder if os.path.isdir(path) else os.path.dirname(folder)
        if os.path.basename(part) in ("nodes", "site-nodes", "graphs"):
            folder = os.path.dirname(part)
        elif os.path.basename(os.path.dirname(part)) == "graphs":
            folder = os.path.dirname(os.path.dirname(part))
        if not any(_is_inside(folder, roll) for roll in found):
            found.append(path if os.path.abspath(path) == folder else os.path.relpath(folder))
    return tuple(found)


def _is_inside(path: str, folder: str) -> bool:
    top = os.path.realpath(folder)
    return os.path.commonpath((top, os.path.realpath(path))) == top


def _lies_in(finding: Finding, paths: tuple[str, ...]) -> bool:
    if finding.location is None:
        return True
    return any(_is_inside(finding.location.file, path) for path in paths)


def _show(session: Session, findings: list[Finding], form: Form, profiles: list[Profile], workspace: Workspace) -> None:
    console = session.console
    if form != "text":
        console.data(format_findings(findings, form))
        return
    show_findings(console, findings)
    notes = sum(finding.severity is Severity.NOTE for finding in findings)
    what = count_findings(findings) or "no findings"
    more = "" if not notes or console.verbosity > 0 else "; -v shows the notes"
    appliances = ", ".join(profile.name for profile in profiles) or "no appliance"
    nodes = counted(len(workspace.description.node_names), "node")
    console.say(f"checked {appliances} for {workspace.release.name} ({nodes}): {what}{more}")
