"""The dump: the commands that make this cluster out of a fresh database. It is the backup and the way to upgrade.

Secrets among the attributes are in it as they are, so whoever writes it to a file makes that 0600. Not in it: what
happened (installs, discoveries, the audit), why a host is held, and the states of VMs: by the time it is loaded they
are others, and their containers are asked.
"""

import ipaddress
import shlex
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from rollbuild.cluster.aliases import list_aliases
from rollbuild.cluster.appliances import list_appliances
from rollbuild.cluster.attributes import list_attributes
from rollbuild.cluster.boot import list_boot_actions
from rollbuild.cluster.hosts import list_hosts
from rollbuild.cluster.interfaces import list_interfaces
from rollbuild.cluster.names import spell_host_name
from rollbuild.cluster.networks import list_networks
from rollbuild.cluster.routes import list_routes
from rollbuild.cluster.seeds import APPLIANCES, BOOT_ACTIONS
from rollbuild.cluster.values import Appliance, Host, Interface, Route
from rollbuild.cluster.vms import list_vms
from rollbuild.errors import RollbuildError

_DEFAULT = Host("", "", "", 0, 0)
_OS, _NONE = "os", "none"
_NOUNS = {
    *("alias", "appliance", "arch", "attr", "boot", "bootaction", "cdrom", "channel", "comment", "cpus", "firewall"),
    *("held", "host", "iface", "installaction", "interface", "ip", "key", "mac", "membership", "module", "name"),
    *("network", "options", "os", "partition", "power", "profile", "rack", "rank", "roll", "route", "runaction"),
    *("subnet", "vlan", "vm", "xml"),
}


def dump_commands(c: Connection) -> Iterator[str]:
    """The commands, each `rocks ...` quoted for the shell, in an order that loads.

    One command is one line, unless the value of an attribute has line ends: they stand in its quotes. Loaded into
    a fresh database with these commands, it dumps the same again.
    """
    yield from _dump_appliances(list_appliances(c))
    for network in list_networks(c):
        yield _command(
            "add network",
            *(network.name, network.address, network.netmask),
            mtu=network.mtu,
            dnszone=network.zone,
            servedns=network.serves_dns,
        )
    seeds = {action.label: action for action in BOOT_ACTIONS}
    actions = list_boot_actions(c)
    for action in actions:
        if seeds.pop(action.label, None) != action:
            yield _command(
                "add bootaction", action=action.label, kernel=action.kernel, ramdisk=action.ramdisk, args=action.args
            )
    attributes = list_attributes(c)
    for row in attributes:
        if row.scope != "host":
            yield dump_attribute(row.scope, row.key, row.name, row.value)
    hosts = list_hosts(c)
    for host in hosts:
        yield from _dump_host(host)
    # An alias may not be the name of an interface that is there; the other way round it may.
    for alias in list_aliases(c):
        yield _command("add host alias", alias.host, alias.name)
    for interface in list_interfaces(c):
        yield _dump_interface(interface)
    yield from dump_vms(c)
    for row in attributes:
        if row.scope == "host":
            yield dump_attribute(row.scope, row.key, row.name, row.value)
    for route in list_routes(c):
        yield _dump_route(route)
    for host in hosts:
        if host.boot_action != _OS:
            yield _command("set host boot", host.name, action=host.boot_action)
    # Hosts are added with the seeds, so those that are gone go last.
    for label in seeds:
        yield _command("remove bootaction", *_placed({"action": label}))


def dump_vms(c: Connection, hosts: Iterable[str] | None = None) -> Iterator[str]:
    """The commands that make VMs of hosts that are there (None: all)."""
    for vm in list_vms(c, hosts):
        more = {"saved": vm.saved} if vm.saved else {}
        yield _command(
            "set host vm",
            vm.host,
            physnode=vm.container,
            slice=vm.slice,
            mem=vm.memory,
            disk=" ".join(disk.spec for disk in vm.disks),
            disksize=" ".join(str(disk.size_gb) for disk in vm.disks),
            **{"virt-type": vm.virt_type, **more},
        )


def dump_attribute(scope: str, key: str, name: str, value: str) -> str:
    """`rocks set host attr compute-0-0 NAME VALUE`, or `attr=NAME value=VALUE` where a word alone would be misread."""
    words = ("set attr",) if scope == "global" else (f"set {scope} attr", key)
    return _command(*words, *_placed({"attr": name, "value": value}))


def _dump_appliances(appliances: Iterable[Appliance]) -> Iterator[str]:
    seeds = {appliance.name: appliance for appliance in APPLIANCES}
    there = {appliance.name: appliance for appliance in appliances}
    changed = [name for name, seed in seeds.items() if there.get(name) != seed]
    # All before any is added: one may have taken the membership of another.
    for name in changed:
        yield _command("remove appliance", name)
    for name, appliance in there.items():
        if name in changed or name not in seeds:
            yield _command(
                "add appliance",
                name,
                membership=appliance.membership,
                graph=appliance.graph,
                node=appliance.root,
                public=appliance.is_public,
                os=appliance.os,
            )


def _dump_host(host: Host) -> Iterator[str]:
    more: dict[str, object] = {}
    if host.arch != _DEFAULT.arch:
        more["arch"] = host.arch
    if host.comment:
        more["comment"] = host.comment
    if is_vm_name(host.name):
        more["vm"] = True
    yield _command(
        "add host",
        host.name,
        membership=host.membership,
        rack=host.rack,
        rank=host.rank,
        cpus=host.cpus,
        os=host.os,
        **more,
    )
    if host.run_action != _DEFAULT.run_action:
        yield _command("set host runaction", host.name, *_placed({"action": host.run_action or _NONE}))
    if host.install_action != _DEFAULT.install_action:
        yield _command("set host installaction", host.name, *_placed({"action": host.install_action or _NONE}))


def is_vm_name(name: str) -> bool:
    """Whether only a VM may have this name: compute-0-0-0."""
    try:
        spell_host_name(name)
    except RollbuildError:
        return True
    return False


def _dump_interface(interface: Interface) -> str:
    said = {
        "ip": interface.address,
        "mac": interface.mac,
        "subnet": interface.network,
        "name": interface.name,
        "module": interface.module,
        "vlan": "" if interface.vlan is None else str(interface.vlan),
        "options": interface.options,
        "channel": interface.channel,
    }
    return _command(
        "add host interface",
        *(interface.host, interface.device),
        **{name: value for name, value in said.items() if value},
    )


def _dump_route(route: Route) -> str:
    words = ("add route",) if route.scope == "global" else (f"add {route.scope} route", route.key)
    whole = ipaddress.IPv4Network(route.destination)
    return _command(*words, str(whole.network_address), route.gateway or route.network, netmask=str(whole.netmask))


def _command(words: str, *arguments: str, **parameters: object) -> str:
    spelled = [f"{name}={_spell(value)}" for name, value in parameters.items()]
    # A host called `vm` would make another command of `add host`; in one word it is that command and no other.
    first = (words,) if arguments and arguments[0].lower() in _NOUNS else words.split()
    return shlex.join(("rocks", *first, *arguments, *spelled))


def _spell(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _placed(values: dict[str, str]) -> tuple[str, ...]:
    """Arguments at their places, or all of them by name where one could be read as something else."""
    if all(map(_is_plain, values.values())):
        return tuple(values.values())
    return tuple(f"{name}={value}" for name, value in values.items())


def _is_plain(word: str) -> bool:
    special = word.lower() == "help" or word.lower().startswith("select")
    return bool(word) and not word.startswith("-") and "=" not in word and not special
