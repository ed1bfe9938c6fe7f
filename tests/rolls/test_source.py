import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.rolls import find_sources, read_source
from rollbuild.rolls.rollyaml import read_roll_yaml

Write = Callable[[Mapping[str, str]], Path]
NODE = "<kickstart/>"

WHOLE = """\
name: lab-tools
version: 1.10
release: 007
summary: Tools of the lab
description: |
  Several
  lines
releases: [el8, el9]
arch: x86_64
requires: [base, kernel >= 2.0]
conflicts: [old-tools < 3]
priority: 60
packages_from: {EPEL: [munge]}
packages: [munge, lmod, munge]
date: 2024-02-29
manifest: strict
color: tan
"""


def test_every_key_keeps_its_text(tree: Write) -> None:
    source = read_source(tree({"lab/roll.yaml": WHOLE, "lab/manifest": "one\n# no\ntwo # yes\n"}) / "lab")
    assert (source.name, source.version, source.release) == ("lab-tools", "1.10", "007")
    assert (source.summary, source.description) == ("Tools of the lab", "Several\nlines")
    assert (source.releases, source.arch) == (("el8", "el9"), ("x86_64",))
    assert [str(item) for item in source.requires] == ["base", "kernel >= 2.0"]
    assert [str(item) for item in source.conflicts] == ["old-tools < 3"]
    assert (source.priority, source.packages, source.manifest) == (60, ("munge", "lmod"), "strict")
    assert (source.date, source.color) == (1709164800, "tan")
    assert source.packages_from == (("EPEL", ("munge",)),)
    assert [(name, place.line) for name, place in source.listed] == [("one", 1), ("two", 3)]
    assert source.is_named and not source.is_old


FAULTS = {
    "unknown key": ("naem: x", "1:1", "no key naem", "did you mean name?"),
    "name in capitals": ("name: Lab", "1:7", "'Lab' is no name", "lower-case"),
    "name that climbs": ("name: ../x", "1:7", "is no name", ""),
    "version with a dash": ("version: 1-2", "1:10", "'1-2' is no version", "no dash"),
    "release of what": ("releases: [el9, el11]", "1:17", "no release el11", "did you mean el"),
    "arch": ("arch: [x86-64]", "1:8", "no architecture x86-64", "did you mean x86_64?"),
    "priority": ("priority: high", "1:11", "whole number", ""),
    "date": ("date: yesterday", "1:7", "no date", "2026-01-31"),
    "no such day": ("date: 2023-02-29", "1:7", "no day 2023-02-29", ""),
    "requirement": ("requires: [base, '>= 2']", "1:18", "does not name a roll", "kernel >= 2.0"),
    "list for text": ("summary: [a]", "1:10", "summary is one text", ""),
    "mapping for list": ("packages: {a: b}", "1:11", "packages is a list", ""),
    "two in one": ("packages: [a b]", "1:12", "no name of a package", ""),
    "packages_from": ("packages_from: [EPEL]", "1:16", "by their source", ""),
    "manifest": ("manifest: maybe", "1:11", "maybe", "strict, warn, off"),
    "colour": ("color: '#ff0000'", "1:8", "no name of a colour", ""),
    "twice": ("name: a\nname: b", "2:1", "given twice", ""),
    "no mapping": ("- name", "1:1", "KEY: VALUE", ""),
    "tag": ("name: !!python/object:os.system x", "1:7", "tag", ""),
    "tab": ("name:\n\t- x", "2:1", "not valid YAML", "indentation"),
}


@pytest.mark.parametrize(("text", "place", "said", "hint"), FAULTS.values(), ids=FAULTS)
def test_faults_are_told_at_their_place(tree: Write, text: str, place: str, said: str, hint: str) -> None:
    folder = tree({"lab/roll.yaml": text}) / "lab"
    with pytest.raises(RollbuildError) as caught:
        read_source(folder)
    assert str(caught.value.location) == f"{folder / 'roll.yaml'}:{place}"
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_all_faults_come_at_once(tree: Write) -> None:
    folder = tree({"lab/roll.yaml": "version: a b\npriority: x\nfoo: 1\nrequires: ['?', '!']\n"}) / "lab"
    with pytest.raises(FindingsError) as caught:
        read_source(folder)
    assert [finding.location.line for finding in caught.value.findings if finding.location] == [1, 2, 3, 4, 4]


