"""Export and import: the cluster as plain data, and back, with all differences told before anything is applied."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, update

from rollbuild.cluster import schema
from rollbuild.cluster.aliases import add_alias, remove_alias
from rollbuild.cluster.appliances import add_appliance, remove_appliance
from rollbuild.cluster.attributes import remove_attribute, set_attributes
from rollbuild.cluster.boot import put_boot_action, remove_boot_action, set_boot
from rollbuild.cluster.database import configuration_generation, mark_changed
from rollbuild.cluster.exchange_files import ImportData, as_tree, write_table
from rollbuild.cluster.hosts import add_host, remove_host, set_host
from rollbuild.cluster.import_checks import check_state
from rollbuild.cluster.importing import Import
from rollbuild.cluster.interfaces import add_interface, remove_interface
from rollbuild.cluster.networks import add_network, remove_network, set_network
from rollbuild.cluster.routes import add_route, remove_route
from rollbuild.cluster.state import State, compare, describe, read_state
from rollbuild.cluster.values import Appliance, Host, Interface
from rollbuild.cluster.vms import VirtualMachine, add_vm, remove_vm
from rollbuild.errors import BUSY, FindingsError, RollbuildError

_HOST = ("appliance", "rack", "rank", "cpus", "arch", "os", "run_action", "install_action", "comment")


@dataclass(frozen=True, slots=True)
class Changes:
    """What an import will do: `lines` tell it (`+`, `~`, `-`; secrets hidden).

    `generation` is the one it was planned at; `kept` are the front ends, which stay though the file has them not.
    """

    lines: tuple[str, ...]
    generation: int
    kept: tuple[str, ...]
    before: State
    after: State

    def __bool__(self) -> bool:
        return bool(self.lines)


def export_cluster(c: Connection) -> dict[str, Any]:
    """All that is configured, as lists, mappings, texts and numbers: the form of a file to import.

    Secrets among the attributes are in it as they are. Not in it: installs, discoveries, the audit, holds of hosts,
    states of VMs.
    """
    state = read_state(c)
    attributes: dict[str, dict[str, Any]] = {"global": {}, "os": {}, "appliance": {}, "rack": {}}
    own: dict[str, dict[str, str]] = {}
    for (scope, key, name), value in state.attributes.items():
        if scope == "host":
            own.setdefault(key, {})[name] = value
        elif scope == "global":
            attributes[scope][name] = value
        else:
            attributes[scope].setdefault(key, {})[name] = value
    aliases: dict[str, list[str]] = {}
    for alias, host in state.aliases.items():
        aliases.setdefault(host, []).append(alias)
    interfaces: dict[str, list[dict[str, Any]]] = {}
    for (host, _), interface in state.interfaces.items():
        interfaces.setdefault(host, []).append(_export_interface(interface))
    return {
        "networks": [asdict(network) for network in state.networks.values()],
        "appliances": [_export_appliance(appliance) for appliance in state.appliances.values()],
        "boot_actions": [asdict(action) for action in state.boot_actions.values()],
        "attributes": attributes,
        "routes": [asdict(route) for route in state.routes.values()],
        "hosts": [
            {
                **_export_host(host),
                "aliases": aliases.get(name, []),
                "interfaces": interfaces.get(name, []),
                "attributes": own.get(name, {}),
                **({"vm": _export_vm(state.vms[name])} if name in state.vms else {}),
            }
            for name, host in state.hosts.items()
        ],
    }


def export_table(c: Connection) -> str:
    """The hosts as CSV, one a row."""
    return write_table(read_state(c))


def _export_appliance(appliance: Appliance) -> dict[str, Any]:
    values = asdict(appliance)
    values["public"] = values.pop("is_public")
    return values


def _export_host(host: Host) -> dict[str, Any]:
    return {"name": host.name, **{name: getattr(host, name) for name in (*_HOST[:6], "boot_action", *_HOST[6:])}}


def _export_interface(interface: Interface) -> dict[str, Any]:
    # Also what is empty: left out, it would stay as it is where this is imported.
    return {each.name: getattr(interface, each.name) for each in fields(interface) if each.name != "host"}


def _export_vm(vm: VirtualMachine) -> dict[str, Any]:
    values = {"container": vm.container, "slice": vm.slice, "memory": vm.memory, "virt_type": vm.virt_type}
    saved = {"saved": vm.saved} if vm.saved else {}
    return {**values, "disks": [asdict(disk) for disk in vm.disks], **saved}


def plan_import(c: Connection, data: ImportData | Mapping[str, Any], *, removes: bool = False) -> Changes:
    """What importing `data` would change; nothing is changed yet.

    What the data does not name stays as it is, unless `removes`: then each list, and each mapping of attributes, that
    is there is all there is to be. Front ends are never removed. Raises FindingsError with every fault, each at its
    place.
    """
    before = read_state(c)
    source = data if isinstance(data, ImportData) else ImportData(as_tree(dict(data)))
    planned = Import(before, source, removes=removes)
    if not planned.faults.found:
        check_state(before, planned.after, planned.faults)
    if planned.faults.found:
        raise FindingsError(planned.faults.found)
    lines = describe(before, planned.after)
    return Changes(lines, configuration_generation(c), tuple(planned.kept), before, planned.after)


def apply_import(c: Connection, changes: Changes) -> None:
    """Do what was planned, inside the caller's transaction.

    Raises RollbuildError, BUSY, where the configuration changed since it was planned; the caller's transaction then
    undoes everything.
    """
    if configuration_generation(c) != changes.generation:
        hint = "look at the differences again, and import again"
        raise RollbuildError("the configuration changed since this import was planned", hint=hint, exit_code=BUSY)
    before, after = changes.before, changes.after
    _take_apart(c, before, after)
    _put_groups(c, before, after)
    _put_hosts(c, before, after)
    _put_parts(c, before, after)
    if read_state(c) != after:
        raise RollbuildError("the database did not take this import as planned", hint="nothing was changed")


def _take_apart(c: Connection, before: State, after: State) -> None:
    """Remove what goes, and what changes where its new value may be another's old one."""
    for alias in _gone(before.aliases, after.aliases, changed=True):
        remove_alias(c, before.aliases[alias], alias)
    for host, device in _gone(before.interfaces, after.interfaces, changed=True):
        remove_interface(c, host, device)
    for host in _gone(before.vms, after.vms, changed=True):
        remove_vm(c, host)
    for key in _gone(before.routes, after.routes, changed=True):
        remove_route(c, *key)
    for scope, key, name in _gone(before.attributes, after.attributes):
        remove_attribute(c, scope, key, name)
    for host in _gone(before.hosts, after.hosts):
        remove_host(c, host)


