"""Which of all routes a host has."""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollbuild.cluster import Host, Route

SOURCES = {"global": "G", "os": "O", "appliance": "A", "rack": "R", "host": "H"}
_NARROWER = tuple(SOURCES)


def resolve_routes(routes: "Iterable[Route]", host: "Host") -> "tuple[Route, ...]":
    """The routes of a host, one a destination, in the order of destinations; a narrower scope wins."""
    keys = {"global": "", "os": host.os, "appliance": host.appliance, "rack": str(host.rack), "host": host.name}
    found: dict[str, Route] = {}
    for route in sorted(routes, key=lambda one: _NARROWER.index(one.scope)):
        if keys[route.scope] == route.key:
            found[route.destination] = route
    return tuple(sorted(found.values(), key=lambda one: ipaddress.IPv4Network(one.destination)))


def split_destination(route: "Route") -> tuple[str, str]:
    """Address and netmask."""
    network = ipaddress.IPv4Network(route.destination)
    return str(network.network_address), str(network.netmask)
