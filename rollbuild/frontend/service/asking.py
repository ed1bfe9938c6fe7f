"""Who asks: the address, whether the way is encrypted, and what the installer says of its machine."""

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

TOKEN_HEADER = "x-rb-token"  # noqa: S105 - the name of a header
_MAC_HEADER = re.compile(r"x-rhn-provisioning-mac-[0-9]{1,3}\Z")
_MAC = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}(?:[0-9A-Fa-f]{2}:)*[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_TOKEN_LIMIT = 512
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Asker:
    """Where a request comes from. `address` is empty where nobody can tell, such as through a socket file.

    `macs`: those that Anaconda says its interfaces have (inst.ks.sendmac), in small letters; anyone can say that.
    """

    address: str
    is_secure: bool = False
    macs: frozenset[str] = frozenset()
    token: str = ""


def read_asker(request: "HTTPConnection") -> Asker:
    """What the request says of who asks. A proxy is believed only where it is on this machine."""
    headers = request.headers
    peer = _spell(request.client.host if request.client else "")
    scheme = request.url.scheme
    if peer in _LOOPBACK:
        # The proxy writes this header anew; were there several entries, only its own would be the last.
        forwarded = headers.getlist("x-forwarded-for")
        if forwarded:
            peer = _spell(forwarded[-1].rpartition(",")[2].strip())
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
    macs = {
        found.lower() for name, value in headers.items() if _MAC_HEADER.match(name) for found in _MAC.findall(value)
    }
    token = headers.get(TOKEN_HEADER, "").strip()
    return Asker(peer, scheme == "https", frozenset(macs), token if len(token) <= _TOKEN_LIMIT else "")


def _spell(text: str) -> str:
    """An address as the database spells it; empty for what is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
