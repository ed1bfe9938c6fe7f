"""Who may look: this machine, and the cluster's network `private`."""

import ipaddress
from typing import TYPE_CHECKING

from rollbuild.cluster import lies_in, list_networks
from rollbuild.frontend.service.answers import Refused
from rollbuild.frontend.templatedata import PRIMARY_NETWORK

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOOPBACK = ("127.0.0.1", "::1")


def refuse_others(c: "Connection", address: str, name: str) -> None:
    """Raises Refused unless `address` may look, and asked for this front end by a `name` (a Host header) of its own.

    A page of somewhere else can have its own name lead here, and a browser that may look would then read this page
    out to it. What no other site can have: an address, a name without a dot, one in a zone of the cluster's networks.
    """
    networks = list_networks(c)
    private = (network for network in networks if network.name == PRIMARY_NETWORK)
    if address not in _LOOPBACK and not ("." in address and any(lies_in(address, network) for network in private)):
        raise Refused(403, f"{address or 'an unknown address'} is not on the network {PRIMARY_NETWORK}")
    if not _is_own(_without_port(name).rstrip(".").lower(), [network.zone.lower() for network in networks]):
        raise Refused(403, f"{name[:100]!a} is no name of this front end")


def _without_port(name: str) -> str:
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") == 1 else name


def _is_own(name: str, zones: list[str]) -> bool:
    if "." not in name and ":" not in name:
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return any(zone and (name == zone or name.endswith(f".{zone}")) for zone in zones)
    return True