OLD = {
    "plain": ("ROLLNAME = tools\nVERSION = 6.2\nRELEASE = 3\nCOLOR = tan\n", ("tools", "6.2", "3", "tan")),
    "references": (
        "BASE=1\nMINOR := 4\nexport VERSION = $(BASE).${MINOR}\nROLLNAME=$(VERSION)x\n",
        ("1.4x", "1.4", "0", ""),
    ),
    "no version": ("RELEASE\t= 2 # second\n", ("lab", "7.0", "2", "")),
    "continued": ("ROLLNAME = \\\n   tools\nVERSION = 1\n", ("tools", "1", "0", "")),
    "conditions are passed over": (
        "VERSION = 1\nifeq ($(X), 5)\nVERSION = 5\nelse\nVERSION = 6\nendif\nRELEASE ?= 4\nRELEASE ?= 5\n",
        ("lab", "1", "4", ""),
    ),
    "included": ("include other.mk\n-include none.mk ../up.mk\nVERSION = $(OTHER)\n", ("lab", "3.3", "0", "")),
    "what only make knows is not needed": (
        "X = $(shell date)\nVERSION = 2\nREDHAT.ROOT = $(CURDIR)\n",
        ("lab", "2", "0", ""),
    ),
}


@pytest.mark.parametrize(("text", "read"), OLD.values(), ids=OLD)
def test_version_mk(tree: Write, text: str, read: tuple[str, ...]) -> None:
    files = {"lab/version.mk": text, "lab/other.mk": "OTHER = 3.3\n", "up.mk": "OTHER = 9\n", "lab/nodes/a.xml": NODE}
    source = read_source(tree(files) / "lab")
    assert (source.name, source.version, source.release, source.color) == read
    assert source.is_old
    assert [finding.code for finding in source.findings] == (["ROLL-VERSION"] if read[1] == "7.0" else [])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("ROLLNAME = a\nVERSION = $(shell date +%Y)\n", 2, "function of make"),
        ("VERSION = $(NOWHERE)\n", 1, "$(NOWHERE)"),
        ("VERSION = $(VERSION).1\n", 1, "known to make only"),
        ("A = $(B)\nB = $(A)\nVERSION = $(A)\n", 2, "known to make only"),
        ("VERSION = 1\nROLLNAME = ../evil\n", 2, "no name of a roll"),
    ],
)
def test_what_version_mk_does_not_say(tree: Write, text: str, line: int, said: str) -> None:
    folder = tree({"lab/version.mk": text}) / "lab"
    with pytest.raises(RollbuildError) as caught:
        read_source(folder)
    assert said in caught.value.message
    assert caught.value.location and caught.value.location.line == line


def test_values_that_double_do_not_grow_without_end(tree: Write) -> None:
    lines = ["A0 = xxxxxxxx", *(f"A{number} = $(A{number - 1})$(A{number - 1})" for number in range(1, 60))]
    folder = tree({"lab/version.mk": "\n".join([*lines, "VERSION = $(A59)"])}) / "lab"
    with pytest.raises(RollbuildError, match="grows without end"):
        read_source(folder)


def test_a_roll_without_files_that_describe_it_has_its_folders_name(tree: Write) -> None:
    top = tree(
        {"tools/nodes/a.xml": NODE, "empty/x": "", "Odd name/nodes/a.xml": NODE, "graphs/default/a.xml": "<graph/>"}
    )
    assert read_source(top / "tools").name == "tools"
    assert read_source(top / "graphs").only_graphs
    with pytest.raises(RollbuildError, match="no roll's source"):
        read_source(top / "empty")
    with pytest.raises(RollbuildError, match="no name of a roll"):
        read_source(top / "Odd name")


def test_sources_of_a_folder(tree: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tree(
        {
            "rolls/b/roll.yaml": "",
            "rolls/a/nodes/a.xml": NODE,
            "rolls/.hidden/roll.yaml": "",
            "rolls/notes/readme": "",
            "graphs/default/a.xml": "<graph/>",
        }
    )
    assert find_sources(top) == (top / "rolls/a", top / "rolls/b", top / "graphs")
    assert find_sources(top / "rolls") == (top / "rolls/a", top / "rolls/b")
    monkeypatch.chdir(top / "graphs")
    assert find_sources(Path(".")) == (Path("."),)
    for wrong, said in ((top / "none", "does not exist"), (top / "rolls/notes", "no roll in")):
        with pytest.raises(RollbuildError, match=said):
            find_sources(wrong)


@given(st.binary(max_size=200) | st.text("nameversion: []{}-&*!\n\t'\"1.,", max_size=200).map(str.encode))
def test_any_roll_yaml_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}.yaml"
    path.write_bytes(data)
    try:
        values, _ = read_roll_yaml(path, "lab")
    except RollbuildError as problem:
        assert problem.location is not None
    else:
        assert values["name"]
