"""Packages and groups of profiles against small repositories."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rollbuild.checks import check_packages
from rollbuild.checks import resolving as resolving_module
from rollbuild.findings import Finding
from rollbuild.packages import open_repositories, parse_repository_name
from tests.checks.conftest import Make
from tests.packages.repositories import COMPS, MODULES, Rpm, write_repository

RPMS = (
    Rpm("bash", files=("/usr/bin/bash",)),
    Rpm("curl"),
    Rpm("chrony"),
    Rpm("kernel"),
    Rpm("glibc"),
    Rpm("arm-only", arch="aarch64"),
    Rpm("yum-utils", provides=("dnf-utils",)),
    Rpm("web", "1.0"),
    Rpm("web-tools", arch="noarch"),
    Rpm("broken", requires=("no-such-thing",)),
    Rpm("one", conflicts=("other",)),
    Rpm("other"),
)
GROUPS = COMPS.replace("</packagelist>", '<packagereq type="mandatory">broken</packagereq></packagelist>')

Check = Callable[..., list[Finding]]


@pytest.fixture
def check(make_profile: Make, tmp_path: Path) -> Check:
    """The findings of a node file's text against the repository `base`, and others if wanted."""

    def run(
        text: str, *more: str, comps: str = COMPS, modules: str = MODULES, resolve: bool = False, **options: object
    ) -> list[Finding]:
        base = write_repository(tmp_path / "repositories" / "base", RPMS, comps=comps, modules=modules)
        profile = make_profile(text, attributes=options.pop("attributes", None))
        with open_repositories([parse_repository_name(name) for name in (str(base), *more)]) as repositories:
            return list(check_packages([profile], repositories, resolve=resolve, **options))  # type: ignore[arg-type]

    return run


# Node file text -> findings as `SEVERITY CODE: MESSAGE / HINT`.
CASES = {
    "there": ("<package>bash</package><package>dnf-utils</package><package>kern*</package>", []),
    "a file": ("<package>/usr/bin/bash</package><package>/usr/share/unknown</package>", []),
    "kept out": ('<package disable="1">no-such</package><package>bash</package>', []),
    "missing": (
        "<package>chronyd</package>",
        [
            "error PACKAGE-MISSING: compute: no repository has the package chronyd, nor one that provides it"
            " / did you mean chrony? looked in base"
        ],
    ),
    "other arch": (
        "<package>arm-only</package>",
        [
            "error PACKAGE-ARCH: compute: package arm-only is there for aarch64, not for x86_64"
            " / correct the name, or give the <package> a condition on arch"
        ],
    ),
    "module": (
        "<package>web-tools</package>",
        [
            "error PACKAGE-MODULE: compute: package web-tools is only in the module web:1, which is not enabled"
            " / enable it in <main>: <module>--name=web --stream=1</module>"
        ],
    ),
    "module enabled": ("<main><module>--name=web --stream=1</module></main><package>web-tools</package>", []),
    "module as a package": ("<package>@web:1/common</package><package>web-tools</package>", []),
    "no such stream": (
        "<main><module>--name=web --stream=7</module></main>",
        ["error MODULE-MISSING: compute: the module web has no stream 7 / it has: 1, 2.10"],
    ),
    "no such module": (
        "<package>@wob:7</package>",
        ["error MODULE-MISSING: compute: no repository has the module wob / there are: web"],
    ),
    "groups": (
        '<package type="meta">core</package><package>@^minimal-environment</package><package>@Core</package>'
        "<package>@core --nodefaults</package><package>@minimal-environment</package>",
        [],
    ),
    "no such groups": (
        '<package type="meta">cores</package>\n<package>@^minimal</package>',
        [
            "error GROUP-MISSING: compute: no repository has the group @cores / did you mean @core? looked in base",
            "error GROUP-MISSING: compute: no repository has the environment @^minimal / looked in base",
        ],
    ),
}


def shown(finding: Finding) -> str:
    return f"{finding.severity} {finding.code}: {finding.message} / {finding.hint}"


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_lists(check: Check, text: str, expected: list[str]) -> None:
    found = check(f"\n{text}")
    assert [shown(finding) for finding in found] == expected
    assert all(finding.location and finding.location.line >= 2 for finding in found)


def test_old_rolls_pass_over_what_is_missing(check: Check) -> None:
    found = check("<package>no-such</package>", attributes={"rocks_version_major": "7"})
    assert [f"{finding.severity} {finding.code}" for finding in found] == ["warning PACKAGE-MISSING"]


