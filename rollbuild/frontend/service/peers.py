"""Who is at the other end of a connection from this machine: the web server, or one of its users."""

import os
import pwd
import socket
import struct
from contextlib import suppress
from functools import cache

WEB_SERVERS = ("nginx", "apache", "www-data")
"""Users that the web server before this service may run as."""

_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY of sock_diag(7)
_DIAG = 4  # NETLINK_SOCK_DIAG
_HEADER = struct.Struct("=IHHII")
_UID_AT = _HEADER.size + 4 + 48 + 12  # after state, addresses, and timer and queues, as inet_diag.h has them
_ANY = 0xFFFFFFFF
_SECONDS = 1.0
_TABLES = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

Address = tuple[str, int]


def may_speak_for_others(connection: socket.socket) -> bool:
    """Whether what comes by a connection of this machine may name another address as its own.

    Every user of the front end can connect to this service. The kernel knows who did: root, the user of this service,
    or a web server's may; of connections of other machines nothing is asked. False where the kernel does not tell.
    """
    try:
        peer, own = connection.getpeername(), connection.getsockname()
    except OSError:
        return False
    if not isinstance(peer, tuple) or peer[0] not in LOOPBACK:
        return False
    return find_user(connection.family, peer[:2], own[:2]) in _trusted()


def find_user(family: int, peer: Address, own: Address) -> int | None:
    """The user who made the connection from `peer` to `own`, both of this machine; None where nobody can tell."""
    with suppress(OSError, struct.error):
        return _ask_kernel(family, peer, own)
    with suppress(OSError, ValueError, KeyError):
        return _search_table(family, peer, own)
    return None


@cache
def _trusted() -> frozenset[int]:
    found = {0, os.geteuid()}
    for name in WEB_SERVERS:
        with suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


def _ask_kernel(family: int, peer: Address, own: Address) -> int | None:
    """One question about one connection, however many there are."""
    places = b"".join(socket.inet_pton(family, place[0]).ljust(16, b"\0") for place in (peer, own))
    wanted = struct.pack("!HH", peer[1], own[1]) + places + struct.pack("=III", 0, _ANY, _ANY)
    request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ANY) + wanted
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _DIAG) as link:
        link.settimeout(_SECONDS)
        link.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, 1, 1, 0) + request)
        answer = link.recv(65536)
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    return int(struct.unpack_from("=I", answer, _UID_AT)[0])


def _search_table(family: int, peer: Address, own: Address) -> int | None:
    """The same where the unit may not ask: by reading the list of all connections."""
    wanted = [_spell(family, peer), _spell(family, own)]
    with open(_TABLES[socket.AddressFamily(family)], encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == wanted:
                return int(fields[7])
    return None


def _spell(family: int, place: Address) -> str:
    packed = socket.inet_pton(family, place[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{place[1]:04X}"
