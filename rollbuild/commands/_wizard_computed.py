"""Values that follow from others: the network from an address and its mask, a short name from a full one."""

import ipaddress
from collections.abc import Callable, Mapping

Values = Callable[[str], str]
"""The value of an attribute by its name; empty where there is none."""


def network_of(address: str, netmask: str) -> ipaddress.IPv4Network | None:
    """The network that an address lies in; None when the two make none."""
    try:
        return ipaddress.IPv4Network(f"{address}/{netmask}", strict=False)
    except ValueError:
        return None


def _private(values: Values) -> ipaddress.IPv4Network | None:
    return network_of(values("Kickstart_PrivateAddress"), values("Kickstart_PrivateNetmask"))


def _public(values: Values) -> ipaddress.IPv4Network | None:
    return network_of(values("Kickstart_PublicAddress"), values("Kickstart_PublicNetmask"))


def _private_netmask(values: Values) -> str | None:
    # As networks of that kind usually are: 10.1.0.0/16, 172.16.0.0/16, 192.168.1.0/24.
    address = values("Kickstart_PrivateAddress")
    return "255.255.255.0" if address.startswith("192.168.") else None


def _public_netmask(values: Values) -> str | None:
    return "255.255.255.0" if values("Kickstart_PublicAddress") else None


def _public_gateway(values: Values) -> str | None:
    network = _public(values)
    if network is None or network.num_addresses < 4:
        return None
    first = str(network[1])
    return first if first != values("Kickstart_PublicAddress") else str(network[-2])


def _part(
    name: str, network: Callable[[Values], ipaddress.IPv4Network | None], part: str
) -> Callable[[Values], str | None]:
    def compute(values: Values) -> str | None:
        found = network(values) if values(name) else None
        return None if found is None else str(getattr(found, part))

    return compute


def _same_as(name: str) -> Callable[[Values], str | None]:
    return lambda values: values(name) or None


def _short_name(values: Values) -> str | None:
    return values("Kickstart_PublicHostname").partition(".")[0].lower() or None


def _public_domain(values: Values) -> str | None:
    return values("Kickstart_PublicHostname").partition(".")[2].lower() or None


_PRIVATE = "Kickstart_PrivateAddress"
_PUBLIC = "Kickstart_PublicAddress"

COMPUTED: Mapping[str, Callable[[Values], str | None]] = {
    "Kickstart_PrivateHostname": _short_name,
    "Kickstart_PublicDNSDomain": _public_domain,
    "Kickstart_PrivateNetmask": _private_netmask,
    "Kickstart_PrivateNetmaskCIDR": _part(_PRIVATE, _private, "prefixlen"),
    "Kickstart_PrivateNetwork": _part(_PRIVATE, _private, "network_address"),
    "Kickstart_PrivateBroadcast": _part(_PRIVATE, _private, "broadcast_address"),
    "Kickstart_PrivateGateway": _same_as(_PRIVATE),
    "Kickstart_PrivateDNSServers": _same_as(_PRIVATE),
    "Kickstart_PrivateNTPHost": _same_as(_PRIVATE),
    "Kickstart_PrivateSyslogHost": _same_as(_PRIVATE),
    "Kickstart_PrivateKickstartHost": _same_as(_PRIVATE),
    "Kickstart_PublicNetmask": _public_netmask,
    "Kickstart_PublicNetmaskCIDR": _part(_PUBLIC, _public, "prefixlen"),
    "Kickstart_PublicNetwork": _part(_PUBLIC, _public, "network_address"),
    "Kickstart_PublicBroadcast": _part(_PUBLIC, _public, "broadcast_address"),
    "Kickstart_PublicGateway": _public_gateway,
}
"""Attribute -> its value where nobody gives another; None: what the roll declares."""
