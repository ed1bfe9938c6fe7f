"""What templates of nodes may know of the cluster: `hosts` and `networks`, as docs/examples/data.yaml has them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollbuild.cluster import Host, Interface, Network
from rollbuild.language import AttributeSet

PRIMARY_NETWORK = "private"
HARDWARE = ("sockets", "cores", "threads", "memory", "gpus")
"""Attributes that say what a machine has; `memory` in MiB."""

_SCOPES = ("host", "rack", "appliance", "os", "global")


def describe_cluster(
    hosts: Iterable[Host], interfaces: Iterable[Interface], networks: Iterable[Network], attributes: AttributeSet
) -> dict[str, Any]:
    """The data of all hosts and networks; `attributes` may say what their machines have."""
    return {
        "networks": [_describe_network(network) for network in networks],
        "hosts": describe_hosts(hosts, interfaces, attributes),
    }


def describe_hosts(
    hosts: Iterable[Host], interfaces: Iterable[Interface], attributes: AttributeSet
) -> list[dict[str, Any]]:
    """An entry for each host."""
    own: dict[str, list[Interface]] = {}
    for interface in interfaces:
        own.setdefault(interface.host, []).append(interface)
    known = [
        (name, [layer for layer, values in attributes.layers.items() if name in values]) for name in ("cpus", *HARDWARE)
    ]
    return [
        _describe_host(host, own.get(host.name, ()), attributes, [(name, layers) for name, layers in known if layers])
        for host in hosts
    ]


def primary_interface(interfaces: Sequence[Interface]) -> Interface | None:
    """The interface that a host is installed through: on the network `private`, else the first with an address.

    Where several are, one with a MAC address comes before the others.
    """
    usable = (interface for interface in interfaces if interface.address)
    return min(usable, key=lambda item: (item.network != PRIMARY_NETWORK, not item.mac), default=None)


def _describe_host(
    host: Host,
    interfaces: Sequence[Interface],
    attributes: AttributeSet,
    known: Sequence[tuple[str, Sequence[tuple[str, str]]]],
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": host.name,
        "appliance": host.appliance,
        "membership": host.membership,
        "rack": host.rack,
        "rank": host.rank,
        "os": host.os,
        "arch": host.arch,
    }
    if (primary := primary_interface(interfaces)) is not None:
        entry["address"] = primary.address
        if primary.mac:
            entry["mac"] = primary.mac
    if interfaces:
        entry["interfaces"] = [_describe_interface(interface, interfaces) for interface in interfaces]
    # One is what the database has of machines that nobody counted.
    if host.cpus > 1:
        entry["cpus"] = host.cpus
    keys = {"host": host.name, "rack": str(host.rack), "appliance": host.appliance, "os": host.os, "global": ""}
    for name, layers in known:
        for scope in _SCOPES:
            if (scope, keys[scope]) in layers:
                entry[name] = _number(attributes.layers[scope, keys[scope]][name].value)
                break
    return entry


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() else value


def _describe_interface(interface: Interface, others: Sequence[Interface]) -> dict[str, Any]:
    ports = [other.device for other in others if other.channel and other.channel == interface.device]
    parent, dot, _ = interface.device.partition(".")
    entry: dict[str, Any] = {"name": interface.device}
    for key in ("mac", "address", "network"):
        if value := getattr(interface, key):
            entry[key] = value
    if ports:
        entry |= {"type": "bond", "ports": ports}
        if interface.options:
            entry["options"] = interface.options
    elif interface.vlan is not None and dot:
        entry |= {"type": "vlan", "parent": parent, "vlan": interface.vlan}
    elif len(interface.mac) > len("52:54:00:00:00:01"):
        entry["type"] = "infiniband"
    return entry


def _describe_network(network: Network) -> Mapping[str, Any]:
    entry: dict[str, Any] = {
        "name": network.name,
        "address": network.address,
        "netmask": network.netmask,
        "mtu": network.mtu,
    }
    if network.zone:
        entry["domain"] = network.zone
    return entry
