"""`rocks list`: host install, audit, discovery: what happened, and when."""

import time

from rollbuild.commands.rocks._command import HOSTS, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError


def _show_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def _install(call: Call) -> None:
    from rollbuild.cluster import count_attempts, install_states, list_hosts

    with call.reading() as c:
        states = install_states(c)
        rows = []
        for host in list_hosts(c, call.select_hosts(c)):
            found = states.get(host.name)
            rows.append(
                (
                    host.name,
                    host.boot_action,
                    found.state if found else "",
                    found.stage if found else "",
                    count_attempts(c, host.name) if found and found.state != "installed" else 0,
                    _show_time(found.given) if found else "",
                    _show_time(found.last_event) if found else "",
                    host.held,
                )
            )
    headers = ("host", "boot", "state", "stage", "attempts", "given", "last-event", "held")
    call.table(headers, rows)


def _events(call: Call) -> None:
    from rollbuild.cluster import list_events

    with call.reading() as c:
        rows = [
            (host, _show_time(event.time), event.stage, event.detail.partition("\n")[0])
            for host in call.select_hosts(c)
            for event in list_events(c, host)
        ]
    call.table(("host", "time", "stage", "detail"), rows, group="event")


def _list_install(call: Call) -> None:
    if call.flag("events"):
        _events(call)
    else:
        _install(call)


def _audit(call: Call) -> None:
    from rollbuild.cluster import list_audit

    if call.number("limit") < 1:
        raise RollbuildError("limit must be 1 or more", exit_code=USAGE)
    with call.reading() as c:
        found = list_audit(c, limit=call.number("limit"), user=call.parameters["user"] or None)
    rows = [(row.generation, _show_time(row.time), row.user, row.command) for row in found]
    call.table(("generation", "time", "user", "command"), rows, keeps_owner=True)


def _discovery(call: Call) -> None:
    from rollbuild.cluster import list_discoveries

    with call.reading() as c:
        found = list_discoveries(c)
    call.table(
        ("mac", "state", "times", "first", "last", "arch", "vendor"),
        [
            (one.mac, one.state, one.times, _show_time(one.first_seen), _show_time(one.last_seen), one.arch, one.vendor)
            for one in found
        ],
        keeps_owner=True,
    )


INSTALL = RocksCommand(
    "list host install",
    _list_install,
    arguments=(HOSTS,),
    parameters=(Parameter("events", "What each host reported, instead.", kind="boolean", default="no"),),
    lists=True,
    description="A host that did not finish three installs is held: it boots its own disk until "
    "`rocks set host boot HOST action=install` lets it try again.",
    examples=(
        ("rocks list host install compute", "how far the compute hosts are"),
        ("rocks list host install compute-0-0 events=yes", "what one host reported"),
    ),
)
AUDIT = RocksCommand(
    "list audit",
    _audit,
    parameters=(
        Parameter("limit", "How many changes, the newest first.", kind="integer", default="100"),
        Parameter("user", "Only those of this user."),
    ),
    lists=True,
    description="Each change makes a new generation of the configuration. Values of secrets are not kept.",
    examples=(("rocks list audit limit=5", "the last five changes"),),
)
DISCOVERY = RocksCommand(
    "list discovery",
    _discovery,
    lists=True,
    description="insert-ethers makes hosts of them.",
    examples=(("rocks list discovery", "all of them, the first that came first"),),
)
