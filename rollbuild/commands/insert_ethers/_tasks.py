"""What insert-ethers does without waiting for machines: each task is one command, for people and scripts."""

import time
from collections.abc import Sequence

from rollbuild.cluster import (
    Discovery,
    deny_discovery,
    find_host,
    list_discoveries,
    list_hosts,
    list_interfaces,
    note_discovery,
    set_boot,
    spell_mac,
)
from rollbuild.commands.insert_ethers._options import Wanted
from rollbuild.commands.insert_ethers._place import find_membership, read_placement
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.frontend import FrontEnd, apply_configuration, discovery, find_holder

_ALL = "all"


def do_task(console: Console, front_end: FrontEnd, wanted: Wanted, command: str) -> int:
    """Do the task that the options name; the exit code. Raises RollbuildError."""
    match wanted.tasks[0]:
        case "--remove":
            return _remove(console, front_end, wanted.remove, command)
        case "--update":
            return _update(console, front_end)
        case "--mac":
            return _insert(console, front_end, wanted, command)
        case "--approve":
            return _approve(console, front_end, wanted, command)
        case "--deny":
            return _deny(console, front_end, wanted.deny)
    return _list_pending(console, front_end, as_json=wanted.json)


def _remove(console: Console, front_end: FrontEnd, hosts: Sequence[str], command: str) -> int:
    with front_end.database.reading() as c:
        names = [find_host(c, name).name for name in hosts]
    for name in names:
        discovery.remove_machine(front_end.database, name, command=command)
        console.data(f"Removed node {name}\n")
    return _follow(console, front_end)


def _update(console: Console, front_end: FrontEnd) -> int:
    applied = apply_configuration(front_end)
    for line in applied.lines():
        console.say(line)
    for finding in applied.findings:
        console.print_finding(finding)
    for refusal in applied.refused:
        message = f"{refusal.service}: {refusal.message}"
        console.print_error(RollbuildError(message, hint=refusal.hint))
    return 0 if applied.is_complete else max((one.exit_code for one in applied.refused), default=1)


def _insert(console: Console, front_end: FrontEnd, wanted: Wanted, command: str) -> int:
    membership = find_membership(front_end, wanted)
    if membership is None:
        raise _no_membership(front_end)
    placement = read_placement(front_end, wanted)
    macs = [spell_mac(mac) for mac in wanted.mac]
    inserted: list[discovery.Inserted] = []
    worst = 0
    for mac in dict.fromkeys(macs):
        try:
            found = discovery.insert_machine(front_end.database, placement, mac, membership.appliance, command=command)
            if isinstance(found, discovery.Exists):
                raise RollbuildError(
                    f"{mac} is {found.host} already",
                    hint=f"rocks remove host {found.host}, or --replace HOST for a host that gets this machine",
                )
        except RollbuildError as problem:
            console.print_error(problem)
            worst = max(worst, problem.exit_code)
            continue
        inserted.append(found)
        if not wanted.json:
            console.data(f"{found.mac} {found.host} {found.address}\n")
    if wanted.json:
        console.json([{"mac": one.mac, "host": one.host, "address": one.address} for one in inserted])
    return max(worst, _follow(console, front_end) if inserted else 0)


def _approve(console: Console, front_end: FrontEnd, wanted: Wanted, command: str) -> int:
    with front_end.database.reading() as c:
        queue = {found.mac: found for found in list_discoveries(c)}
        held = {one.mac: one.host for one in list_interfaces(c, _held_hosts(front_end)) if one.mac}
    if wanted.approve == (_ALL,):
        macs = [*held, *(mac for mac, found in queue.items() if found.state != "denied")]
    else:
        macs = [spell_mac(mac) for mac in wanted.approve]
        for mac in macs:
            if mac not in queue and mac not in held:
                raise _unknown(front_end, mac)
    if not macs:
        console.say("nothing waits for approval")
        return 0
    released: set[str] = set()
    membership = find_membership(front_end, wanted)
    placement = read_placement(front_end, wanted)
    worst = done = 0
    for mac in dict.fromkeys(macs):
        try:
            if mac in held:
                if held[mac] not in released:
                    with front_end.database.writing(command) as c:
                        set_boot(c, held[mac], "install")
                    console.data(f"{mac} {held[mac]} installs when it boots next\n")
                released.add(held[mac])
            else:
                appliance = membership.appliance if membership else queue[mac].appliance
                if not appliance:
                    raise _no_membership(front_end)
                _approve_one(console, front_end, placement, queue[mac], appliance, command)
            done += 1
        except RollbuildError as problem:
            if problem.exit_code == USAGE:
                raise
            console.print_error(problem)
            worst = max(worst, problem.exit_code)
    return max(worst, _follow(console, front_end) if done else 0)


