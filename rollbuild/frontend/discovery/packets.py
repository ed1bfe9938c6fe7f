"""DHCP requests as they come from the wire: IPv4 packets, read with every length checked."""

import struct
from collections.abc import Iterator

from rollbuild.frontend.discovery.dhcplog import architecture, architecture_of_vendor, is_usable
from rollbuild.frontend.discovery.values import Asked

_UDP, _SERVER_PORT = 17, 67
_BOOTREQUEST, _ETHERNET = 1, 1
_COOKIE = b"\x63\x82\x53\x63"
_OPTIONS_AT = 240
_PAD, _END, _MESSAGE_TYPE, _VENDOR_CLASS, _CLIENT_ID, _ARCHITECTURE = 0, 255, 53, 60, 61, 93
_DISCOVER = 1


def read_packet(packet: bytes, interface: str = "") -> Asked | None:
    """The machine whose DHCPDISCOVER (or request of plain BOOTP) an IPv4 packet is; None for any other bytes."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != _UDP:
        return None
    header = (packet[0] & 0x0F) * 4
    (fragment,) = struct.unpack_from("!H", packet, 6)
    if header < 20 or fragment & 0x1FFF or len(packet) < header + 8:
        return None
    _, port, length = struct.unpack_from("!HHH", packet, header)
    if port != _SERVER_PORT or length < 8:
        return None
    return read_bootp(packet[header + 8 : header + length], interface)


def read_bootp(message: bytes, interface: str = "") -> Asked | None:
    """The same of what a UDP packet holds."""
    if len(message) < _OPTIONS_AT or message[:3] != bytes((_BOOTREQUEST, _ETHERNET, 6)):
        return None
    if message[236:_OPTIONS_AT] != _COOKIE:
        return None
    options: dict[int, bytes] = {}
    for code, content in _read_options(message[_OPTIONS_AT:]):
        options[code] = options.get(code, b"") + content  # RFC 3396: parts of one option belong together
    if options.get(_MESSAGE_TYPE, bytes((_DISCOVER,))) != bytes((_DISCOVER,)):
        return None
    mac = _spell(message[28:34])
    if not is_usable(mac):
        # Some firmware leaves the field empty and tells its address in the client identifier.
        identifier = options.get(_CLIENT_ID, b"")
        mac = _spell(identifier[1:]) if len(identifier) == 7 and identifier[0] == _ETHERNET else ""
        if not mac or not is_usable(mac):
            return None
    vendor = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in options.get(_VENDOR_CLASS, b"").rstrip(b"\0"))
    number = options.get(_ARCHITECTURE, b"")
    arch = architecture(int.from_bytes(number[:2], "big")) if len(number) >= 2 else architecture_of_vendor(vendor)
    return Asked(mac, vendor, arch, interface)


def _read_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        code = data[position]
        position += 1
        if code == _PAD:
            continue
        if code == _END or position >= len(data):
            return
        length = data[position]
        content = data[position + 1 : position + 1 + length]
        if len(content) < length:
            return
        yield code, content
        position += 1 + length


def _spell(address: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in address)
