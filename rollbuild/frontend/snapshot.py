"""What the database says at one moment: all that configuration is made from."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Appliance,
    BootAction,
    Host,
    Interface,
    Network,
    attribute_set,
    configuration_generation,
    list_aliases,
    list_appliances,
    list_attributes,
    list_boot_actions,
    list_hosts,
    list_interfaces,
    list_networks,
)
from rollbuild.language import Attribute as ScopedAttribute
from rollbuild.language import AttributeSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

_OWN_NAME = "Kickstart_PrivateHostname"
_SHARED_SCOPES = ("global", "os", "appliance", "rack")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One generation of the database. `interfaces` and `aliases` are by host; hosts stand in the database's order."""

    generation: int = 0
    hosts: tuple[Host, ...] = ()
    interfaces: Mapping[str, tuple[Interface, ...]] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    appliances: Mapping[str, Appliance] = field(default_factory=dict)
    boot_actions: Mapping[str, BootAction] = field(default_factory=dict)
    attributes: AttributeSet = field(default_factory=AttributeSet)

    def interfaces_of(self, host: Host) -> tuple[Interface, ...]:
        return self.interfaces.get(host.name, ())

    def values(self, host: Host | None = None) -> Mapping[str, str]:
        """The attributes of a host, or those of all: plain values, those of the database only."""
        if host is None:
            return self.attributes.resolve_texts(os="linux", appliance="", rack="", host="")
        return self.attributes.resolve_texts(os=host.os, appliance=host.appliance, rack=str(host.rack), host=host.name)


def read_snapshot(c: "Connection", only: Collection[str] | None = None) -> Snapshot:
    """What the database says; of hosts only some, where these are named, and the front end's own.

    Names that it does not have are left out.
    """
    interfaces: dict[str, list[Interface]] = {}
    aliases: dict[str, list[str]] = {}
    if only is None:
        hosts, attributes = tuple(list_hosts(c)), attribute_set(c)
        found = list_interfaces(c)
        for alias in list_aliases(c):
            aliases.setdefault(alias.host, []).append(alias.name)
    else:
        attributes = _attributes_of(c, only)
        own = attributes.layers.get(("global", ""), {}).get(_OWN_NAME)
        hosts = tuple(list_hosts(c, {*only, own.value} if own is not None else only))
        found = list_interfaces(c, [host.name for host in hosts]) if hosts else ()
    for interface in found:
        interfaces.setdefault(interface.host, []).append(interface)
    return Snapshot(
        generation=configuration_generation(c),
        hosts=hosts,
        interfaces={name: tuple(items) for name, items in interfaces.items()},
        aliases={name: tuple(items) for name, items in aliases.items()},
        networks={network.name: network for network in list_networks(c)},
        appliances={appliance.name: appliance for appliance in list_appliances(c)},
        boot_actions={action.label: action for action in list_boot_actions(c)},
        attributes=attributes,
    )


def _attributes_of(c: "Connection", hosts: Iterable[str]) -> AttributeSet:
    """The attributes that some hosts may have: none of the thousands that others have."""
    layers: dict[tuple[str, str], dict[str, ScopedAttribute]] = {}
    rows = [row for scope in _SHARED_SCOPES for row in list_attributes(c, scope)]
    rows += [row for host in hosts for row in list_attributes(c, "host", host)]
    for row in rows:
        layers.setdefault((row.scope, row.key), {})[row.name] = ScopedAttribute(row.value, None, row.scope)
    return AttributeSet(layers)
