"""Spelling: what comes in from people and from the network, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.cluster import number_order, spell_address, spell_host_name, spell_mac
from rollbuild.errors import USAGE, RollbuildError

MACS = {
    "52:54:00:aa:10:00": "52:54:00:aa:10:00",
    "52:54:00:AA:10:00": "52:54:00:aa:10:00",
    "52-54-00-AA-10-00": "52:54:00:aa:10:00",
    "5254.00aa.1000": "52:54:00:aa:10:00",
    "525400aa1000": "52:54:00:aa:10:00",
    "4e:71:0:40:0:0": "4e:71:00:40:00:00",
    " 52:54:00:aa:10:00\n": "52:54:00:aa:10:00",
    ":".join(["80"] * 20): ":".join(["80"] * 20),
}
NO_MACS = (
    *("", ":", "52:54:00:aa:10", "52:54:00:aa:10:00:00", "52:54:00:aa:10:0g", "52:54:00:aa:10:000", "525400aa100"),
    *("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "52:54:00:aa:10:0\u0660", "52:54:00:aa:10:00;x"),
)


@pytest.mark.parametrize(("text", "spelled"), MACS.items())
def test_macs(text: str, spelled: str) -> None:
    assert spell_mac(text) == spelled


@pytest.mark.parametrize("text", NO_MACS)
def test_no_macs(text: str) -> None:
    with pytest.raises(RollbuildError) as refusal:
        spell_mac(text)
    assert refusal.value.exit_code == USAGE


@pytest.mark.parametrize(
    "text", ["", "10.1.1", "10.1.1.256", "010.1.1.1", "10.1.1.1/16", "::1", "10.1.1.1 10.1.1.2", "a"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(RollbuildError, match="is no IPv4 address"):
        spell_address(text)


NAMES = ("compute-0-0", "c", "0a", "vm-container-0-0", "a" * 63, "x--y", "rackmount", "compute-0-0-x", "a-1-2")
NO_NAMES = {
    "compute-0-0.local": "has a dot",
    "Compute-0-0": "upper-case",
    "rack7": "a rack",
    "localhost": "the front end",
    "17": "a number",
    "compute-0-0-0": "a VM",
    "a-b-0-0-0": "a VM",
    "": "it is none",
    "-a": "it is none",
    "a-": "it is none",
    "a_b": "it is none",
    "a b": "it is none",
    "a" * 64: "it is none",
    "a\n": "it is none",
    "a;reboot": "it is none",
    "../etc": "dot",
    "\u00e4": "it is none",
    "compute%": "it is none",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_hosts(name: str) -> None:
    assert spell_host_name(name) == name


@pytest.mark.parametrize(("name", "why"), NO_NAMES.items())
def test_no_names_of_hosts(name: str, why: str) -> None:
    with pytest.raises(RollbuildError, match=why) as refusal:
        spell_host_name(name)
    assert refusal.value.exit_code == USAGE
    assert refusal.value.hint


def test_a_vm_has_four_parts() -> None:
    assert spell_host_name("compute-0-0-0", is_vm=True) == "compute-0-0-0"


@given(st.text(max_size=70))
def test_whatever_passes_is_one_safe_word(text: str) -> None:
    for spell, allowed in (
        (spell_host_name, "abcdefghijklmnopqrstuvwxyz0123456789-"),
        (spell_mac, "0123456789abcdef:"),
    ):
        try:
            spelled = spell(text)
        except RollbuildError:
            continue
        assert spelled and set(spelled) <= set(allowed)


def test_numbers_are_ordered_as_numbers() -> None:
    names = ["compute-10-0", "a", "compute-2-10", "compute-2-9", "compute", "1a", "compute-02-9", "compute-2-9-0"]
    ordered = ["1a", "a", "compute", "compute-02-9", "compute-2-9", "compute-2-9-0", "compute-2-10", "compute-10-0"]
    assert sorted(names, key=number_order) == ordered
