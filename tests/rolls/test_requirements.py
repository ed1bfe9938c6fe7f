from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.findings import Severity
from rollbuild.rolls import BuiltRoll, RollId, parse_requirement
from rollbuild.rolls.requirements import find_unmet, resolve_enabled


def roll(text: str, requires: str = "", conflicts: str = "", releases: str = "") -> BuiltRoll:
    """A roll of `NAME-VERSION-RELEASE[.ARCH]`."""
    name, version, rest = text.split("-")
    release, _, arch = rest.partition(".")
    return BuiltRoll(
        RollId(name, version, release, arch or "x86_64"),
        requires=tuple(parse_requirement(item) for item in requires.split(",") if item),
        conflicts=tuple(parse_requirement(item) for item in conflicts.split(",") if item),
        releases=tuple(releases.split()),
    )


BASE, BASE2 = roll("base-1-1"), roll("base-2-1")
HPC = roll("hpc-1-1", "base >= 2")


@pytest.mark.parametrize(
    ("rolls", "available", "expected"),
    [
        ([], [], []),
        ([BASE2, HPC], [], []),
        ([HPC], [], ["ROLL-REQUIRES: roll hpc-1-1.x86_64 requires base >= 2, which is not enabled | roll add"]),
        ([HPC], [BASE, BASE2], ["ROLL-REQUIRES: roll hpc-1-1.x86_64 requires base >= 2, | enable base-2-1.x86_64"]),
        ([HPC, BASE], [], ["ROLL-REQUIRES: roll hpc-1-1.x86_64 requires base >= 2, but base-1-1.x86_64 is | roll add"]),
        ([BASE, BASE2], [], ["ROLL-VERSIONS: base-1-1.x86_64 and base-2-1.x86_64 are one roll | disable base-1-1"]),
        ([BASE, roll("base-2-1.aarch64")], [], []),
        ([BASE, roll("base-2-1.noarch")], [], ["ROLL-VERSIONS: base-1-1.x86_64 and base-2-1.noarch | disable"]),
        ([roll("a-1-1.aarch64", "base"), BASE], [], ["ROLL-REQUIRES: roll a-1-1.aarch64 requires base | add"]),
        ([roll("a-1-1.noarch", "base"), BASE], [], []),
        (
            [BASE, roll("a-1-1", conflicts="base < 2")],
            [],
            ["ROLL-CONFLICT: roll a-1-1.x86_64 conflicts with base | base"],
        ),
        ([BASE2, roll("a-1-1", conflicts="base < 2")], [], []),
        ([roll("a-1-1", conflicts="a")], [], []),
        (
            [roll("a-1-1", releases="el8"), roll("b-1-1", releases="el9 el10")],
            [],
            ["ROLL-RELEASE: roll b-1-1.x86_64 is for el9 and el10, which a-1-1.x86_64 is not for | disable some"],
        ),
        ([roll("a-1-1", releases="el8 el9"), roll("b-1-1", releases="el9 el10"), BASE], [], []),
        ([roll("a-1-1", "b"), roll("b-1-1", "a")], [], ["ROLL-CYCLE: rolls a, b require each other | together"]),
    ],
)
def test_what_is_wrong_with_a_set(
    rolls: Sequence[BuiltRoll], available: Sequence[BuiltRoll], expected: list[str]
) -> None:
    findings = resolve_enabled(rolls, available=[item.id for item in available])
    assert len(findings) == len(expected), findings
    for finding, text in zip(findings, expected, strict=True):
        message, _, hint = text.partition(" | ")
        assert f"{finding.code}: {finding.message}".startswith(message)
        assert hint in finding.hint
        assert (finding.severity is Severity.NOTE) is (finding.code == "ROLL-CYCLE")
    assert resolve_enabled(rolls[::-1], available=[item.id for item in available]) == findings


def test_a_release_that_a_roll_is_not_for() -> None:
    rolls = [roll("a-1-1", releases="el8 el9"), BASE]
    assert resolve_enabled(rolls, release="el9") == ()
    (finding,) = resolve_enabled(rolls, release="el10")
    assert finding.message == "roll a-1-1.x86_64 is for el8 and el9, not for el10"


def test_cycles_of_several_rolls() -> None:
    rolls = [roll("a-1-1", "b"), roll("b-1-1", "c"), roll("c-1-1", "b"), roll("d-1-1", "d"), roll("e-1-1", "d")]
    messages = [finding.message for finding in resolve_enabled(rolls)]
    assert messages == ["roll d requires itself", "rolls b, c require each other"]


def test_requirements_that_the_store_cannot_meet() -> None:
    assert find_unmet([HPC], [BASE2.id]) == ()
    assert find_unmet([HPC], [roll("base-2-1.aarch64").id])
    (finding,) = find_unmet([HPC], [BASE.id])
    assert (finding.severity, finding.code) == (Severity.WARNING, "ROLL-REQUIRES")


names = st.sampled_from("abc")
requirements = st.lists(st.tuples(names, st.sampled_from(["", " >= 2", " < 2"])), max_size=2).map(
    lambda items: ",".join(name + sign for name, sign in items)
)


@given(
    st.lists(
        st.builds(roll, st.tuples(names, st.sampled_from("123")).map("-".join).map("{}-1".format), requirements),
        max_size=5,
    )
)
def test_without_errors_every_requirement_is_met(rolls: list[BuiltRoll]) -> None:
    findings = resolve_enabled(rolls)
    met = all(any(wanted.is_met_by(other.id) for other in rolls) for item in rolls for wanted in item.requires)
    assert met is not any(finding.code == "ROLL-REQUIRES" for finding in findings)
