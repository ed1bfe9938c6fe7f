"""Whatever a description looks like, it compiles or is refused with words of ours."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from rollbuild.compiler import Compiler, Profile, Target
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.language import collect_defaults, find_rolls, read_attributes, read_description
from rollbuild.releases import load_release
from tests.compiler.cases import HANDLERS
from tests.fuzz.mutations import ATTRIBUTES, GRAPH, NODE, descriptions, mutations

pytestmark = pytest.mark.long

fuzz = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
)
FAILURES = ("rollbuild itself failed", "Traceback", "nested too deeply")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files below `folder`, and nothing else."""
    shutil.rmtree(folder / "rolls", ignore_errors=True)
    for name, data in files.items():
        path = folder / "rolls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "rolls"


def compile_all(
    rolls: Path, attributes: Mapping[str, str], release: str, overlay: str
) -> tuple[Profile, list[Finding]]:
    found = find_rolls([str(rolls)])
    declared = collect_defaults(item for roll in found for item in roll.declarations())
    values = {**declared.resolve_texts(os="linux", appliance="", rack="", host=""), **attributes}
    description = read_description(found, overlay=overlay, attributes=values)
    compiler = Compiler(description, load_release(release))
    target = Target("c0", "compute", "r", {"hostname": "c0", "os": "linux", "arch": "x86_64", **values})
    profile = compiler.compile(target)
    findings: list[Finding] = []
    assert compiler.plan(target, ("hostname", "x")).render(target.attributes, findings) == profile.text.encode()
    return profile, [*profile.findings, *description.findings]


@given(
    descriptions(),
    st.dictionaries(st.sampled_from(["x", "y", "url", "version", "os"]), st.text(max_size=6), max_size=4),
    st.sampled_from(sorted(HANDLERS)),
    st.sampled_from(["", "7"]),
)
@settings(fuzz, max_examples=250)
def test_a_description_compiles_or_is_refused(
    folder: Path, files: dict[str, bytes], attributes: dict[str, str], release: str, overlay: str
) -> None:
    rolls = write(folder, files)
    try:
        profile, findings = compile_all(rolls, attributes, release, overlay)
    except RollbuildError as problem:
        assert problem.message
        assert "\n" not in problem.message
        return
    assert profile.nodes
    for finding in findings:
        assert finding.message
        assert "\n" not in finding.message
    if not any(finding.severity is Severity.ERROR for finding in findings):
        check_sections(profile, release)


def check_sections(profile: Profile, release: str) -> None:
    """What has no error is a Kickstart with just the scripts that we meant; commands are the checks' business."""
    assert [line.text for line in profile.lines] == profile.text.split("\n")[:-1]
    scripts = [section for section in profile.sections if section.script]
    text = "".join(line.text + "\n" for section in scripts for line in section.lines)
    parser = KickstartParser(makeVersion(HANDLERS[release]), missingIncludeIsFatal=False)
    parser.readKickstartFromString(text)
    bodies = ["".join(line.text + "\n" for line in script.body) for script in profile.scripts]
    assert [script.script for script in parser.handler.scripts] == bodies


@given(st.sampled_from(ATTRIBUTES).flatmap(mutations), st.sampled_from(["a.yaml", "a.json", "a.attrs"]))
@settings(fuzz, max_examples=150)
def test_an_attribute_file_is_read_or_refused(folder: Path, text: str, name: str) -> None:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        read_attributes(path).resolve(os="linux", appliance="", rack="", host="c0")
    except RollbuildError as problem:
        assert "\n" not in problem.message


@given(
    files=descriptions(),
    attributes=st.sampled_from(ATTRIBUTES).flatmap(mutations),
    argv=st.lists(
        st.sampled_from(
            [
                "--strict",
                "--eval=fail",
                "--graph=x",
                "--root=a",
                "--os-release=el7",
                "--os-release=el10",
                "-Ax=1",
                "-Ax",
                "-A=",
                "r",
            ]
        ),
        max_size=3,
    ),
)
@settings(fuzz, max_examples=80)
def test_the_command_never_fails_itself(
    folder: Path, rollbuild: Callable[..., Any], files: dict[str, bytes], attributes: str, argv: list[str]
) -> None:
    rolls = write(folder, files)
    (folder / "site.yaml").write_bytes(attributes.encode("utf-8", "replace"))
    shutil.rmtree(folder / "out", ignore_errors=True)
    outcome = rollbuild("compile", "--rolls", rolls, "--attrs", folder / "site.yaml", *argv, "-o", folder / "out")
    assert outcome.code in (0, 1, 2, 4), outcome.err
    assert not any(words in outcome.err for words in FAILURES), outcome.err
    assert outcome.out == ""
    # Nothing is written by a compile that is refused.
    assert (folder / "out").exists() == (outcome.code == 0)
    if outcome.code:
        assert "error:" in outcome.err


NODE_FILE = "base/nodes/r.xml"


def without(path: Path) -> Path:
    """The path, where nothing is any more."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return path


ODD_TREES: dict[str, Callable[[Path], object]] = {
    "a folder for a file": lambda top: without(top / NODE_FILE).mkdir(),
    "a pipe for a file": lambda top: os.mkfifo(without(top / NODE_FILE)),
    "a link to itself": lambda top: without(top / NODE_FILE).symlink_to("r.xml"),
    "a link to nowhere": lambda top: without(top / NODE_FILE).symlink_to("nowhere"),
    "a link to a device": lambda top: without(top / NODE_FILE).symlink_to("/dev/zero"),
    "a folder that is its own part": lambda top: (top / "base/nodes/sub").symlink_to(top),
    "a file for a folder": lambda top: without(top / "base/graphs").write_text("x"),
    "a graph that is a folder": lambda top: (top / "base/graphs/default/h.xml").mkdir(),
    "an endless file": lambda top: os.truncate(top / NODE_FILE, 10**9),
    "no files": lambda top: without(top / "base/nodes"),
    "a name that is no text": lambda top: os.mkdir(os.fsencode(top) + b"/base/nodes/\xff.xml"),
    "a roll name that is no text": lambda top: os.rename(top / "base", os.fsencode(top) + b"/ba\xffse"),
    "a roll name with a line end": lambda top: (top / "base").rename(top / "x\nrootpw --plaintext x"),
    "roll.yaml with a line end": lambda top: (top / "base/roll.yaml").write_text('name: "x\\nrootpw x"'),
    "roll.yaml as a folder": lambda top: (top / "base/roll.yaml").mkdir(),
    "attributes.yaml as a folder": lambda top: (top / "base/attributes.yaml").mkdir(),
    "include as a file": lambda top: without(top / "base/include").write_text(""),
}


@pytest.mark.parametrize("way", ODD_TREES)
def test_odd_trees(tmp_path: Path, rollbuild: Callable[..., Any], way: str) -> None:
    files = {
        "base/nodes/r.xml": NODE,
        "base/nodes/a.xml": "<kickstart/>",
        "base/nodes/b.xml": "<kickstart/>",
        "base/graphs/default/g.xml": GRAPH,
        "base/include/a": "",
    }
    top = write(tmp_path, {name: text.encode() for name, text in files.items()})
    ODD_TREES[way](top)
    outcome = rollbuild(
        "compile", "r", "--rolls", top, "-Aurl=x", "-Ax=1", "-Ay=1", "--no-validate", "-o", tmp_path / "out"
    )
    assert outcome.code in (0, 1, 2, 4), outcome.err
    assert not any(words in outcome.err for words in FAILURES), outcome.err
    for kickstart in (tmp_path / "out").glob("*"):
        assert "\nrootpw" not in kickstart.read_text(errors="replace")
