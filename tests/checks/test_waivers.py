from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollbuild.checks import Waiver, apply_waivers, read_waivers
from rollbuild.errors import RollbuildError
from rollbuild.findings import error, warning
from rollbuild.location import Location

HERE = Location("waivers.yaml", 1)
FINDING = warning("DUP-COMMAND", "lang is given twice", Location("rolls/base/nodes/a.xml", 7, 2))

COVERS = {
    "code": (Waiver("DUP-COMMAND", "x", HERE), True),
    "other code": (Waiver("DUP-NODE", "x", HERE), False),
    "end of the path": (Waiver("DUP-COMMAND", "x", HERE, file="nodes/a.xml"), True),
    "whole path": (Waiver("DUP-COMMAND", "x", HERE, file="rolls/*/nodes/*.xml"), True),
    "part of a name": (Waiver("DUP-COMMAND", "x", HERE, file=".xml"), False),
    "other file": (Waiver("DUP-COMMAND", "x", HERE, file="nodes/b.xml"), False),
    "line": (Waiver("DUP-COMMAND", "x", HERE, line=7), True),
    "other line": (Waiver("DUP-COMMAND", "x", HERE, line=8), False),
    "match": (Waiver("DUP-COMMAND", "x", HERE, match="lang"), True),
    "no match": (Waiver("DUP-COMMAND", "x", HERE, match="url"), False),
}


@pytest.mark.parametrize(("waiver", "covers"), COVERS.values(), ids=COVERS)
def test_what_a_waiver_covers(waiver: Waiver, covers: bool) -> None:
    kept, waived = apply_waivers([FINDING], [waiver])
    assert waived == ((FINDING,) if covers else ())
    assert [finding.code for finding in kept] == ([] if covers else ["DUP-COMMAND", "WAIVER-UNUSED"])


def test_a_finding_without_a_place_is_not_in_a_file() -> None:
    placeless = error("KS-REQUIRED", "no language")
    assert apply_waivers([placeless], [Waiver("KS-REQUIRED", "x", HERE)])[1] == (placeless,)
    assert apply_waivers([placeless], [Waiver("KS-REQUIRED", "x", HERE, file="*")])[1] == ()


def test_waivers_are_read_with_their_places(tree: Callable[[Mapping[str, str]], Path]) -> None:
    text = (
        "# ours\n- code: ENC\n  file: a.xml\n  line: 3\n  match: x\n  reason: upstream's\n- {code: VAR, reason: old}\n"
    )
    path = str(tree({"waivers.yaml": text}) / "waivers.yaml")
    assert read_waivers(path) == (
        Waiver("ENC", "upstream's", Location(path, 2, 3), "a.xml", 3, "x"),
        Waiver("VAR", "old", Location(path, 7, 3)),
    )


REFUSED = {
    "no reason": ("- code: ENC\n", 1, "no reason"),
    "blank reason": ("- {code: ENC, reason: ' '}\n", 1, "no reason"),
    "no code": ("- reason: x\n", 1, "no code"),
    "unknown key": ("- code: ENC\n  lines: 3\n  reason: x\n", 2, "no lines"),
    "line": ("- {code: ENC, reason: x, line: three}\n", 1, "number"),
    "no list": ("code: ENC\n", 1, "list"),
    "no mapping": ("- ENC\n", 1, "mapping"),
    "list in it": ("- {code: [ENC], reason: x}\n", 1, "one text"),
    "twice": ("- {code: A, code: B, reason: x}\n", 1, "twice"),
    "no YAML": ("- {code: ENC\n", 2, "YAML"),
}


@pytest.mark.parametrize(("text", "line", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_told(tree: Callable[[Mapping[str, str]], Path], text: str, line: int, said: str) -> None:
    with pytest.raises(RollbuildError, match=said) as caught:
        read_waivers(tree({"w.yaml": text}) / "w.yaml")
    assert caught.value.location and caught.value.location.line == line


def test_an_empty_file_waives_nothing(tree: Callable[[Mapping[str, str]], Path]) -> None:
    assert read_waivers(tree({"w.yaml": "# none\n"}) / "w.yaml") == ()
