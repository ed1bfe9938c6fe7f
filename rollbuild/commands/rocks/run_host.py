"""`rocks run host`: a command on many hosts at once."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import HOSTS, Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._ssh import Answer, Way, find_ssh, run_on_hosts
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NO = frozenset({"no", "n", "false", "off", "0"})


def _run(call: Call) -> int:
    command = call.parameters["command"]
    if not command.strip():
        hint = 'as: rocks run host compute "uptime"'
        raise RollbuildError("must supply a command", hint=hint, exit_code=USAGE)
    way_program = find_ssh(call.parameters["ssh"])
    with call.reading() as connection:
        if not call.arguments:
            _refuse_hosts(call, connection, command)
        hosts = call.select_hosts(connection)
        left_out = _unmanaged(call, connection, hosts) if call.flag("managed") else {}
        addresses = find_addresses(connection, hosts)
    chosen = [host for host in hosts if host not in left_out]
    if left_out and (call.arguments or not chosen):
        listed = ", ".join(f"{host} ({why})" for host, why in list(left_out.items())[:5])
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        call.console.say(f"left out: {listed}{more}; managed=no runs it there too")
    if not chosen:
        raise RollbuildError("there is no host to run it on", hint="rocks list host shows all")
    collate, stats = call.flag("collate"), call.flag("stats")

    def tell(host: str, line: bytes) -> None:
        call.write(line + b"\n")

    def done(answer: Answer) -> None:
        for line in answer.errors:
            call.console.say(f"{answer.host}: {line.decode('utf-8', 'replace')}")

    answers = run_on_hosts(
        chosen,
        command,
        Way(way_program, addresses, call.flag("x11")),
        tell=None if collate else tell,
        done=done,
        timeout=call.number("timeout"),
        at_once=call.number("num-threads"),
        delay=call.number("delay"),
    )
    if collate:
        for answer in answers:
            prefix = f"{answer.host}: ".encode()
            call.write(b"".join(prefix + line + b"\n" for line in answer.output))
    if stats:
        for answer in answers:
            call.console.say(f"{answer.host}: {answer.seconds:.1f} seconds")
    return tell_results(call, answers)


def tell_results(call: Call, answers: Sequence[Answer]) -> int:
    """A table of the hosts where something went wrong, on standard error; the worst exit code."""
    failed = [answer for answer in answers if answer.exit_code]
    if failed:
        width = max(len(answer.host) for answer in failed)
        call.console.say(f"{len(failed)} of {len(answers)} hosts failed:")
        for answer in failed:
            call.console.say(f"  {answer.host.ljust(width)}  {answer.result}")
    return max(answer.exit_code for answer in answers)


def find_addresses(connection: "Connection", hosts: Sequence[str]) -> dict[str, str]:
    """What hosts are reached at: their address on the network private, else any."""
    from rollbuild.cluster import list_interfaces

    found: dict[str, str] = {}
    for interface in list_interfaces(connection, hosts):
        if interface.address and (interface.network == "private" or interface.host not in found):
            found[interface.host] = interface.address
    return found


def _refuse_hosts(call: Call, connection: "Connection", command: str) -> None:
    """A command that names hosts was forgotten after them: it would run on all hosts."""
    try:
        call.select_hosts(connection, [command])
    except RollbuildError:
        return
    hint = f"rocks run host {shlex.quote(command)} COMMAND"
    raise RollbuildError(f"{command} names hosts, and there is no command for them", hint=hint, exit_code=USAGE)


def _unmanaged(call: Call, connection: "Connection", hosts: Sequence[str]) -> dict[str, str]:
    """The hosts, and why, that a command for many leaves out. One that was named is never."""
    from rollbuild.cluster import list_appliances, list_hosts, resolve_many

    named = {word.lower() for word in call.arguments}
    roots = {appliance.name: appliance.root for appliance in list_appliances(connection)}
    values = dict(resolve_many(connection, hosts))
    found: dict[str, str] = {}
    for host in list_hosts(connection, hosts):
        if host.name in named or (host.appliance == "frontend" and "localhost" in named):
            continue
        managed = values[host.name].get("managed", ("", ""))[0].lower()
        if managed in _NO:
            found[host.name] = "its attribute managed says no"
        elif host.appliance == "frontend" and not managed:
            found[host.name] = "the front end"
        elif not roots.get(host.appliance) and not host.is_vm and not managed:
            found[host.name] = f"no system of ours runs on the appliance {host.appliance}"
    return found


HOST = RocksCommand(
    "run host",
    _run,
    arguments=(HOSTS, Argument("command", "What each host's shell runs.", is_named=True)),
    parameters=(
        Parameter("managed", "Leave out hosts that run no system of ours.", kind="boolean", default="yes"),
        Parameter("timeout", "Seconds after which a host is given up; 0 for never.", kind="integer", default="30"),
        Parameter("num-threads", "How many hosts at a time.", kind="integer", default="128"),
        Parameter("delay", "Seconds from one start to the next.", kind="integer", default="0"),
        Parameter("collate", "Put `HOST: ` before each line, one host after the other.", kind="boolean", default="no"),
        Parameter("stats", "Tell how long each host took.", kind="boolean", default="no"),
        Parameter("x11", "Forward X11.", kind="boolean", default="no"),
        Parameter("ssh", "The ssh program, with options.  [ROLLBUILD_SSH, else ssh]"),
    ),
    description="Run a command on hosts over SSH, many at a time. No password is asked for. Where a command fails, a "
    "host does not answer or cannot be reached, a table tells so, and the exit code is the worst of them (69: "
    "unreachable).",
    examples=(
        ('rocks run host compute "uptime" collate=yes', ""),
        ('rocks run host rack1 command="reboot" timeout=5', ""),
    ),
)
