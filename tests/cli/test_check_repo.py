"""`rollbuild check --repo` as a whole command."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.packages.repositories import COMPS, Rpm, write_repository

Run = Callable[..., Outcome]
Write = Callable[[Mapping[str, str]], Path]

ROLL = {
    "rolls/one/graphs/default/one.xml": """<graph><appliance name="compute"/><appliance name="login"/>
<edge from="compute" to="base"/><edge from="login" to="base"/></graph>""",
    "rolls/one/nodes/base.xml": """<kickstart><main>
<lang>en_US.UTF-8</lang><keyboard>us</keyboard><timezone>UTC</timezone><rootpw>--lock</rootpw>
<url>--url=http://a/b</url><text>--non-interactive</text><autopart/><reboot/></main>
<package>bash</package>
<package>@core</package>
</kickstart>""",
    "rolls/one/nodes/compute.xml": "<kickstart>\n<package>slurm</package>\n<package>tool</package></kickstart>",
    "rolls/one/nodes/login.xml": "<kickstart>\n<package>slurm</package></kickstart>",
    "rolls/one/roll.yaml": "packages_from:\n  EPEL: [slurm]\n",
}


@pytest.fixture
def folder(tree: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tree(ROLL)
    write_repository(made / "mirror" / "BaseOS", [Rpm("bash"), Rpm("curl")], comps=COMPS)
    write_repository(made / "mirror" / "AppStream", [Rpm("tool", requires=("lib >= 2",)), Rpm("lib", "1")])
    write_repository(made / "more", [Rpm("slurm"), Rpm("lib", "2", provides=("lib = 2",))])
    monkeypatch.chdir(made)
    return made


def check(rollbuild: Run, *options: str) -> list[str]:
    """Findings about packages as `SEVERITY CODE FILE:LINE MESSAGE`."""
    outcome = rollbuild("check", "--json", "--no-shell", *options)
    assert outcome.err == ""
    found = json.loads(outcome.out)
    assert outcome.code == int(any(item["severity"] == "error" for item in found))
    return [
        f"{item['severity']} {item['code']} {item['file']}:{item['line']} {item['message']}"
        for item in found
        if item["code"].startswith(("PACKAGE-", "GROUP-", "RESOLVER-"))
    ]


ELSEWHERE = [
    "note PACKAGE-ELSEWHERE rolls/one/nodes/compute.xml:2 "
    "compute: package slurm comes from EPEL, which is not looked into",
    "note PACKAGE-ELSEWHERE rolls/one/nodes/login.xml:2 login: package slurm comes from EPEL, which is not looked into",
]


@pytest.mark.usefixtures("folder")
def test_nothing_is_asked_without_repositories(rollbuild: Run) -> None:
    assert check(rollbuild) == []


@pytest.mark.usefixtures("folder")
def test_packages_that_exist(rollbuild: Run) -> None:
    assert check(rollbuild, "--repo", "mirror", "--no-resolve") == ELSEWHERE


@pytest.mark.usefixtures("folder")
def test_packages_that_do_not_fit(rollbuild: Run) -> None:
    pytest.importorskip("solv")
    assert check(rollbuild, "--repo", "mirror") == [
        "error PACKAGE-UNRESOLVED rolls/one/nodes/compute.xml:3 "
        "compute: tool: nothing provides lib >= 2 needed by tool-1.0-1.el9.x86_64",
        *ELSEWHERE,
    ]
    assert check(rollbuild, "--repo", "mirror", "--repo", "epel=more") == []


@pytest.mark.usefixtures("folder")
def test_packages_that_are_missing(rollbuild: Run) -> None:
    found = check(rollbuild, "--repo", "mirror/AppStream", "--repo", "EPEL=mirror/BaseOS", "--no-resolve")
    assert found == [
        "error PACKAGE-MISSING rolls/one/nodes/compute.xml:2 "
        "compute: no repository has the package slurm, nor one that provides it",
        "error PACKAGE-MISSING rolls/one/nodes/login.xml:2 "
        "login: no repository has the package slurm, nor one that provides it",
    ]
    outcome = rollbuild("check", "--no-shell", "--repo", "mirror/AppStream")
    assert outcome.code == 1
    assert "base.xml:4:1: compute, login: no repository has the package bash" in outcome.err
    assert "hint: looked in AppStream" in outcome.err


@pytest.mark.usefixtures("folder")
def test_lists_of_names(rollbuild: Run, folder: Path) -> None:
    (folder / "names.tsv").write_text("repository\tname\nBaseOS\tbash\nBaseOS\ttool\nEPEL\tslurm\n")
    assert check(rollbuild, "--repo", "names.tsv") == [
        "note RESOLVER-NAMES names.tsv:0 whether the packages fit together was not looked at: names.tsv only has names",
        "note GROUP-UNKNOWN rolls/one/nodes/base.xml:5 "
        "no repository given lists groups: whether there is @core was not looked at",
    ]


@pytest.mark.usefixtures("folder")
def test_without_libsolv(rollbuild: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rollbuild.packages import resolve

    resolve._load_solver.cache_clear()
    monkeypatch.setitem(sys.modules, "solv", None)
    try:
        (found, *_) = check(rollbuild, "--repo", "mirror")
    finally:
        resolve._load_solver.cache_clear()
    assert found.startswith("note RESOLVER-MISSING")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("nowhere", 1, "there is no repository at nowhere: it does not exist"),
        ("rolls", 1, "there is no repository in rolls"),
        ("", 2, "a repository's place is empty"),
        ("http://127.0.0.1:1/a", 69, "cannot fetch http://127.0.0.1:1/a/repodata/repomd.xml"),
    ],
)
def test_what_is_no_repository(rollbuild: Run, place: str, code: int, said: str) -> None:
    outcome = rollbuild("check", "--no-shell", "--repo", place)
    assert (outcome.code, outcome.out) == (code, "")
    assert f"error: {said}" in outcome.err and "hint: " in outcome.err


def test_a_bad_list_of_sources(rollbuild: Run, folder: Path) -> None:
    (folder / "rolls/one/roll.yaml").write_text("packages_from: [slurm]\n")
    outcome = rollbuild("check", "--no-shell")
    assert (outcome.code, "packages_from lists names of packages by their source" in outcome.err) == (1, True)