def test_packages_from_elsewhere(check: Check, tmp_path: Path) -> None:
    elsewhere = {"slurm": ("EPEL",), "lmod": ("the attribute lmod_repository", "EPEL 9"), "@hpc": ("OpenHPC",)}
    text = "<package>slurm</package>\n<package>lmod</package>\n<package>@hpc</package>"
    found = check(text, elsewhere=elsewhere)
    assert [shown(finding) for finding in found] == [
        f"note PACKAGE-ELSEWHERE: compute: package {name} comes from {source}, which is not looked into"
        f" / give that repository too: --repo {option}=URL-OR-DIR"
        for name, source, option in (
            ("slurm", "EPEL", "epel"),
            ("lmod", "the attribute lmod_repository or EPEL 9", "lmod_repository"),
            ("@hpc", "OpenHPC", "openhpc"),
        )
    ]
    epel = write_repository(tmp_path / "mirror", [Rpm("slurm")])
    found = check(text, f"epel={epel}", elsewhere=elsewhere)
    assert [finding.code for finding in found] == ["PACKAGE-MISSING", "PACKAGE-ELSEWHERE"]
    assert "lmod" in found[0].message and "base, epel" in found[0].hint


def test_patterns_of_packages_from_elsewhere(check: Check) -> None:
    found = check("<package>slurm-ohpc</package>\n<package>slurm</package>", elsewhere={"*-ohpc": ("OpenHPC",)})
    assert [finding.code for finding in found] == ["PACKAGE-MISSING", "PACKAGE-ELSEWHERE"]


def test_what_is_there_needs_no_other_source(check: Check) -> None:
    assert check("<package>bash</package>", elsewhere={"bash": ("EPEL",)}) == []


def test_without_groups(check: Check) -> None:
    found = check("<package>@core</package>\n<package>@^any</package>", comps="")
    assert [finding.code for finding in found] == ["GROUP-UNKNOWN"]
    assert "@^any, @core" in found[0].message


def test_one_finding_for_all_appliances(make_profile: Make, tmp_path: Path) -> None:
    base = write_repository(tmp_path / "base", RPMS)
    profile = make_profile("<package>no-such</package>")
    other = make_profile("<package>no-such</package>", attributes={"rocks_version_major": "7"})
    object.__setattr__(other, "appliance", "login")
    with open_repositories([parse_repository_name(str(base))]) as repositories:
        (found,) = check_packages([profile, other], repositories, resolve=False)
    assert (found.severity, found.message.split(":")[0]) == ("error", "compute, login")


# Node file text -> line, message of what cannot be installed together.
UNRESOLVED = {
    "well": ("<package>bash</package><package>one</package>", []),
    "broken": (
        "<package>bash</package>\n<package>broken</package>",
        [(2, "broken: nothing provides no-such-thing needed by broken-1.0-1.el9.x86_64")],
    ),
    "conflict": (
        "<package>other</package>\n<package>one</package>",
        [(1, "other: package one-1.0-1.el9.x86_64 conflicts with other provided by other-1.0-1.el9.x86_64")],
    ),
    "missing is told once": ("<package>no-such</package>", []),
    "kept out": ('<package>bash</package><package disable="1">curl</package>', []),
}


@pytest.mark.parametrize(("text", "expected"), UNRESOLVED.values(), ids=UNRESOLVED)
def test_sets_resolve(check: Check, text: str, expected: list[tuple[int, str]]) -> None:
    pytest.importorskip("solv")
    found = [finding for finding in check(text, resolve=True) if finding.code != "PACKAGE-MISSING"]
    assert [(f.location.line if f.location else 0, f.message) for f in found] == [
        (line, f"compute: {message}") for line, message in expected
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n<package>@core</package>", 2),
        ("\n<package>@^minimal-environment</package>", 2),
        ("<package>bash</package>", 0),
        ("<main><packages>--nocore</packages></main><package>bash</package>", None),
        ("<package>bash</package><package disable='1'>broken</package>", None),
        ("<package>@^minimal-environment</package><package disable='1'>@core</package>", None),
    ],
)
def test_groups_resolve(check: Check, text: str, line: int | None) -> None:
    pytest.importorskip("solv")
    found = check(text, resolve=True, comps=GROUPS)
    assert [f.location.line if f.location else 0 for f in found] == ([] if line is None else [line])


def test_hints_tell_of_one_version_only(check: Check, tmp_path: Path) -> None:
    pytest.importorskip("solv")
    versions = [Rpm("my-2-tool", f"1.{n}", requires=(f"lib = {n}",)) for n in range(9)]
    more = write_repository(tmp_path / "more", [*versions, Rpm("suite", requires=("my-2-tool",))])
    (found,) = check("<package>suite</package>", str(more), resolve=True)
    assert found.message.startswith("compute: suite: nothing provides lib = ")
    assert found.hint == "package suite-1.0-1.el9.x86_64 requires my-2-tool, but none of the providers can be installed"


def test_without_libsolv(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving_module, "has_solver", lambda: False)
    (found,) = check("<package>broken</package>", resolve=True)
    assert (found.code, found.severity, "rollbuild[resolve]" in found.hint) == ("RESOLVER-MISSING", "note", True)


def test_lists_of_names_do_not_resolve(check: Check, tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("repository\tname\nEPEL\tslurm\n")
    (found,) = check("<package>broken</package><package>slurm</package>", str(tmp_path / "names.tsv"), resolve=True)
    assert (found.code, found.severity) == ("RESOLVER-NAMES", "note")
