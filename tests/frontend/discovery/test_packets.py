"""DHCP packets from the wire: a real one, each way of spoiling it, and any other bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.frontend.discovery.packets import read_bootp, read_packet
from rollbuild.frontend.discovery.values import Asked

MAC = bytes.fromhex("525400aa1000")
PXE = b"PXEClient:Arch:00007:UNDI:003016"
FOUND = Asked("52:54:00:aa:10:00", PXE.decode(), "x86_64", "eth0")


def option(code: int, content: bytes) -> bytes:
    return bytes((code, len(content))) + content


DISCOVER = option(53, b"\1")


def bootp(options: bytes = DISCOVER + option(60, PXE) + option(93, b"\0\7") + b"\xff", mac: bytes = MAC) -> bytes:
    head = bytes((1, 1, 6, 0)) + b"\x12\x34\x56\x78" + bytes(20) + mac.ljust(16, b"\0") + bytes(192)
    assert len(head) == 236
    return head + b"\x63\x82\x53\x63" + options


def packet(message: bytes, *, port: int = 67, protocol: int = 17, fragment: int = 0, more: bytes = b"") -> bytes:
    udp = struct.pack("!HHHH", 68, port, 8 + len(message), 0) + message
    header = 20 + len(more)
    ip = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, header + len(udp), 1, fragment, 64, protocol, 0)
    return ip + bytes(4) + b"\xff" * 4 + more + udp


GOOD = {
    "a PXE client": (packet(bootp()), FOUND),
    "with options of IP": (packet(bootp(), more=bytes(8)), FOUND),
    "padded by Ethernet": (packet(bootp()) + bytes(18), FOUND),
    "an ARM machine that boots by HTTP": (
        packet(bootp(DISCOVER + option(60, b"HTTPClient") + option(93, b"\0\x13"))),
        Asked("52:54:00:aa:10:00", "HTTPClient", "aarch64", "eth0"),
    ),
    "architecture only in the vendor class": (packet(bootp(DISCOVER + option(60, PXE))), FOUND),
    "a vendor class in two parts": (packet(bootp(DISCOVER + option(60, PXE[:9]) + option(60, PXE[9:]))), FOUND),
    "a phone": (packet(bootp(DISCOVER)), Asked("52:54:00:aa:10:00", "", "", "eth0")),
    "plain BOOTP": (packet(bootp(b"\xff")), Asked("52:54:00:aa:10:00", "", "", "eth0")),
    "its address in the client identifier": (
        packet(bootp(DISCOVER + option(61, b"\1" + MAC), mac=bytes(6))),
        Asked("52:54:00:aa:10:00", "", "", "eth0"),
    ),
    "a vendor class that would steer a terminal": (
        packet(bootp(DISCOVER + option(60, b"PXEClient\x1b[2J\n"))),
        Asked("52:54:00:aa:10:00", "PXEClient?[2J?", "", "eth0"),
    ),
    "an option that is cut off": (packet(bootp(DISCOVER + b"\x3c\xff")), Asked("52:54:00:aa:10:00", "", "", "eth0")),
}
BAD = {
    "an offer": packet(bytes((2,)) + bootp()[1:]),
    "a request": packet(bootp(option(53, b"\3"))),
    "another port": packet(bootp(), port=53),
    "TCP": packet(bootp(), protocol=6),
    "a fragment": packet(bootp(), fragment=3),
    "no cookie": packet(bootp()[:236] + bytes(4)),
    "too short": packet(bootp()[:200]),
    "InfiniBand": packet(bytes((1, 32, 6)) + bootp()[3:]),
    "a group's address": packet(bootp(mac=b"\x01\x00\x5e\0\0\1")),
    "no address": packet(bootp(mac=bytes(6))),
    "no bytes": b"",
}


@pytest.mark.parametrize(("data", "asked"), GOOD.values(), ids=GOOD)
def test_machines_that_ask(data: bytes, asked: Asked) -> None:
    assert read_packet(data, "eth0") == asked


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_machine_that_asks(data: bytes) -> None:
    assert read_packet(data, "eth0") is None


def test_a_packet_that_is_cut_anywhere() -> None:
    whole = packet(bootp())
    for length in range(len(whole)):
        asked = read_packet(whole[:length], "eth0")
        assert asked is None or asked.mac == FOUND.mac


@given(st.binary(max_size=600))
def test_any_options(data: bytes) -> None:
    asked = read_bootp(bootp()[:240] + data)
    if asked is not None:
        assert len(asked.mac) == 17
        assert asked.vendor is not None and (asked.vendor + asked.arch).isprintable()


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    read_packet(data)
    read_packet(b"\x45" + data)
    read_bootp(data)


@given(st.data())
def test_any_byte_of_a_good_packet_changed(data: st.DataObject) -> None:
    whole = bytearray(packet(bootp()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_packet(bytes(whole))
