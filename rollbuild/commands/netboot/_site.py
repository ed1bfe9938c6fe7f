"""The site's facts for a netboot tree: from options, else from attributes, else as the rolls declare them."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rollbuild.distribution import Generation, read_provenance
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.language import (
    Attribute,
    AttributeSet,
    collect_defaults,
    find_rolls,
    parse_assignment,
    read_attributes,
)
from rollbuild.location import Location
from rollbuild.media import BootNetwork

_URL = re.compile(r"[\x21\x23-\x26\x28-\x5b\x5d-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Site:
    """Attributes, and the names of those that -A sets, which nothing overrides."""

    attributes: AttributeSet
    fixed: frozenset[str]

    def values(self) -> Mapping[str, Attribute]:
        """What holds for every host."""
        return self.attributes.resolve(os="linux", appliance="", rack="0", host="")


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say; empty where they say nothing."""

    server: str
    network: str
    gateway: str
    nameservers: tuple[str, ...]
    domain: str
    url: str
    tree_url: str
    kickstart_url: str


@dataclass(frozen=True, slots=True)
class Urls:
    """Where hosts find the distribution, and their Kickstarts (with `{host}` in it)."""

    tree: str
    kickstart: str


def read_site(generation: Generation, attrs: tuple[str, ...], assignments: tuple[str, ...]) -> Site:
    """The attributes: what the generation's rolls declare, then files, then -A. Raises RollbuildError."""
    folder = generation.folder / "description"
    attributes = AttributeSet()
    if folder.is_dir():
        rolls = find_rolls([str(folder)])
        attributes = collect_defaults(declaration for roll in rolls for declaration in roll.declarations())
    for path in attrs:
        attributes = attributes.merge(read_attributes(path))
    given = dict(parse_assignment(text) for text in assignments)
    return Site(attributes.merge(AttributeSet.of("command line", given)), frozenset(given))


def make_network(site: Site, given: Given) -> BootNetwork:
    """The network that hosts boot on. Raises RollbuildError, exit code USAGE, for facts that are missing or wrong."""
    values = _Values(site.values())
    server = values.address(given.server, "--server", "Kickstart_PrivateAddress")
    if server is None:
        raise _missing("the front end's address", "--server", "Kickstart_PrivateAddress")
    network = _network(values, given.network)
    gateway = values.address(given.gateway, "--gateway", "Kickstart_PrivateGateway")
    if gateway is not None and gateway not in network:
        raise RollbuildError(f"the gateway {gateway} is not in the network {network}", exit_code=USAGE)
    if gateway is None and server not in network:
        hint = "give --gateway, or another --server or --network"
        raise RollbuildError(f"hosts in {network} cannot reach {server}", hint=hint, exit_code=USAGE)
    servers = given.nameservers or tuple(re.split(r"[,\s]+", values.text("Kickstart_PrivateDNSServers")))
    nameservers = [values.address(text, "--nameserver", "") for text in servers if text]
    return BootNetwork(
        server=server,
        network=network,
        url=_url(given.url, "--url") if given.url else _default_url(values, "netboot"),
        gateway="" if gateway is None else str(gateway),
        nameservers=tuple(str(nameserver) for nameserver in nameservers),
        domain=_domain(given.domain or values.text("Kickstart_PrivateDNSDomain")),
    )


def make_urls(site: Site, given: Given, generation: Generation, network: BootNetwork) -> Urls:
    """Where hosts install from. Raises RollbuildError, exit code USAGE."""
    values = _Values(site.values())
    provenance = read_provenance(generation.folder)
    own = str(provenance.options.get("url") or "")
    if given.tree_url:
        tree = _url(given.tree_url, "--tree-url")
    elif own.startswith(("http://", "https://")):
        tree = own.rstrip("/")
    else:
        tree = _default_url(values, f"dist/{provenance.os_release}")
    kickstart = _url(given.kickstart_url or f"http://{network.server}/ks/{{host}}", "--kickstart-url")
    rest = re.sub(r"\{(host|mac|address)\}", "", kickstart)
    if "{" in rest or "}" in rest:
        hint = "{host}, {mac} and {address} stand for those of each host"
        raise RollbuildError(f"--kickstart-url: {kickstart!r} has other braces", hint=hint, exit_code=USAGE)
    return Urls(tree, kickstart)


class _Values:
    """Attributes as texts and addresses."""

    def __init__(self, values: Mapping[str, Attribute]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return self._values[name].value.strip() if name in self._values else ""

    def place(self, name: str) -> Location | None:
        return self._values[name].location if name in self._values else None

    def address(self, given: str, option: str, name: str) -> ipaddress.IPv4Address | None:
        text, place = (given, None) if given else (self.text(name), self.place(name))
        if not text:
            return None
        try:
            return ipaddress.IPv4Address(text)
        except ValueError:
            what = option if given else f"attribute {name}"
            raise RollbuildError(f"{what}: {text!r} is no IPv4 address", location=place, exit_code=USAGE) from None


def _network(values: _Values, given: str) -> ipaddress.IPv4Network:
    if given:
        text, what, place = given, "--network", None
    else:
        number, bits = values.text("Kickstart_PrivateNetwork"), values.text("Kickstart_PrivateNetmaskCIDR")
        if not number or not bits:
            names = "Kickstart_PrivateNetwork and Kickstart_PrivateNetmaskCIDR"
            raise _missing("the network that hosts boot on", "--network", names)
        text, place = f"{number}/{bits}", values.place("Kickstart_PrivateNetwork")
        what = "attributes Kickstart_PrivateNetwork and Kickstart_PrivateNetmaskCIDR"
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        hint = "for example 10.1.0.0/16"
        raise RollbuildError(
            f"{what}: {text!r} is no IPv4 network", location=place, hint=hint, exit_code=USAGE
        ) from None
    if network.prefixlen > 30:
        message = f"{what}: {text} has no room for hosts"
        raise RollbuildError(message, location=place, hint="for example 10.1.0.0/16", exit_code=USAGE)
    if str(network.network_address) != text.partition("/")[0]:
        message = f"{what}: {text} is an address in a network"
        raise RollbuildError(message, location=place, hint=f"the network is {network}", exit_code=USAGE)
    return network


def _default_url(values: _Values, path: str) -> str:
    host, folder = values.text("Kickstart_PrivateKickstartHost"), values.text("Kickstart_PrivateKickstartBasedir")
    if not host:
        options = "--tree-url" if path.startswith("dist/") else "--url"
        raise _missing("the web server that hosts install from", options, "Kickstart_PrivateKickstartHost")
    return _url("/".join(filter(None, (f"http://{host}", folder.strip("/"), path))), "Kickstart_PrivateKickstartHost")


def _url(text: str, what: str) -> str:
    try:
        parts = urlsplit(text) if _URL.match(text) and "#" not in text else None
        fits = parts is not None and parts.scheme in ("http", "https") and bool(parts.netloc) and parts.port != 0
    except ValueError:  # brackets without their other half, a port that is none
        fits = False
    if not fits:
        hint = "it begins with http:// or https:// and holds no blanks or quotes"
        raise RollbuildError(f"{what}: {text!r} is no URL that loaders take", hint=hint, exit_code=USAGE)
    return text.rstrip("/")


def _domain(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", text):
        raise RollbuildError(f"{text!r} is no domain", hint="for example cluster.internal", exit_code=USAGE)
    return text


def _missing(what: str, option: str, attribute: str) -> RollbuildError:
    return RollbuildError(
        f"nothing says what {what} is",
        hint=f"give {option}, or {attribute} with --attrs or -A",
        exit_code=USAGE,
    )
