"""docs/reference/findings.md has every code, and its examples do what it says."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Outcome

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reference" / "findings.md"

_MAKERS = frozenset(("error", "warning", "note", "Finding", "ConditionError", "_Lack"))
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*\Z")
_EXAMPLE = re.compile(r"^`([^`\n]+)`(, saved as ISO-8859-1)?:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPTIONS = re.compile(r"Checked with `(--[^`]+)`")

_BESIDE_ROLLS = ("site.yaml", "names.tsv")

NOT_SHOWN = {
    "ANSWER": "only `rollbuild init` tells it (tests/cli/test_init.py)",
    "BOOT-DISTRIBUTION": "only the front end tells it (tests/frontend/configuration)",
    "BOOT-NETWORK": "only the front end tells it (tests/frontend/configuration)",
    "BOOT-TLS": "only the front end tells it (tests/frontend/configuration)",
    "COMMAND": "only `rocks load` tells it (tests/cli/test_rocks_load.py)",
    "SITE": "only `rocks add frontend` tells it (tests/cli/test_rocks_change.py)",
    "WORDS": "only `rocks load` tells it (tests/cli/test_rocks_load.py)",
    "BOOT-ARGUMENT": "needs a distribution (tests/cli/test_netboot.py)",
    "BOOT-HOST": "needs a file of hosts, and a distribution (tests/cli/test_netboot.py)",
    "BOOT-LOADER": "needs a distribution without boot loaders (tests/cli/test_netboot.py)",
    "BOOT-TREE": "needs a folder that others cannot read (tests/cli/test_netboot.py)",
    "DISC-FIRMWARE": "needs a distribution (tests/media/test_dvd.py)",
    "DISC-INSTALLS": "needs a distribution (tests/media/test_dvd.py)",
    "DISC-SECRET": "needs a distribution (tests/cli/test_iso.py)",
    "DISC-SPLIT": "needs a distribution (tests/media/test_dvd.py)",
    "MODULE-MISSING": "needs a repository with modules (tests/checks/test_packages.py)",
    "PACKAGE-ARCH": "needs a repository (tests/checks/test_packages.py)",
    "PACKAGE-MODULE": "needs a repository with modules (tests/checks/test_packages.py)",
    "PACKAGE-UNRESOLVED": "needs a repository (tests/checks/test_packages.py)",
    "RESOLVER-MISSING": "needs a machine without libsolv (tests/checks/test_packages.py)",
    "HOST-APPLIANCE": "needs a file of hosts, which only `rollbuild compile` takes",
    "NODE-UNREADABLE": "only `rollbuild list nodes` tells it",
    "REFUSED": "needs a file that cannot be read",
    "ROLL-EMPTY": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-FILE": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-MANIFEST": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-PACKAGE": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-SIGNATURE": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-SRC": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "ROLL-VERSION": "only `rollbuild roll build` tells it (tests/cli/test_roll_build.py)",
    "SOURCE-MISSING": "only `rollbuild roll build` tells it (tests/packages/test_rpmbuild.py)",
    "SHELL-LONG": "needs a script of 128 KiB",
    "SHELLCHECK-MISSING": "needs a machine without shellcheck (tests/checks/test_shell.py)",
    "INPUT-CHANGED": "only `rollbuild distro create` tells it (tests/distribution)",
    "INSTALL-URL": "only `rollbuild distro create` tells it (tests/cli/test_distro.py)",
    "INSTALLER-CHOICE": "only `rollbuild distro create` tells it (tests/distribution)",
    "NO-APPLIANCE": "only `rollbuild distro create` tells it (tests/distribution)",
    "NO-ROLLS": "only `rollbuild distro create` tells it (tests/distribution)",
    "OS-KEY-MISSING": "only `rollbuild distro create` tells it (tests/distribution)",
    "ROLL-ARCH": "only `rollbuild distro create` tells it (tests/distribution)",
    "ROLL-CONFLICT": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-CYCLE": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-LOCK": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-NAME": "only `rollbuild distro create` tells it (tests/cli/test_distro.py)",
    "ROLL-OTHER": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-RELEASE": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-REQUIRES": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-UNLISTED": "only `rollbuild roll` tells it (tests/rolls)",
    "ROLL-UNSIGNED": "only `rollbuild distro create` tells it (tests/distribution)",
    "ROLL-VERSIONS": "only `rollbuild roll` tells it (tests/rolls)",
    "SAME-NEVRA": "only `rollbuild distro create` tells it (tests/distribution)",
    "SIGNED-ANEW": "only `rollbuild distro create` tells it (tests/distribution)",
}

BASE = {
    "rolls/example/graphs/default/example.xml": """\
<graph><appliance name="compute"/><edge from="compute" to="base"/></graph>
""",
    "rolls/example/nodes/base.xml": """\
