import ipaddress
from typing import Any

import pytest

from rollbuild.findings import Severity
from rollbuild.media.arguments import LINE_LIMIT, StaticNetwork, check_arguments, install_arguments
from rollbuild.releases import RELEASES, load_release

URLS: dict[str, Any] = {"stage2": "http://10.1.1.1/install/dist/el9", "kickstart": "http://10.1.1.1/ks/compute-0-0"}


def test_an_install_over_the_network() -> None:
    words = install_arguments(load_release("el9"), **URLS, mac="52:54:00:AA:BB:01", extra=("console=ttyS0",))
    assert words == (
        "inst.stage2=http://10.1.1.1/install/dist/el9",
        "inst.ks=http://10.1.1.1/ks/compute-0-0",
        "inst.ks.sendmac",
        "BOOTIF=01-52-54-00-aa-bb-01",
        "ip=dhcp",
        "inst.cmdline",
        "inst.nosave=all_ks",
        "console=ttyS0",
    )


def test_an_install_without_any_network_and_one_without_a_kickstart() -> None:
    release = load_release("el10")
    words = install_arguments(release, stage2="hd:LABEL=RB", kickstart="hd:LABEL=RB:/ks/a.ks", is_local=True)
    assert words == ("inst.stage2=hd:LABEL=RB", "inst.ks=hd:LABEL=RB:/ks/a.ks", "inst.cmdline", "inst.nosave=all_ks")
    assert install_arguments(release, stage2="hd:LABEL=RB", is_local=True) == ("inst.stage2=hd:LABEL=RB",)


def test_a_static_address_is_written_as_dracut_reads_it() -> None:
    network = StaticNetwork(ipaddress.IPv4Interface("10.1.2.3/16"), "10.1.1.1", ("10.1.1.1", "10.1.1.2"), "eno1")
    words = install_arguments(load_release("el9"), **URLS, hostname="compute-0-0", network=network)
    assert "ip=10.1.2.3::10.1.1.1:255.255.0.0:compute-0-0:eno1:none" in words
    assert [word for word in words if word.startswith("nameserver")] == ["nameserver=10.1.1.1", "nameserver=10.1.1.2"]
    assert "ip=dhcp" not in words


@pytest.mark.parametrize("extra", ["inst.text", "inst.graphical", "inst.nosave=all"])
def test_what_the_site_says_of_display_and_kickstart_stands(extra: str) -> None:
    words = install_arguments(load_release("el9"), **URLS, extra=(extra,))
    assert words[-1] == extra
    others = {"inst.cmdline", "inst.nosave=all_ks"} & set(words)
    assert others == ({"inst.cmdline"} if extra.startswith("inst.nosave") else {"inst.nosave=all_ks"})


@pytest.mark.parametrize("release", RELEASES)
def test_our_own_arguments_are_known_to_every_release(release: str) -> None:
    facts = load_release(release)
    assert check_arguments(facts, install_arguments(facts, **URLS, mac="52:54:00:aa:bb:01")) == ()


TOLD = {
    "slip": ("el9", "inst.kss=x", Severity.ERROR, "the installer of el9 does not know inst.kss", "inst.ks?"),
    "vnc is gone": ("el10", "inst.vnc", Severity.ERROR, "the installer of el10 does not know inst.vnc", ""),
    "rdp is new": ("el9", "inst.rdp", Severity.ERROR, "the installer of el9 does not know inst.rdp", ""),
    "old name": ("el9", "ks=http://x", Severity.WARNING, "passes over ks", "it is called inst.ks now"),
    "old interface": ("el10", "ksdevice=eth0", Severity.WARNING, "passes over ksdevice", "ip= and BOOTIF="),
    "blank": ("el9", "a b", Severity.ERROR, "'a b' cannot be one argument", ""),
    "quote": ("el9", 'a="b"', Severity.ERROR, "cannot be one argument", ""),
    "too long": ("el9", "a=" + "x" * LINE_LIMIT, Severity.ERROR, "2,047 are the most", "shorten"),
}


@pytest.mark.parametrize(("release", "argument", "severity", "message", "hint"), TOLD.values(), ids=TOLD)
def test_what_is_told(release: str, argument: str, severity: Severity, message: str, hint: str) -> None:
    (finding,) = check_arguments(load_release(release), [argument])
    assert (finding.code, finding.severity) == ("BOOT-ARGUMENT", severity)
    assert message in finding.message and hint in finding.hint


def test_old_names_are_right_where_the_installer_takes_them() -> None:
    assert check_arguments(load_release("el7"), ["ks=http://x", "ksdevice=eth0"]) == ()


def test_the_longest_line_passes() -> None:
    assert check_arguments(load_release("el9"), ["a=" + "x" * (LINE_LIMIT - 3)]) == ()