def _approve_one(
    console: Console,
    front_end: FrontEnd,
    placement: discovery.Placement,
    found: Discovery,
    appliance: str,
    command: str,
) -> None:
    inserted = discovery.insert_machine(
        front_end.database, placement, found.mac, appliance, arch=found.arch, approves=True, command=command
    )
    if isinstance(inserted, discovery.Exists):
        console.say(f"{inserted.mac} is {inserted.host} already")
    else:
        console.data(f"{inserted.mac} {inserted.host} {inserted.address}\n")


def _deny(console: Console, front_end: FrontEnd, macs: Sequence[str]) -> int:
    for text in macs:
        mac = spell_mac(text)
        owner = discovery.find_owner(front_end.database, mac)
        if owner:
            raise RollbuildError(f"{mac} is {owner}", hint=f"rocks remove host {owner}, and then deny it")
        with front_end.database.recording() as c:
            if not any(found.mac == mac for found in list_discoveries(c)):
                note_discovery(c, mac, now=time.time())
            deny_discovery(c, mac)
        console.say(f"{mac} is denied; `insert-ethers --approve {mac}` takes it after all")
    return 0


def _list_pending(console: Console, front_end: FrontEnd, *, as_json: bool) -> int:
    held_hosts = _held_hosts(front_end)
    with front_end.database.reading() as c:
        found = list_discoveries(c)
        held = [one for one in list_interfaces(c, held_hosts) if one.mac]
    if as_json:
        rows: list[dict[str, object]] = [
            {
                "mac": one.mac,
                "state": one.state,
                "host": "",
                "first_seen": one.first_seen,
                "last_seen": one.last_seen,
                "times": one.times,
                "vendor": one.vendor,
                "arch": one.arch,
            }
            for one in found
        ]
        rows += [{"mac": one.mac, "state": "held", "host": one.host} for one in held]
        console.json(rows)
        return 0
    table = [[one.mac, one.state, "", _spell(one.last_seen), one.times, one.vendor] for one in found]
    table += [[one.mac, "held", one.host, "", "", ""] for one in held]
    if table:
        console.table(["mac", "state", "host", "last seen", "times", "vendor class"], table)
    else:
        console.say("nothing waits for approval")
    return 0


def _held_hosts(front_end: FrontEnd) -> tuple[str, ...]:
    with front_end.database.reading() as c:
        return tuple(host.name for host in list_hosts(c) if host.held == discovery.HELD)


def _spell(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _follow(console: Console, front_end: FrontEnd) -> int:
    """Have the services' files follow, or say who does it."""
    holder = find_holder()
    if holder is not None:
        console.say(f"the configuration follows: insert-ethers ({holder}) applies it within seconds")
        return 0
    text = discovery.apply_changes(front_end)
    if text:
        console.detail(text)
    return 0


def _no_membership(front_end: FrontEnd) -> RollbuildError:
    with front_end.database.reading() as c:
        names = ", ".join(one.name for one in discovery.read_memberships(c))
    return RollbuildError("nothing says of which membership", hint=f"--membership NAME: {names}", exit_code=USAGE)


def _unknown(front_end: FrontEnd, mac: str) -> RollbuildError:
    owner = discovery.find_owner(front_end.database, mac)
    if owner:
        return RollbuildError(
            f"{mac} is {owner} already, and not held", hint="`rocks list host boot` shows what it does"
        )
    return RollbuildError(
        f"{mac} does not wait for approval", hint="insert-ethers --pending lists what does; --mac inserts any machine"
    )