<kickstart><main>
  <lang>en_US.UTF-8</lang>
  <keyboard>--vckeymap=us</keyboard>
  <timezone>--utc Etc/UTC</timezone>
  <rootpw>--lock</rootpw>
  <url>--url=http://10.1.1.1/dist</url>
  <text>--non-interactive</text>
  <reqpart>--add-boot</reqpart>
  <part>/ --size=20000</part>
  <part>swap --size=4000</part>
  <reboot/>
</main></kickstart>
""",
    "rolls/example/nodes/compute.xml": "<kickstart/>\n",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One heading of the document."""

    code: str
    body: str

    @property
    def severities(self) -> set[str]:
        found = re.match(r"\*([a-z, ]+)\* · ", self.body)
        assert found, f"{self.code}: its text starts with its severity, as in `*error* · `"
        return set(re.split(r", | or ", found[1]))

    @property
    def files(self) -> dict[str, bytes]:
        return {
            name if name.startswith("rolls/") or name in _BESIDE_ROLLS else f"rolls/example/{name}": text.encode(
                "latin-1" if is_latin else "utf-8"
            )
            for name, is_latin, text in _EXAMPLE.findall(self.body)
        }


def read_entries() -> list[Entry]:
    parts = re.split(r"^## (.+)\n\n", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [Entry(code, body) for code, body in zip(parts[1::2], parts[2::2], strict=True)]


ENTRIES = read_entries()


def codes_in(source: str) -> Iterator[str]:
    """The codes of findings that a module can make."""
    module = ast.parse(source)
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    named.setdefault(target.id, []).append(node.value)
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            given += node.args[:1] if name in _MAKERS else []
            for value in given:
                yield from _constants(value, named)
        elif isinstance(node, ast.FunctionDef):
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                if argument.arg == "code" and default is not None:
                    yield from _constants(default, named)


def _constants(value: ast.expr, named: Mapping[str, list[ast.expr]]) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.match(node.value):
            yield node.value
        elif isinstance(node, ast.Name) and node is value:
            for other in named.get(node.id, ()):
                yield from _constants(other, {})


def test_the_reader_of_codes_sees_every_way_to_write_one() -> None:
    source = """\
SYNTAX = "E-CONSTANT"
def refuse(message, *, code="E-DEFAULT"): ...
def f(x):
    kind = "E-LOCAL" if x else "E-OTHER"
    error("E-PLAIN", "NOT-THIS")
    warning("E-THEN" if x else "E-ELSE", "m")
    Finding(kind, 1, "m")
    raise ConditionError(SYNTAX, "m")
    raise RollbuildError("NOT-THIS", code="E-KEYWORD")
"""
    expected = ["CONSTANT", "DEFAULT", "ELSE", "KEYWORD", "LOCAL", "OTHER", "PLAIN", "THEN"]
    assert sorted(set(codes_in(source))) == [f"E-{name}" for name in expected]


def test_every_code_is_documented_and_sorted() -> None:
    in_source = {
        code for path in (ROOT / "rollbuild").rglob("*.py") for code in codes_in(path.read_text(encoding="utf-8"))
    }
    documented = [entry.code for entry in ENTRIES]
    assert documented == sorted(in_source)


def test_the_base_of_the_examples_is_clean(tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    for release in ("el8", "el9", "el10"):
        assert check(tmp_path, {}, rollbuild, "--os-release", release) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])
def test_example_triggers_its_code(entry: Entry, tmp_path: Path, rollbuild: Callable[..., Outcome]) -> None:
    if entry.code in NOT_SHOWN:
        return
    assert entry.files, f"{entry.code} has no example"
    options = [word for text in _OPTIONS.findall(entry.body) for word in text.split()]
    options = [str(tmp_path / word) if word in entry.files else word for word in options]
    found = check(tmp_path, entry.files, rollbuild, *options, shell=entry.code == "SHELL")
    own = [finding for finding in found if finding["code"] == entry.code]
    assert own, found
    assert {finding["severity"] for finding in own} <= entry.severities
    assert all(finding["file"] or entry.code == "KS-REQUIRED" for finding in own)


def check(
    folder: Path,
    files: Mapping[str, bytes],
    rollbuild: Callable[..., Outcome],
    *options: str,
    shell: bool = False,
) -> list[dict[str, str]]:
    everything = {name: text.encode() for name, text in BASE.items()} | dict(files)
    for name, data in everything.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    argv: list[str | Path] = ["check", "--rolls", folder / "rolls", "--json", *options]
    if "site.yaml" in files:
        argv += ["--attrs", folder / "site.yaml"]
    if not shell:
        argv.append("--no-shell")
    outcome = rollbuild(*argv)
    assert outcome.out, outcome.err
    findings: list[dict[str, str]] = json.loads(outcome.out)
    return findings
