"""Logs of DHCP servers: real lines, and any other text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.frontend.discovery.dhcplog import DhcpLog
from rollbuild.frontend.discovery.values import Asked

MAC = "52:54:00:aa:10:00"
PXE = "PXEClient:Arch:00007:UNDI:003016"

# Lines as dnsmasq 2.90, Kea 2.2 and ISC dhcpd 4.4 wrote them.
LOGS = {
    "dnsmasq with log-dhcp": (
        [
            "dnsmasq-dhcp[963]: 3468562222 available DHCP subnet: 10.77.0.0/255.255.0.0",
            f"dnsmasq-dhcp[963]: 3468562222 vendor class: {PXE}",
            f"dnsmasq-dhcp[963]: 3468562222 DHCPDISCOVER(v0) {MAC} ignored",
        ],
        [Asked(MAC, PXE, "x86_64", "v0")],
    ),
    "dnsmasq through the journal, without a prefix": (
        [f"3468562222 vendor class: {PXE}", f"3468562222 DHCPDISCOVER(v0) {MAC} ignored"],
        [Asked(MAC, PXE, "x86_64", "v0")],
    ),
    "dnsmasq through syslog, a known host": (
        [
            f"Nov 23 00:12:07 granite dnsmasq-dhcp[963]: 7 vendor class: {PXE}",
            f"Nov 23 00:12:07 granite dnsmasq-dhcp[963]: 7 DHCPDISCOVER(br-priv.7) 10.77.0.3 {MAC.upper()} ",
        ],
        [Asked(MAC, PXE, "x86_64", "br-priv.7")],
    ),
    "dnsmasq, a machine without a vendor class": (
        [f"1 vendor class: {PXE}", f"2 DHCPDISCOVER(v0) {MAC} ignored"],
        [Asked(MAC, "", "", "v0")],
    ),
    "dnsmasq without log-dhcp": (
        [f"dnsmasq-dhcp[963]: DHCPDISCOVER(v0) {MAC} ignored"],
        [Asked(MAC, None, "", "v0")],
    ),
    "dnsmasq, two machines at once": (
        [
            "1 vendor class: PXEClient:Arch:00011:UNDI:003000",
            "2 vendor class: udhcp 1.35.0",
            f"1 DHCPDISCOVER(v0) {MAC} ignored",
            "2 DHCPDISCOVER(v0) 52:54:00:aa:10:01 ignored",
        ],
        [
            Asked(MAC, "PXEClient:Arch:00011:UNDI:003000", "aarch64", "v0"),
            Asked("52:54:00:aa:10:01", "udhcp 1.35.0", "", "v0"),
        ],
    ),
    "Kea, unknown": (
        [
            "2026-11-23 00:13:39.061 WARN  [kea-dhcp4.alloc-engine/114.140] ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS "
            f"[hwtype=1 {MAC}], cid=[01:{MAC}], tid=0xfd96a94b: no pools were available for the address allocation",
            "2026-11-23 00:13:39.061 WARN  [kea-dhcp4.alloc-engine/114.140] ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES "
            f"[hwtype=1 {MAC}], cid=[01:{MAC}], tid=0xfd96a94b: Failed to allocate an IPv4 address for client with "
            f"classes: ALL, VENDOR_CLASS_{PXE}, UNKNOWN",
        ],
        [Asked(MAC, PXE, "x86_64", "")],
    ),
    "Kea, known": (
        [f"INFO DHCP4_LEASE_OFFER [hwtype=1 {MAC}], cid=[no info], tid=0x1: lease 10.1.255.254 will be offered"],
        [Asked(MAC, None, "", "")],
    ),
    "ISC dhcpd": (
        [
            f"Nov 23 00:12:07 granite dhcpd: DHCPDISCOVER from {MAC} via eth0: network 10.1.0.0/16: no free leases",
            f"Nov 23 00:12:07 granite dhcpd[7]: DHCPDISCOVER from {MAC} (compute-0-0) via 10.2.0.1",
        ],
        [Asked(MAC, None, "", "eth0"), Asked(MAC, None, "", "")],
    ),
    "what is no request of one machine": (
        [
            f"1 DHCPREQUEST(v0) 10.77.255.254 {MAC} ",
            f"1 DHCPACK(v0) 10.77.255.254 {MAC} c-0-0",
            "1 DHCPDISCOVER(v0) 00:00:00:00:00:00 ignored",
            "1 DHCPDISCOVER(v0) ff:ff:ff:ff:ff:ff ignored",
            "1 DHCPDISCOVER(v0) 52:54:00:aa:10 ignored",
            f"1 DHCPDISCOVER(v0) {MAC}:00 ignored",
            f"XDHCPDISCOVER(v0) {MAC}",
        ],
        [],
    ),
}


@pytest.mark.parametrize(("lines", "asked"), LOGS.values(), ids=LOGS)
def test_lines_of_real_servers(lines: list[str], asked: list[Asked]) -> None:
    log = DhcpLog()
    assert [found for line in lines if (found := log.read(line))] == asked


def test_a_vendor_class_cannot_pretend_to_be_a_request() -> None:
    """A machine chooses its vendor class, and the log repeats it."""
    log = DhcpLog()
    assert log.read(f"1 vendor class: x DHCPDISCOVER(v0) {MAC} ignored") is None


def test_old_transactions_are_forgotten() -> None:
    log = DhcpLog()
    for number in range(5000):
        log.read(f"{number} vendor class: {PXE}")
    assert log.read(f"1 DHCPDISCOVER(v0) {MAC} ignored") == Asked(MAC, "", "", "v0")
    assert log.read(f"4999 DHCPDISCOVER(v0) {MAC} ignored") == Asked(MAC, PXE, "x86_64", "v0")


_PIECES = st.sampled_from(
    [
        "DHCPDISCOVER(",
        "v0) ",
        MAC,
        " ",
        "1 ",
        "vendor class: ",
        "BOOTP",
        " via eth0",
        "from ",
        "[hwtype=1 ",
        "classes: ",
    ]
)


@given(st.lists(st.one_of(_PIECES, st.text(max_size=8)), max_size=12).map("".join))
def test_any_line_is_read_without_an_error(line: str) -> None:
    asked = DhcpLog().read(line)
    assert asked is None or (len(asked.mac) == 17 and asked.mac == asked.mac.lower() and asked.mac.isascii())
