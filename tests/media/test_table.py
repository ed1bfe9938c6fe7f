import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import FindingsError
from rollbuild.location import Location
from rollbuild.media.table import HostEntry, check_hosts, spell_mac
from tests.media.cases import INSTALLS, NETWORK

PLACE = Location("hosts.yaml", 3)


def entry(name: str = "c0", mac: str = "52:54:00:aa:bb:01", address: str = "10.1.2.3", action: str = "os") -> HostEntry:
    return HostEntry(name, mac, address, action, PLACE)


WRONG = {
    "no MAC": (entry(mac=""), "host c0 has no MAC address"),
    "malformed": (entry(mac="52:54:00:aa:bb"), "'52:54:00:aa:bb' is no MAC address"),
    "multicast": (entry(mac="01:00:5e:00:00:01"), "no interface has the MAC address 01:00:5e:00:00:01"),
    "zero": (entry(mac="00:00:00:00:00:00"), "no interface has"),
    "InfiniBand": (entry(mac="80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03"), "is no MAC address"),
    "no address": (entry(address=""), "it has no address"),
    "no such address": (entry(address="10.1.2.300"), "'10.1.2.300' is no IPv4 address"),
    "elsewhere": (entry(address="10.2.2.3"), "10.2.2.3 is no address of a host in 10.1.0.0/16"),
    "broadcast": (entry(address="10.1.255.255"), "is no address of a host"),
    "the server's": (entry(address="10.1.1.1"), "10.1.1.1 is the address of the front end too"),
    "name": (entry(name="c_0"), "'c_0' is no host name"),
    "long label": (entry(name="a" * 64), "is no host name"),
    "action": (entry(action="instal"), "there is no boot action 'instal'"),
}


@pytest.mark.parametrize(("host", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_place(host: HostEntry, message: str) -> None:
    with pytest.raises(FindingsError) as caught:
        check_hosts([host], NETWORK)
    (finding,) = caught.value.findings
    assert message in finding.message
    assert (finding.code, finding.location) == ("BOOT-HOST", PLACE)


def test_everything_wrong_is_told_at_once() -> None:
    hosts = [entry(), entry(mac="52-54-00-AA-BB-01"), entry("c1", "52:54:00:aa:bb:02")]
    with pytest.raises(FindingsError) as caught:
        check_hosts(hosts, NETWORK)
    told = sorted(finding.message for finding in caught.value.findings)
    assert told == [
        "host c0 is named twice, first at hosts.yaml:3",
        "host c0: 10.1.2.3 is the address of host c0 too",
        "host c1: 10.1.2.3 is the address of host c0 too",
        "hosts c0 and c0 both have the MAC address 52:54:00:aa:bb:01",
    ]


def test_good_hosts_pass_with_one_spelling() -> None:
    assert check_hosts([entry(mac="5254.00AA.BB01")], NETWORK)["c0"].mac == "52:54:00:aa:bb:01"


@given(st.binary(min_size=6, max_size=6), st.sampled_from([":", "-", "", "."]), st.booleans())
def test_every_spelling_of_a_mac_is_one(number: bytes, separator: str, upper: bool) -> None:
    plain = number.hex(":")
    text = plain.replace(":", separator)
    assert spell_mac(f" {text.upper() if upper else text}\n") == plain


@given(st.text())
def test_no_text_fails(text: str) -> None:
    assert isinstance(spell_mac(text), str)


def test_names_of_files() -> None:
    assert (INSTALLS.dashed_mac, INSTALLS.hex_address) == ("01-52-54-00-aa-bb-01", "0A01FFFE")
