"""`rollbuild compile`: Kickstarts for appliances or hosts, checked before anything is written."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import Report, count_findings, make_report
from rollbuild.commands._shown import counted
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import staged_files
from rollbuild.workspace import Choice, Workspace, make_workspace

if TYPE_CHECKING:
    from rollbuild.commands._hosts import HostEntry

OUTPUT = os.path.join("build", "kickstarts")


@click.command(name="compile")
@click.argument("appliances", nargs=-1, metavar="[APPLIANCE]...")
@workspace_options
@click.option("--hosts", "hosts_file", metavar="FILE", help="Hosts to compile, as YAML or CSV: one Kickstart each.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--no-validate", is_flag=True, help="Do not check the Kickstarts.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Compile hosts with this many processes.  [1]"
)
@click.option(
    "-o",
    "--output",
    default=OUTPUT,
    show_default=True,
    metavar="DIR",
    help="Where NAME.ks goes; - writes one Kickstart to standard output.",
)
@common_options
@pass_session
def command(
    session: Session,
    /,
    appliances: tuple[str, ...],
    hosts_file: str | None,
    strict: bool,
    no_validate: bool,
    jobs: int,
    output: str,
    **choice: object,
) -> None:
    """Compile APPLIANCEs into Kickstarts; all of them when none is named.

    Nothing is written when there is a finding of severity error.
    """
    if not output:
        raise RollbuildError("-o needs the name of a folder", exit_code=USAGE)
    workspace = make_workspace(Choice(**choice))  # type: ignore[arg-type]
    report = make_report(session.console, workspace, strict=strict)
    report.add(workspace.scope_findings())
    if hosts_file:
        from rollbuild.commands._hosts import read_hosts

        hosts = read_hosts(hosts_file)
        _compile_hosts(workspace, appliances, hosts, report, output, validate=not no_validate, jobs=jobs)
    else:
        _compile_appliances(workspace, appliances, report, output, validate=not no_validate)


def _compile_appliances(
    workspace: Workspace, names: Sequence[str], report: Report, output: str, *, validate: bool
) -> None:
    appliances = workspace.chosen_appliances(names)
    if output == "-" and len(appliances) > 1:
        listed = ", ".join(appliance.name for appliance in appliances)
        raise RollbuildError(
            f"-o - writes one Kickstart, but there are {len(appliances)}: {listed}",
            hint="name one appliance",
            exit_code=USAGE,
        )
    profiles = report.compile(workspace, appliances, validate=validate)
    report.finish()
    if output == "-":
        report.console.data(profiles[0].text.encode())
        return
    with staged_files(output, mode=0o600) as write:
        for profile in profiles:
            write(f"{profile.name}.ks", profile.text.encode())
    _tell(report, len(profiles), workspace, output)


def _tell(report: Report, count: int, workspace: Workspace, output: str) -> None:
    found = count_findings(report.kept())
    findings = f" ({found})" if found else ""
    report.console.say(f"wrote {counted(count, 'Kickstart')} for {workspace.release.name} into {output}{findings}")


def _compile_hosts(
    workspace: Workspace,
    names: Sequence[str],
    hosts: "tuple[HostEntry, ...]",
    report: Report,
    output: str,
    *,
    validate: bool,
    jobs: int,
) -> None:
    from rollbuild.commands._fleet import Fleet, render_with_jobs

    fleet = Fleet(workspace, names, report, validate=validate)
    if output == "-":
        if len(hosts) > 1:
            message = f"-o - writes one Kickstart, but there are {len(hosts)} hosts"
            raise RollbuildError(message, hint="-o DIR writes them all", exit_code=USAGE)
        text = b""
        with report.collecting():
            text = fleet.render(hosts[0])
        report.finish()
        report.console.data(text)
        return
    with staged_files(output, mode=0o600) as write:
        with report.console.progress(len(hosts), "compiling hosts") as advance:
            render_with_jobs(fleet, hosts, write, advance, jobs)
        report.add(workspace.description.findings)
        report.finish()
    _tell(report, len(hosts), workspace, output)