def _put_groups(c: Connection, before: State, after: State) -> None:
    for label, action in after.boot_actions.items():
        if before.boot_actions.get(label) != action:
            put_boot_action(c, action)
    appliances = compare(before.appliances, after.appliances)
    _set_appliances(c, appliances.changed, after)
    for name in appliances.added:
        add_appliance(c, after.appliances[name])
    networks = compare(before.networks, after.networks)
    for name in networks.removed:
        remove_network(c, name)
    for name in networks.changed:
        values = asdict(after.networks[name])
        set_network(c, values.pop("name"), **values)
    for name in networks.added:
        add_network(c, after.networks[name])


def _set_appliances(c: Connection, names: Iterable[str], after: State) -> None:
    table = schema.appliances
    # Two may exchange their memberships, which no two may have even for a moment.
    for name in names:
        c.execute(update(table).where(table.c.name == name).values(membership=f"{name} (changing)"))
    for name in names:
        c.execute(update(table).where(table.c.name == name).values(asdict(after.appliances[name])))
        mark_changed(c, *(host.name for host in after.hosts.values() if host.appliance == name))


def _put_hosts(c: Connection, before: State, after: State) -> None:
    hosts = compare(before.hosts, after.hosts)
    for name in hosts.added:
        new = after.hosts[name]
        made = add_host(
            c, name, appliance=new.appliance, rack=new.rack, rank=new.rank, os=new.os, is_vm=name in after.vms
        )
        _set_host(c, made, new)
    for name in hosts.changed:
        _set_host(c, before.hosts[name], after.hosts[name])
    for name in compare(before.appliances, after.appliances).removed:
        remove_appliance(c, name)
    for label in compare(before.boot_actions, after.boot_actions).removed:
        remove_boot_action(c, label)


def _set_host(c: Connection, old: Host, new: Host) -> None:
    values = {name: getattr(new, name) for name in _HOST if getattr(new, name) != getattr(old, name)}
    if values:
        set_host(c, new.name, **values)
    if new.boot_action != old.boot_action:
        set_boot(c, new.name, new.boot_action)


def _put_parts(c: Connection, before: State, after: State) -> None:
    for alias in _new(before.aliases, after.aliases):
        add_alias(c, after.aliases[alias], alias)
    for key in _new(before.interfaces, after.interfaces):
        add_interface(c, after.interfaces[key])
    for name in _new(before.vms, after.vms):
        add_vm(c, after.vms[name])
    for key in _new(before.routes, after.routes):
        add_route(c, after.routes[key])
    scoped: dict[tuple[str, str], dict[str, str]] = {}
    for scope, key, name in _new(before.attributes, after.attributes):
        scoped.setdefault((scope, key), {})[name] = after.attributes[scope, key, name]
    for (scope, key), values in scoped.items():
        set_attributes(c, scope, key, values)


def _gone(before: Mapping[Any, Any], after: Mapping[Any, Any], *, changed: bool = False) -> tuple[Any, ...]:
    found = compare(before, after)
    return found.removed + (found.changed if changed else ())


def _new(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> tuple[Any, ...]:
    found = compare(before, after)
    return found.added + found.changed
