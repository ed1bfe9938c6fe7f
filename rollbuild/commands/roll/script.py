"""`rollbuild roll script`: one roll as a shell script for a host that runs already."""

from dataclasses import replace

import click

from rollbuild.commands._hosts import HostEntry, read_hosts
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._report import make_report
from rollbuild.commands._store import store_option
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.compiler import write_script
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.language import did_you_mean
from rollbuild.location import Location
from rollbuild.rolls import Store
from rollbuild.workspace import Choice, Workspace, make_workspace


@click.command(name="script")
@click.argument("roll", metavar="NAME")
@click.option("--host", "host_name", required=True, metavar="HOST", help="The host, or an appliance's name.")
@click.option("--hosts", "hosts_file", metavar="FILE", help="Where the host's appliance and attributes are.")
@click.option("--appliance", metavar="NAME", help="The host's appliance, where the hosts file does not say.")
@click.option(
    "--distro", metavar="NAME[@N]", help="Take rolls and release from this distribution, and give the host its .repo."
)
@workspace_options
@store_option
@click.option("-o", "--output", default="-", metavar="FILE", help="Where the script goes.  [standard output]")
@common_options
@pass_session
def command(
    session: Session,
    /,
    roll: str,
    host_name: str,
    hosts_file: str | None,
    appliance: str | None,
    distro: str | None,
    store: Store,
    output: str,
    **options: object,
) -> None:
    """Write the shell script that brings roll NAME to a host that runs already.

    Nothing is run: look at the script, then run it as root on that host. It installs the roll's packages for the
    host's appliance, runs the %post scripts of its nodes and enables its services; what only an installer can do is
    named in its comments. The host's repositories must have the packages; with --distro they are those of that
    distribution.
    """
    choice = Choice(**options)  # type: ignore[arg-type]
    repositories = ""
    if distro is not None:
        choice, repositories = _take_distribution(distro, store, choice)
    workspace = make_workspace(choice)
    names = sorted(known.name for known in workspace.rolls)
    if roll not in names:
        hint = did_you_mean(roll, names) or f"there is: {', '.join(names)}"
        raise RollbuildError(f"there is no roll {roll} here", hint=hint, exit_code=USAGE)
    host = _find_host(host_name, hosts_file, appliance, workspace)
    report = make_report(session.console, workspace, strict=False)
    target = workspace.target(
        workspace.find_appliance(host.appliance), host.name, {"hostname": host.name, **host.attributes}
    )
    profile = workspace.compiler.compile_roll(target, roll)
    report.add(profile.findings)
    report.add(workspace.description.findings)
    report.finish()
    if not profile.nodes:
        raise RollbuildError(
            f"appliance {host.appliance} has nothing of roll {roll}",
            hint=f"`rollbuild graph {host.appliance}` shows which nodes it has, and conditions that leave some out",
        )
    text = write_script(profile, roll, repositories=repositories).encode()
    if output == "-":
        session.console.data(text)
    else:
        # As a Kickstart, it may hold secrets.
        write_atomically(output, text, mode=0o700)
        session.console.say(f"wrote {output}: run it as root on {host.name}")


def _take_distribution(distro: str, store: Store, choice: Choice) -> tuple[Choice, str]:
    """Rolls and release of a distribution's generation, and its .repo file."""
    from rollbuild.commands._distro import find_distro
    from rollbuild.distribution import read_provenance

    if choice.rolls:
        raise RollbuildError("--distro and --rolls are two answers to one question", exit_code=USAGE)
    folder = find_distro(store, distro).folder
    release = read_provenance(folder).os_release
    repositories = read_limited(folder / "rollbuild.repo", 1024 * 1024).decode()
    return replace(choice, rolls=(str(folder / "description"),), os_release=release), repositories


def _find_host(name: str, hosts_file: str | None, appliance: str | None, workspace: Workspace) -> HostEntry:
    if hosts_file is None:
        if appliance is None and name not in {known.name for known in workspace.appliances()}:
            raise RollbuildError(
                f"nothing says which appliance {name} is",
                hint="name it with --appliance, or a file that has the host with --hosts",
                exit_code=USAGE,
            )
        return HostEntry(name, appliance or name, {}, Location("(command line)"))
    hosts = {host.name: host for host in read_hosts(hosts_file)}
    if name not in hosts:
        raise RollbuildError(
            f"there is no host {name} in this file", location=Location(hosts_file), hint=did_you_mean(name, hosts)
        )
    host = hosts[name]
    if not (host.appliance or appliance):
        raise RollbuildError(f"host {name} has no appliance", location=host.location, hint="name it with --appliance")
    return HostEntry(name, host.appliance or appliance or "", host.attributes, host.location)
