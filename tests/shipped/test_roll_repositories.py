"""The repositories of a distribution's rolls, as hosts get them."""

import configparser
from collections.abc import Mapping
from typing import Any

import pytest

from tests.shipped.conftest import Compile, Tree, scripts_of

HPC = {
    "name": "hpc",
    "id": "rollbuild-roll-hpc",
    "path": "rolls/hpc",
    "url": "",
    "priority": 40,
    "gpgcheck": True,
    "gpgkey": ["RPM-GPG-KEY-a", "RPM-GPG-KEY-b"],
    "module_hotfixes": True,
}
LOCAL = {**HPC, "name": "local", "id": "rollbuild-roll-local", "path": "rolls/local", "gpgcheck": False, "gpgkey": []}
ELSEWHERE = {**HPC, "url": "http://h/$releasever`x`\\"}
TREE = "http://10.1.1.1/install/dist/el9"


def write_repositories(
    compile_shipped: Compile, host: Tree, data: Mapping[str, Any], **attributes: str
) -> dict[str, dict[str, str]]:
    profile = compile_shipped("compute", "el9", data, **attributes)
    assert [finding for finding in profile.findings if finding.severity == "error"] == []
    host.add_program("restorecon", "exit 0")
    for node in ("progress", "cluster-repositories"):
        for script in scripts_of(profile, "post", node):
            done = host.run(script)
            assert done.returncode == 0, done.stderr
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(host.read("/etc/yum.repos.d/rollbuild.repo"))
    return {name: dict(parser[name]) for name in parser.sections()}


def test_each_roll_has_a_section(compile_shipped: Compile, host: Tree) -> None:
    found = write_repositories(compile_shipped, host, {"rolls": [HPC, LOCAL]})
    assert list(found) == ["rollbuild-baseos", "rollbuild-appstream", "rollbuild-roll-hpc", "rollbuild-roll-local"]
    assert found["rollbuild-roll-hpc"] == {
        "name": "hpc of this cluster",
        "baseurl": f"{TREE}/rolls/hpc",
        "priority": "40",
        "gpgcheck": "1",
        "gpgkey": f"{TREE}/RPM-GPG-KEY-a {TREE}/RPM-GPG-KEY-b",
        "module_hotfixes": "1",
    }
    assert found["rollbuild-roll-local"]["gpgcheck"] == "0" and "gpgkey" not in found["rollbuild-roll-local"]


def test_the_front_end_has_those_of_the_medium_that_it_copied(compile_shipped: Compile, host: Tree) -> None:
    profile = compile_shipped("frontend", "el9", {"rolls": [HPC, LOCAL]})
    assert [finding for finding in profile.findings if finding.severity == "error"] == []
    for program in ("restorecon", "rpm"):
        host.add_program(program, "exit 0")
    scripts = [*scripts_of(profile, "post", "progress"), *scripts_of(profile, "post", "distribution")]
    for script in scripts:
        if script.in_chroot:
            done = host.run(script)
            assert done.returncode == 0, done.stderr
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(host.read("/etc/yum.repos.d/rollbuild.repo"))
    tree = "file:///export/install/dist/el9"
    assert dict(parser["rollbuild-roll-hpc"]) == {
        "name": "hpc of the medium that the front end was installed from",
        "baseurl": f"{tree}/rolls/hpc",
        "priority": "40",
        "gpgcheck": "1",
        "gpgkey": f"{tree}/RPM-GPG-KEY-a {tree}/RPM-GPG-KEY-b",
        "module_hotfixes": "1",
        "skip_if_unavailable": "1",
    }
    assert parser["rollbuild-roll-local"]["gpgcheck"] == "0"
    assert parser["rollbuild-baseos"]["baseurl"] == f"{tree}/BaseOS"


@pytest.mark.parametrize("data", [{}, {"rolls": []}, {"rolls": ["hpc"]}, {"rolls": [{"name": "hpc"}]}])
def test_without_rolls_there_are_those_of_the_os(compile_shipped: Compile, host: Tree, data: dict[str, Any]) -> None:
    assert list(write_repositories(compile_shipped, host, data)) == ["rollbuild-baseos", "rollbuild-appstream"]


def test_what_a_url_holds_is_left_to_dnf(compile_shipped: Compile, host: Tree) -> None:
    found = write_repositories(compile_shipped, host, {"rolls": [ELSEWHERE]})
    assert found["rollbuild-roll-hpc"]["baseurl"] == "http://h/$releasever`x`\\/rolls/hpc"


@pytest.mark.parametrize(
    ("attributes", "baseurl", "proxy"),
    [
        ({}, TREE, None),
        ({"proxy": "http://p:1"}, TREE, ""),
        ({"proxy": "http://p:1", "install_url": "http://m/9"}, "http://m/9", "http://p:1"),
    ],
)
def test_where_the_rolls_come_from(
    compile_shipped: Compile, host: Tree, attributes: dict[str, str], baseurl: str, proxy: str | None
) -> None:
    found = write_repositories(compile_shipped, host, {"rolls": [HPC]}, **attributes)["rollbuild-roll-hpc"]
    assert (found["baseurl"], found.get("proxy")) == (f"{baseurl}/rolls/hpc", proxy)
