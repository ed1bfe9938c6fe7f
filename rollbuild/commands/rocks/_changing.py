"""What the commands that change the database have in common: which hosts they mean, and the files that follow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Argument, Call
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.findings import Severity

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.frontend import Applied

NOTHING = "NULL"
"""The word that clears a value, as in Rocks."""

FRONT_END = "frontend"

ONE_HOST = Argument("host", "Name, alias, address or MAC of a host.", completes="host")

# What an unfinished description of the site is refused with: no fault of the command that was typed.
_NOT_DESCRIBED = "BOOT-NETWORK"


def find_one_host(call: Call, connection: "Connection", words: Sequence[str] | None = None) -> str:
    """The name of the only host that the placed arguments mean. Raises RollbuildError where they are several."""
    hosts = call.select_hosts(connection, words)
    if len(hosts) != 1:
        found = f"{len(hosts)} hosts" if hosts else "none"
        raise RollbuildError("must supply one host", hint=f"these words mean {found}", exit_code=USAGE)
    return hosts[0]


def list_front_ends(connection: "Connection") -> tuple[str, ...]:
    """The names of the front ends that are machines: one, in a cluster that is right."""
    from rollbuild.cluster import list_hosts

    return tuple(host.name for host in list_hosts(connection) if host.appliance == FRONT_END and not host.is_vm)


def refuse_second_front_end(call: Call, connection: "Connection") -> None:
    """Raises RollbuildError where a host has become a front end beside another: all files would follow either.

    What is loaded is not looked at: there a virtual front end is a host before it is a VM.
    """
    if not call.is_loaded and len(found := list_front_ends(connection)) > 1:
        raise RollbuildError(
            f"a cluster has one front end, and there would be {' and '.join(found)}",
            hint="give the host another membership: rocks list membership",
        )


def apply_changes(call: Call) -> int:
    """Have the front end's files follow the database; the exit code. Called once, after the command's transaction.

    Nothing is left stale without a word: where insert-ethers does it later, where the site is not described enough,
    and where a file was refused, standard error says so.
    """
    from rollbuild.frontend import ensure_applied, find_holder

    if holder := find_holder():
        call.console.say(f"configuration is deferred: insert-ethers ({holder}) holds the lock and writes it")
        return 0
    try:
        applied = ensure_applied(call.front_end)
    except RollbuildError as problem:
        call.console.print_error(problem)
        call.console.say("the database is changed, the front end's files are not all: rocks sync config")
        return problem.exit_code
    return tell_applied(call.console, applied)


def tell_applied(console: Console, applied: "Applied", *, tells_all: bool = False) -> int:
    """Tell what was refused and found, with -v also what was written; the exit code.

    `tells_all`: somebody asked for the configuration, not for a change that leads to it.
    """
    for line in () if tells_all else applied.lines():
        console.detail(line)
    errors = [finding for finding in applied.findings if finding.severity is Severity.ERROR]
    if (
        errors
        and not tells_all
        and all(finding.code == _NOT_DESCRIBED for finding in errors)
        and not applied.has_changed
    ):
        # Each command that describes a new site would say all of them again.
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        console.say(f"no configuration is written yet: {errors[0].message}{more}")
        return 0
    for finding in applied.findings:
        if finding.severity is Severity.ERROR or applied.has_changed or tells_all or console.verbosity > 0:
            console.print_finding(finding)
    for refusal in applied.refused:
        console.print_error(RollbuildError(f"{refusal.service}: {refusal.message}", hint=refusal.hint))
    if not applied.is_complete and not tells_all:
        console.say("the database is changed, the front end's files are not all: rocks sync config")
    return max([int(bool(errors)), *(refusal.exit_code for refusal in applied.refused)])
