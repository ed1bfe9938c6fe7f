"""Names looked up in repositories as an install does it."""

from pathlib import Path

import pytest

from rollbuild.packages import Catalogue, open_repositories, parse_repository_name
from tests.packages.repositories import COMPS, MODULES, Rpm, write_repository

RPMS = (
    Rpm("bash", "5.1", files=("/usr/bin/bash",), provides=("sh",)),
    Rpm("bash", "5.2", epoch="1"),
    Rpm("glibc", "2.34", arch="i686"),
    Rpm("glibc", "2.34"),
    Rpm("firmware", arch="noarch"),
    Rpm("arm-only", arch="aarch64"),
    Rpm("old-lib", arch="i686"),
    Rpm("yum-utils", provides=("dnf-utils = 4.0",)),
    Rpm("web", "1.0"),
    Rpm("web", "2.0"),
    Rpm("web", "0.5"),
    Rpm("web-tools", arch="noarch"),
    Rpm("libfoo.so", "3"),
)

NAMES = {
    "name": ("bash", ["bash-1:5.2-1.el9.x86_64", "bash-5.1-1.el9.x86_64"]),
    "both arches": ("glibc", ["glibc-2.34-1.el9.i686", "glibc-2.34-1.el9.x86_64"]),
    "arch": ("glibc.i686", ["glibc-2.34-1.el9.i686"]),
    "noarch": ("firmware.noarch", ["firmware-1.0-1.el9.noarch"]),
    "arch that is not there": ("bash.i686", []),
    "arch of another machine": ("arm-only.aarch64", []),
    "multilib": ("old-lib", ["old-lib-1.0-1.el9.i686"]),
    "version": ("bash-5.1", ["bash-5.1-1.el9.x86_64"]),
    "release": ("bash-5.2-1.el9", ["bash-1:5.2-1.el9.x86_64"]),
    "epoch": ("bash-1:5.2-1.el9.x86_64", ["bash-1:5.2-1.el9.x86_64"]),
    "no such version": ("bash-6", []),
    "provided": ("dnf-utils", ["yum-utils-1.0-1.el9.x86_64"]),
    "file": ("/usr/bin/bash", ["bash-5.1-1.el9.x86_64"]),
    "no such file": ("/usr/bin/zsh", []),
    "pattern": ("firm*", ["firmware-1.0-1.el9.noarch"]),
    "no such pattern": ("zz*", []),
    "dot in a name": ("libfoo.so", ["libfoo.so-3-1.el9.x86_64"]),
    "nothing": ("bsh", []),
    "modular": ("web-tools", []),
    "beside a module": ("web", ["web-0.5-1.el9.x86_64"]),
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make(tmp_path_factory.mktemp("repository"))


def make(folder: Path, arch: str = "x86_64", **enabled: str) -> Catalogue:
    write_repository(folder / "base", RPMS, comps=COMPS, modules=MODULES)
    with open_repositories([parse_repository_name(str(folder / "base"))]) as repositories:
        return Catalogue(repositories, arch, enabled)


@pytest.mark.parametrize(("name", "expected"), NAMES.values(), ids=NAMES)
def test_names(catalogue: Catalogue, name: str, expected: list[str]) -> None:
    assert sorted(package.label for package in catalogue.find(name).packages) == expected


def test_why_a_name_is_not_found(catalogue: Catalogue) -> None:
    assert catalogue.find("arm-only").other_arches == ("aarch64",)
    assert catalogue.find("bash.i686").other_arches == ("x86_64",) or not catalogue.find("bash.i686").packages
    assert [stream.stream for stream in catalogue.find("web-tools").streams] == ["1"]
    assert catalogue.find("/usr/share/a").is_open
    assert not catalogue.find("/etc/a").is_open


def test_a_stream_that_is_enabled_hides_the_others(tmp_path: Path) -> None:
    chosen = make(tmp_path, web="1")
    assert [package.version for package in chosen.find("web").packages] == ["1.0"]
    assert chosen.find("web-tools").packages


def test_another_machine(tmp_path: Path) -> None:
    other = make(tmp_path, "aarch64")
    assert other.find("arm-only").packages and other.find("firmware").packages
    assert other.find("bash").other_arches == ("x86_64",)


def test_groups(catalogue: Catalogue) -> None:
    assert [group.id for group in catalogue.find_group("core")] == ["core"]
    assert [group.id for group in catalogue.find_group("cORE")] == ["core"]
    assert catalogue.find_group("minimal-environment") == ()
    assert [one.id for one in catalogue.find_environment("minimal install")] == ["minimal-environment"]


def test_nearest_names(catalogue: Catalogue) -> None:
    assert catalogue.nearest_names("bsh") == ("bash",)
    assert catalogue.nearest_names("@^minimal-enviroment") == ("@^minimal-environment",)
    assert catalogue.nearest_names("qqqq") == ()
