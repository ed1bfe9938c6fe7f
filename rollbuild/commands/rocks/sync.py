"""`rocks sync config`, `sync dns`, `sync host network`."""

import io
import os
import tarfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._changing import tell_applied
from rollbuild.commands.rocks._command import SOME_HOSTS, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._ssh import Way, find_ssh, run_on_hosts
from rollbuild.commands.rocks.run_host import find_addresses, tell_results
from rollbuild.errors import RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.commands.rocks._keyfiles import Keyfile

# Runs on the host; nothing of the cluster's data is in it. The files come as a tar on standard input, and take the
# places of those for the same interface only when all of them are there.
_RECEIVE = r"""
set -eu
umask 077
to=/etc/NetworkManager/system-connections
new=$(mktemp -d "$to/.rollbuild-XXXXXX")
trap 'rm -rf "$new"' EXIT
tar -xf - -C "$new" --no-same-owner
for file in "$new"/*.nmconnection; do
    name=${file##*/}
    mac=$(sed -n 's/^mac-address=//p' "$file")
    for old in "$to"/*.nmconnection; do
        [ -e "$old" ] && [ "${old##*/}" != "$name" ] && [ ! -e "$new/${old##*/}" ] || continue
        if { [ -n "$mac" ] && grep -qixF "mac-address=$mac" "$old"; } ||
            grep -qxF "interface-name=${name%.nmconnection}" "$old"; then
            rm -f "$old"
        fi
    done
done
chmod 0600 "$new"/*.nmconnection
names=$(cd "$new" && echo *.nmconnection)
mv -f "$new"/*.nmconnection "$to"/
if command -v restorecon >/dev/null 2>&1; then restorecon -R "$to"; fi
nmcli connection reload
"""
_ACTIVATE = r"""
for name in $names; do
    nmcli --wait 20 connection up filename "$to/$name" >/dev/null
done
"""


def _sync_config(call: Call) -> int:
    from rollbuild.frontend import apply_configuration, diff_configuration

    if call.flag("diff"):
        call.write(diff_configuration(call.front_end))
        return 0
    applied = apply_configuration(call.front_end)
    for line in applied.lines():
        call.console.say(line)
    if applied.is_complete and not applied.has_changed:
        call.console.say("all files are as the database says")
    return tell_applied(call.console, applied, tells_all=True)


def _sync_network(call: Call) -> int:
    from rollbuild.cluster import find_host

    program = find_ssh(call.parameters["ssh"])
    inputs: dict[str, bytes] = {}
    with call.reading() as connection:
        hosts = call.select_hosts(connection)
        for host in hosts:
            if find_host(connection, host).appliance == "frontend":
                raise RollbuildError(
                    f"{host} is the front end: its own network is not changed from here",
                    hint="nmcli changes it, and `rocks set host interface` tells the database",
                )
            files = _make_keyfiles(connection, host)
            if not files:
                raise RollbuildError(f"{host} has no interface", hint=f"rocks add host interface {host} eth0 ip=...")
            if call.flag("diff"):
                call.write("".join(f"# {host}: {file.path}\n{file.text}\n" for file in files))
            inputs[host] = _pack(files)
        addresses = find_addresses(connection, hosts)
    if call.flag("diff"):
        return 0
    answers = run_on_hosts(
        hosts,
        _RECEIVE + (_ACTIVATE if call.flag("activate") else ""),
        Way(program, addresses),
        inputs=inputs,
        timeout=call.number("timeout"),
    )
    for answer in answers:
        for line in answer.errors if answer.exit_code else ():
            call.console.say(f"{answer.host}: {line.decode('utf-8', 'replace')}")
    code = tell_results(call, answers)
    if not code and not call.flag("activate"):
        call.console.say("they take it when they boot next; activate=yes does it now")
    return code


def _make_keyfiles(connection: "Connection", host: str) -> "tuple[Keyfile, ...]":
    from rollbuild.cluster import find_host, list_interfaces, list_networks, list_routes, resolve_attributes
    from rollbuild.commands.rocks._keyfiles import make_keyfiles
    from rollbuild.commands.rocks._routes import resolve_routes

    values = {name: value for name, (value, _) in resolve_attributes(connection, host).items()}
    networks = {network.name: network for network in list_networks(connection)}
    routes = resolve_routes(list_routes(connection), find_host(connection, host))
    return make_keyfiles(list_interfaces(connection, [host]), networks, routes, values)


def _pack(files: "Iterable[Keyfile]") -> bytes:
    """The files as a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            content = file.text.encode()
            member = tarfile.TarInfo(os.path.basename(file.path))
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


_DIFF = Parameter("diff", "Show what would change, and change nothing.", kind="boolean", default="no")

CONFIG = RocksCommand(
    "sync config",
    _sync_config,
    parameters=(_DIFF,),
    description="Write all files of the front end again that are not as the database says: DHCP, DNS, boot files. Each "
    "is checked by the program that reads it before it takes the place of the old one.",
    examples=(("rocks sync config", ""), ("rocks sync config --diff", "What would change.")),
)
DNS = RocksCommand(
    "sync dns",
    _sync_config,
    parameters=(_DIFF,),
    description="The same as `sync config`: names and addresses are one configuration.",
    examples=(("rocks sync dns", ""),),
)
NETWORK = RocksCommand(
    "sync host network",
    _sync_network,
    arguments=(SOME_HOSTS,),
    parameters=(
        Parameter(
            "activate", "Have them take it at once; a wrong address cuts them off.", kind="boolean", default="no"
        ),
        Parameter("diff", "Show the files, and send none.", kind="boolean", default="no"),
        Parameter("timeout", "Seconds after which a host is given up.", kind="integer", default="60"),
        Parameter("ssh", "The ssh program, with options.  [ROLLBUILD_SSH, else ssh]"),
    ),
    description="Bring the interfaces and routes that the database has to hosts that run, as NetworkManager keyfiles.",
    examples=(("rocks sync host network compute-0-3", "After `rocks set host interface ...`."),),
)
