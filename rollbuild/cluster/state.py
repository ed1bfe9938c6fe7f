"""The whole configuration as values, and what differs between two of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from sqlalchemy import Connection

from rollbuild.cluster.aliases import list_aliases
from rollbuild.cluster.appliances import list_appliances
from rollbuild.cluster.attributes import find_primary_interfaces, list_attributes, of_scope
from rollbuild.cluster.boot import list_boot_actions
from rollbuild.cluster.hosts import list_hosts
from rollbuild.cluster.interfaces import list_interfaces
from rollbuild.cluster.names import number_order
from rollbuild.cluster.networks import list_networks
from rollbuild.cluster.routes import list_routes
from rollbuild.cluster.schema import SCOPES
from rollbuild.cluster.values import Appliance, BootAction, Host, Interface, Network, Route
from rollbuild.cluster.vms import VirtualMachine, list_vms
from rollbuild.language import HIDDEN, is_secret_name

_LONGEST = 60


@dataclass(slots=True)
class State:
    """Everything that is configured, by key. Of hosts only what is their own: no membership, hold or generation."""

    networks: dict[str, Network] = field(default_factory=dict)
    appliances: dict[str, Appliance] = field(default_factory=dict)
    boot_actions: dict[str, BootAction] = field(default_factory=dict)
    attributes: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (scope, key, name)
    routes: dict[tuple[str, str, str], Route] = field(default_factory=dict)  # (scope, key, destination)
    hosts: dict[str, Host] = field(default_factory=dict)
    interfaces: dict[tuple[str, str], Interface] = field(default_factory=dict)  # (host, device)
    aliases: dict[str, str] = field(default_factory=dict)  # alias -> host
    vms: dict[str, VirtualMachine] = field(default_factory=dict)

    def copy(self) -> "State":
        """A state that can be changed without this one."""
        return State(**{each.name: dict(getattr(self, each.name)) for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Difference:
    """Keys of what is in one mapping and not in the other, or is there with another value; sorted as names are."""

    added: tuple[Any, ...]
    changed: tuple[Any, ...]
    removed: tuple[Any, ...]


def read_state(c: Connection) -> State:
    """What the database holds."""
    return State(
        networks={network.name: network for network in list_networks(c)},
        appliances={appliance.name: appliance for appliance in list_appliances(c)},
        boot_actions={action.label: action for action in list_boot_actions(c)},
        attributes={(row.scope, row.key, row.name): row.value for row in list_attributes(c)},
        routes={(route.scope, route.key, route.destination): route for route in list_routes(c)},
        hosts={host.name: own_of(host) for host in list_hosts(c)},
        interfaces={(interface.host, interface.device): interface for interface in list_interfaces(c)},
        aliases={alias.name: alias.host for alias in list_aliases(c)},
        vms={vm.host: vm for vm in list_vms(c)},
    )


def own_of(host: Host) -> Host:
    """The host without what follows from elsewhere."""
    return replace(host, membership="", held="", changed=0, is_vm=False)


def compare(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Difference:
    """What it takes to make one mapping of the other."""
    return Difference(
        tuple(sorted(after.keys() - before.keys(), key=_order)),
        tuple(sorted((key for key in before.keys() & after.keys() if before[key] != after[key]), key=_order)),
        tuple(sorted(before.keys() - after.keys(), key=_order)),
    )


def describe(before: State, after: State) -> tuple[str, ...]:
    """The differences, a line each: `+ host compute-0-3 (Compute, rack 0, rank 3, ...)`, `~ ...: a -> b`, `- ...`.

    What goes or comes with a host is told on the host's line; secrets are hidden.
    """
    return tuple(_describe(before, after))


def _describe(before: State, after: State) -> Iterator[str]:
    yield from _lines("network", before.networks, after.networks, _show_network)
    yield from _lines("appliance", before.appliances, after.appliances, _show_appliance)
    yield from _lines("boot action", before.boot_actions, after.boot_actions, _show_boot_action)
    hosts = compare(before.hosts, after.hosts)
    here, there = _HostsOf(before), _HostsOf(after)
    yield from _lines("host", before.hosts, after.hosts, here.show, there.show)
    gone, new = set(hosts.removed), set(hosts.added)
    told = {(one.host, one.device) for name, one in there.primary.items() if name in new}
    yield from _lines(
        "interface",
        {key: value for key, value in before.interfaces.items() if key[0] not in gone},
        {key: value for key, value in after.interfaces.items() if key not in told},
        _show_interface,
        spell=lambda key: f"{key[1]} of {key[0]}",
    )
    yield from _lines(
        "alias",
        {name: host for name, host in before.aliases.items() if host not in gone},
        after.aliases,
        lambda host: f"of {host}",
    )
    yield from _lines(
        "VM",
        {name: vm for name, vm in before.vms.items() if name not in gone},
        after.vms,
        lambda vm: f"slice {vm.slice} of {vm.container}, {vm.memory} MiB",
    )
    yield from _lines(
        "route",
        {key: route for key, route in before.routes.items() if not (key[0] == "host" and key[1] in gone)},
        after.routes,
        lambda route: f"by {route.gateway or route.network}",
        spell=lambda key: f"to {key[2]}{of_scope(key[0], key[1])}",
    )
    yield from _attribute_lines(before, after, gone)


def _lines(
    noun: str,
    before: Mapping[Any, Any],
    after: Mapping[Any, Any],
    show: Callable[[Any], str],
    show_after: Callable[[Any], str] | None = None,
    spell: Callable[[Any], str] = str,
) -> Iterator[str]:
    found = compare(before, after)
    for key in found.added:
        yield f"+ {noun} {spell(key)} ({(show_after or show)(after[key])})"
    for key in found.changed:
        yield f"~ {noun} {spell(key)}: {_show_changes(before[key], after[key])}"
    for key in found.removed:
        yield f"- {noun} {spell(key)} ({show(before[key])})"


def _attribute_lines(before: State, after: State, gone: set[str]) -> Iterator[str]:
    old = {key: value for key, value in before.attributes.items() if not (key[0] == "host" and key[1] in gone)}
    found = compare(old, after.attributes)
    for sign, keys in (("+", found.added), ("~", found.changed), ("-", found.removed)):
        for scope, key, name in keys:
            values = [
                HIDDEN if is_secret_name(name) else show_text(side[scope, key, name])
                for side in (old, after.attributes)
                if (scope, key, name) in side
            ]
            yield f"{sign} attribute {name}{of_scope(scope, key)}: {' -> '.join(values)}"


class _HostsOf:
    """Shows the hosts of one state."""

    def __init__(self, state: State) -> None:
        self.appliances = state.appliances
        self.primary = find_primary_interfaces(state.interfaces.values())

    def show(self, host: Host) -> str:
        appliance = self.appliances.get(host.appliance)
        parts = [appliance.membership if appliance else host.appliance, f"rack {host.rack}", f"rank {host.rank}"]
        if interface := self.primary.get(host.name):
            parts += [text for text in (interface.mac, interface.address) if text]
        return ", ".join(parts)


def _show_network(network: Network) -> str:
    zone = f", zone {network.zone}" if network.zone else ""
    return f"{network.network}, MTU {network.mtu}{zone}" + (", serves DNS" if network.serves_dns else "")


def _show_appliance(appliance: Appliance) -> str:
    return f"{appliance.membership}, {f'root {appliance.root}' if appliance.root else 'without a Kickstart'}"


def _show_boot_action(action: BootAction) -> str:
    return show_text(" ".join(filter(None, (action.kernel, action.ramdisk, action.args))))


def _show_interface(interface: Interface) -> str:
    parts = (interface.mac, interface.address, interface.network and f"network {interface.network}")
    vlan = "" if interface.vlan is None else f"VLAN {interface.vlan}"
    return ", ".join(filter(None, (*parts, vlan, interface.name))) or "nothing more"


def _show_changes(before: Any, after: Any) -> str:
    if isinstance(before, str):
        return f"{before} -> {after}"
    parts = []
    for each in fields(before):
        old, new = getattr(before, each.name), getattr(after, each.name)
        if old != new:
            parts.append(f"{each.name.replace('_', ' ')} {_show_value(old)} -> {_show_value(new)}")
    return ", ".join(parts)


def _show_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(f"{disk.spec} ({disk.size_gb} GB)" for disk in value) or "none"
    return "none" if value is None or value == "" else show_text(str(value))


def show_text(text: str) -> str:
    """A text on one line, at most 60 characters of it; in quotes where blanks or line ends would be lost."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 3] + "..."
    return text if text.isprintable() and text.strip() == text and text else json.dumps(text)


def _order(key: Any) -> Any:
    if isinstance(key, tuple) and len(key) == 3:
        return SCOPES.index(key[0]), number_order(key[1]), key[2]
    return tuple(map(number_order, key)) if isinstance(key, tuple) else number_order(key)
