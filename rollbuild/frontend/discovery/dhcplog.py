"""Lines of DHCP servers' logs: dnsmasq, Kea and ISC dhcpd."""

import re

from rollbuild.frontend.discovery.values import Asked

LINE_LIMIT = 8192  # bytes of a line that are looked at
_TRANSACTIONS = 4096  # that are remembered; a line of an older one counts as one without a vendor class

_MAC = r"(?P<mac>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})"
# With log-dhcp, dnsmasq puts the transaction before each line, and `vendor class:` lines before that of the packet.
_DNSMASQ = re.compile(
    r"(?:^|[\s:])(?:(?P<transaction>\d{1,10}) )?"
    rf"(?:DHCPDISCOVER|BOOTP)\((?P<interface>[^\s()]{{1,15}})\) (?:\d+(?:\.\d+){{3}} )?{_MAC}(?:\s|$)"
)
_DNSMASQ_VENDOR = re.compile(r"(?:^|[\s:])(?P<transaction>\d{1,10}) vendor class: (?P<vendor>.{1,255})$")
# Kea tells the vendor class of a machine only when it has no address for it.
_KEA_IGNORED = re.compile(
    rf"ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES \[hwtype=\d+ {_MAC}\].{{0,200}}? client with classes: (?P<classes>.*)$"
)
_KEA_OFFERED = re.compile(rf"DHCP4_LEASE_(?:ADVERT|OFFER) \[hwtype=\d+ {_MAC}\]")
_KEA_VENDOR = re.compile(r"(?:^|, )VENDOR_CLASS_([^,]{1,255})")
_ISC = re.compile(
    rf"(?:^|[\s:])(?:DHCPDISCOVER|BOOTREQUEST) from {_MAC}(?: \([^)]{{0,255}}\))? via (?P<interface>[^\s:]{{1,15}})"
)

# RFC 4578 and the list of processor architectures of IANA: what firmware says of itself in option 93.
_ARCHITECTURES = {0: "x86_64", 7: "x86_64", 9: "x86_64", 16: "x86_64", 11: "aarch64", 19: "aarch64"}
_ARCHITECTURE = re.compile(r"(?:PXE|HTTP)Client:Arch:(\d{1,5})")


def architecture(number: int) -> str:
    """The architecture of option 93 as hosts have it, "" for one that is not known."""
    return _ARCHITECTURES.get(number, "")


def architecture_of_vendor(vendor: str | None) -> str:
    """The architecture that a vendor class such as `PXEClient:Arch:00007:UNDI:003016` tells, else ""."""
    found = _ARCHITECTURE.match(vendor or "")
    return architecture(int(found[1])) if found else ""


def is_usable(mac: str) -> bool:
    """Whether one machine can have this address: not the null address, no group's."""
    return mac != "00:00:00:00:00:00" and not int(mac[:2], 16) & 1


class DhcpLog:
    """Reads a log line by line; it remembers what earlier lines told of a transaction."""

    __slots__ = ("_vendors",)

    def __init__(self) -> None:
        self._vendors: dict[str, str] = {}

    def read(self, line: str) -> Asked | None:
        """The machine that asks for an address by this line, if it is one of that kind. Takes any text."""
        line = line[:LINE_LIMIT].rstrip()
        if "vendor class: " in line:
            found = _DNSMASQ_VENDOR.search(line)
            if found:
                self._vendors[found["transaction"]] = found["vendor"]
                while len(self._vendors) > _TRANSACTIONS:
                    del self._vendors[next(iter(self._vendors))]
            return None
        if "DHCPDISCOVER" in line or "BOOT" in line:
            return self._read_dnsmasq(line) or _read_isc(line)
        if "hwtype=" in line:
            return _read_kea(line)
        return None

    def _read_dnsmasq(self, line: str) -> Asked | None:
        found = _DNSMASQ.search(line)
        if found is None:
            return None
        transaction = found["transaction"]
        # Without log-dhcp no line tells the vendor class; with it, a machine without one has no such line.
        vendor = None if transaction is None else self._vendors.get(transaction, "")
        return _asked(found["mac"], vendor, found["interface"])


def _read_isc(line: str) -> Asked | None:
    found = _ISC.search(line)
    if found is None:
        return None
    # A relay's address may stand in the place of the device.
    return _asked(found["mac"], None, "" if found["interface"][0].isdigit() else found["interface"])


def _read_kea(line: str) -> Asked | None:
    found = _KEA_IGNORED.search(line)
    if found:
        vendor = _KEA_VENDOR.search(found["classes"])
        return _asked(found["mac"], vendor[1] if vendor else "", "")
    found = _KEA_OFFERED.search(line)
    return _asked(found["mac"], None, "") if found else None


def _asked(mac: str, vendor: str | None, interface: str) -> Asked | None:
    mac = mac.lower()
    return Asked(mac, vendor, architecture_of_vendor(vendor), interface) if is_usable(mac) else None
