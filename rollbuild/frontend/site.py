"""The facts of the cluster's network that every configuration file needs, checked: no other text gets into them."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rollbuild.cluster import Host
from rollbuild.errors import FindingsError
from rollbuild.findings import Finding, error, warning
from rollbuild.frontend.snapshot import Snapshot
from rollbuild.frontend.templatedata import PRIMARY_NETWORK, primary_interface
from rollbuild.media import BootNetwork

DHCP_SERVERS = ("dnsmasq", "kea")
FRONT_END = "frontend"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_FOLDER = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")
_LONGEST_LEASE = 365 * 24 * 3600
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Site:
    """`folder` is the path of /export/install on the web server, without slashes at its ends; `lease` in seconds;
    `web` is the web server that hosts install from."""

    server: ipaddress.IPv4Address
    network: ipaddress.IPv4Network
    gateway: str
    nameservers: tuple[str, ...]
    domain: str
    hostname: str
    web: str
    folder: str
    dhcp_server: str
    lease: int

    @property
    def netboot_url(self) -> str:
        """The netboot tree over HTTP, on this machine."""
        return f"http://{self.server}/{self.folder}/netboot"

    @property
    def boot_network(self) -> BootNetwork:
        return BootNetwork(self.server, self.network, self.netboot_url, self.gateway, self.nameservers, self.domain)


def is_name(text: str) -> bool:
    """Whether DNS takes this as a name: letters, digits and dashes, in labels with dots between them."""
    return len(text) <= _LONGEST_NAME and bool(_NAME.match(text))


def find_front_end(snapshot: Snapshot) -> Host | None:
    """The host that is the front end itself."""
    return next((host for host in snapshot.hosts if host.appliance == FRONT_END and not host.is_vm), None)


def read_site(snapshot: Snapshot) -> tuple[Site, tuple[Finding, ...]]:
    """The site's facts, and warnings: from attributes, else from the network `private` and the front end's host.

    Raises FindingsError with all that is missing (BOOT-NETWORK) or wrong (ATTR-TYPE).
    """
    reader = _Reader(snapshot)
    site = reader.read()
    if site is None or reader.errors:
        raise FindingsError(reader.errors)
    return site, tuple(reader.warnings)


class _Reader:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._host = find_front_end(snapshot)
        self._values: Mapping[str, str] = snapshot.values(self._host)
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []

    def read(self) -> Site | None:
        network = self._network()
        own = primary_interface(self._snapshot.interfaces_of(self._host)) if self._host is not None else None
        server = self._address("Kickstart_PrivateAddress", own.address if own is not None else "")
        if server is None and network is not None and not self.errors:
            hint = "`rocks add frontend` makes its host, or `rocks set attr Kickstart_PrivateAddress ADDRESS`"
            message = "nothing says what the front end's own address is"
            self.errors.append(error("BOOT-NETWORK", message, hint=hint))
        if network is None or server is None:
            return None
        if server not in network:
            self._wrong(f"the front end's address {server} is not in the network {network}", "Kickstart_PrivateAddress")
        gateway = self._address("Kickstart_PrivateGateway", str(server))
        servers = self._text("Kickstart_PrivateDNSServers", str(server))
        nameservers = [
            self._parse("Kickstart_PrivateDNSServers", text) for text in re.split(r"[,\s]+", servers) if text
        ]
        row = self._snapshot.networks.get(PRIMARY_NETWORK)
        zone = row.zone if row is not None else ""
        lease = self._text("dhcp_lease", "3600")
        if not re.fullmatch(r"[0-9]{1,9}", lease) or not 120 <= int(lease) <= _LONGEST_LEASE:
            self._wrong(
                f"{lease!r} is no time that a host may keep its address for: seconds, at least 120", "dhcp_lease"
            )
            lease = "3600"
        kind = self._text("dhcp_server", DHCP_SERVERS[0])
        if kind not in DHCP_SERVERS:
            self._wrong(f"there is no DHCP server {kind!r}: dnsmasq and kea are known", "dhcp_server")
        folder = self._text("Kickstart_PrivateKickstartBasedir", "install").strip("/")
        if not _FOLDER.match(folder) or {".", ".."} & set(folder.split("/")):
            self._wrong(f"{folder!r} is no path on a web server", "Kickstart_PrivateKickstartBasedir")
        return Site(
            server=server,
            network=network,
            gateway=str(gateway or ""),
            nameservers=tuple(str(address) for address in nameservers if address is not None),
            domain=self._name("Kickstart_PrivateDNSDomain", zone or "cluster.internal"),
            hostname=self._name("Kickstart_PrivateHostname", self._host.name if self._host is not None else FRONT_END),
            web=self._name("Kickstart_PrivateKickstartHost", str(server)),
            folder=folder,
            dhcp_server=kind,
            lease=int(lease),
        )

    def _network(self) -> ipaddress.IPv4Network | None:
        number, bits = self._text("Kickstart_PrivateNetwork", ""), self._text("Kickstart_PrivateNetmaskCIDR", "")
        bits = bits or self._text("Kickstart_PrivateNetmask", "")
        said: ipaddress.IPv4Network | None = None
        if number and bits:
            try:
                said = ipaddress.IPv4Network(f"{number}/{bits}")
            except ValueError:
                self._wrong(f"{number}/{bits} is no network", "Kickstart_PrivateNetwork")
                return None
        row = self._snapshot.networks.get(PRIMARY_NETWORK)
        if row is None:
            if said is None:
                hint = "`rocks add frontend` makes it, or `rocks add network private ADDRESS NETMASK`"
                message = f"there is no network `{PRIMARY_NETWORK}`, on which hosts would boot"
                self.errors.append(error("BOOT-NETWORK", message, hint=hint))
            return said
        if said is not None and said != row.network:
            message = f"the network `{PRIMARY_NETWORK}` is {row.network}, but Kickstart_PrivateNetwork says {said}"
            hint = "hosts get addresses of the first; correct the attributes, which their Kickstarts use"
            self.warnings.append(warning("BOOT-NETWORK", message, hint=hint))
        return row.network

    def _text(self, name: str, default: str) -> str:
        return self._values.get(name, "").strip() or default

    def _name(self, name: str, default: str) -> str:
        text = self._text(name, default)
        if not is_name(text):
            self._wrong(f"{text!r} is no name that DNS takes", name)
        return text

    def _address(self, name: str, default: str) -> ipaddress.IPv4Address | None:
        text = self._text(name, default)
        return self._parse(name, text) if text else None

    def _parse(self, name: str, text: str) -> ipaddress.IPv4Address | None:
        try:
            return ipaddress.IPv4Address(text)
        except ValueError:
            self._wrong(f"{text!r} is no IPv4 address", name)
            return None

    def _wrong(self, message: str, attribute: str) -> None:
        hint = f"rocks set attr {attribute} VALUE"
        self.errors.append(error("ATTR-TYPE", f"attribute {attribute}: {message}", hint=hint))
