"""`rocks report`: files of the front end and of all hosts, printed and not written."""

from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Call, RocksCommand
from rollbuild.errors import FindingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.frontend import Configuration

_LOCAL = "/etc/rollbuild/hosts.local"
_LOCAL_LIMIT = 16 * 1024 * 1024
_LOOPBACK = "127.0.0.1\tlocalhost.localdomain\tlocalhost\n"


def _hosts_file(call: Call) -> None:
    from rollbuild.files import read_limited, system_path

    with call.reading() as c:
        text = _LOOPBACK + hosts_text(c)
    local = system_path(_LOCAL)
    call.write(text.encode() + (read_limited(local, _LOCAL_LIMIT) if local.is_file() else b""))


def hosts_text(c: "Connection") -> str:
    """Lines of /etc/hosts: `ADDRESS<TAB>NAME.ZONE[<TAB>NAME<TAB>ALIAS...]`; short names on the network private only."""
    from rollbuild.cluster import list_aliases, list_hosts, list_interfaces, list_networks

    zones = {network.name: network.zone for network in list_networks(c)}
    aliases: dict[str, list[str]] = {}
    for alias in list_aliases(c):
        aliases.setdefault(alias.host, []).append(alias.name)
    known = {host.name for host in list_hosts(c)}
    lines = []
    for one in list_interfaces(c):
        zone = zones.get(one.network, "")
        if not one.address or one.host not in known or (one.network != "private" and not zone):
            continue
        name = one.name or one.host
        names = [f"{name}.{zone}"] if zone else []
        if one.network == "private":
            names.append(name)
            for other in aliases.get(one.host, ()):
                names += [other, f"{other}.{zone}"] if zone else [other]
        lines.append("\t".join((one.address, *names)) + "\n")
    return "".join(lines)


def _dhcp(call: Call) -> None:
    plan = _plan(call)
    files = [(file.path, file.content) for file in plan.files if "dhcp" in file.path and file.content is not None]
    for path, content in files:
        # Both servers take lines that begin with # as comments.
        call.write(f"# {path}\n".encode() + content)
    for finding in plan.findings:
        call.console.print_finding(finding)


def _plan(call: Call) -> "Configuration":
    from rollbuild.frontend import plan_configuration

    plan = plan_configuration(call.front_end)
    if not plan.files:
        raise FindingsError(plan.findings)
    return plan


def _resolv(call: Call) -> None:
    from rollbuild.cluster import list_attributes, list_networks

    with call.reading() as c:
        values = {row.name: row.value for row in list_attributes(c, "global")}
        zones = {network.name: network.zone for network in list_networks(c) if network.zone}
    search = [zones[name] for name in ("private", "public") if name in zones]
    servers = values.get("Kickstart_PrivateDNSServers") or values.get("Kickstart_PrivateAddress", "")
    text = f"search {' '.join(search)}\n" if search else ""
    call.write(text + "".join(f"nameserver {server}\n" for server in servers.replace(",", " ").split()))


def _distro(call: Call) -> None:
    from rollbuild.cluster import list_attributes
    from rollbuild.frontend import choose_distribution

    with call.reading() as c:
        named = next((row.value for row in list_attributes(c, "global") if row.name == "distribution"), "")
    call.write(f"{choose_distribution(call.front_end.store, named).distribution}\n")


def _version(call: Call) -> None:
    from rollbuild import __version__

    call.write(f"{__version__}\n")


HOSTS_FILE = RocksCommand(
    "report host",
    _hosts_file,
    description="In the form of /etc/hosts: hosts on the network private with their short names and aliases, other "
    "addresses with their zone. /etc/rollbuild/hosts.local is put at the end.",
    examples=(("rocks report host", "the whole file"),),
)
DHCP = RocksCommand(
    "report host dhcpd",
    _dhcp,
    description="What `rocks sync config` writes for dnsmasq, or for Kea where the attribute dhcp_server is kea. A "
    "line with # and the path stands before each file.",
    examples=(("rocks report host dhcpd", "the files"),),
)
RESOLV = RocksCommand(
    "report resolv",
    _resolv,
    examples=(("rocks report resolv", "search local example.org, and the name servers"),),
)
DISTRO = RocksCommand(
    "report distro",
    _distro,
    description="That of the global attribute `distribution`, else the only one that there is.",
    examples=(("rocks report distro", "its name"),),
)
VERSION = RocksCommand("report version", _version, examples=(("rocks report version", "such as 1.0.0"),))
