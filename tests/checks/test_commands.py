import pytest

from rollbuild.checks import check_profile
from rollbuild.releases import load_release
from tests.checks.conftest import GOOD, Check, Make

REQUIRED = {
    "lang": ("language", "error"),
    "keyboard": ("keyboard", "error"),
    "timezone": ("time zone", "error"),
    "rootpw": ("login", "error"),
    "autopart": ("storage layout", "error"),
    "url": ("install source", "warning"),
    "text": ("non-interactive mode", "warning"),
    "reboot": ("end of the install", "warning"),
}


@pytest.mark.parametrize("release", ["el7", "el8", "el9", "el10"])
def test_a_whole_profile_lacks_nothing(check: Check, release: str) -> None:
    assert check(release=release) == []


@pytest.mark.parametrize(("name", "expected"), REQUIRED.items())
def test_what_is_missing_is_told(make_profile: Make, name: str, expected: tuple[str, str]) -> None:
    kept = "".join(f"<{part}" for part in GOOD.split("<")[1:] if not part.startswith((name, f"/{name}")))
    found = check_profile(make_profile(f"<main>{kept}</main>"), load_release("el9"))
    assert [(f.code, f.severity) for f in found] == [("KS-REQUIRED", expected[1])]
    assert f"has no {expected[0]}" in found[0].message
    assert found[0].hint


def test_an_include_may_bring_what_is_missing(check_main: Check) -> None:
    found = check_main("<ks>%include /tmp/rest</ks>")
    assert {finding.severity for finding in found} == {"warning"}


def test_single_nodes_need_not_make_an_install(check_main: Check) -> None:
    assert check_main("<lang>en_US</lang>", kickstart=False) == []


# What stands beside a whole profile -> severity of DUP-COMMAND.
TWICE = {
    "<lang>de_DE</lang>": "warning",
    "<lang>en_US.UTF-8</lang>": "note",
    "<poweroff/>": "warning",
    "<cdrom/>": "warning",
    "<network>--device=eth1</network><network>--device=eth2</network>": "",
    "<sshkey>--username=root 'a b'</sshkey><sshkey>--username=root 'c d'</sshkey>": "",
}


@pytest.mark.parametrize(("text", "severity"), TWICE.items())
def test_repeated_commands(check: Check, text: str, severity: str) -> None:
    found = [finding for finding in check(main=text) if finding.code == "DUP-COMMAND"]
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert all("compute.xml:" in finding.message for finding in found)


NETWORK = {
    "--ip=10.1.256.1 --netmask=255.0.0.0 --bootproto=static": ["NETWORK-ADDRESS"],
    "--ip=10.1.2.1 --netmask=255.0.0.0 --bootproto=static": [],
    "--ip=dhcp": [],
    "--ip=10.1.2.1 --bootproto=static": ["NETWORK-STATIC"],
    "--bootproto=static --device=eth3": ["NETWORK-STATIC"],
    "--nameserver=10.1.1.1,10.1.1 --device=eth3": ["NETWORK-ADDRESS"],
    "--nameserver=fd00::1,10.1.1.1 --device=eth3": [],
    "--gateway=fd00:::1 --device=eth3": ["NETWORK-ADDRESS"],
    "--hostname= --device=eth3": ["KS-EMPTY"],
}


@pytest.mark.parametrize(("text", "codes"), NETWORK.items())
def test_network(check: Check, text: str, codes: list[str]) -> None:
    assert [finding.code for finding in check(main=f"<network>{text}</network>")] == codes
