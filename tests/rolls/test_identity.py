import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import RollbuildError
from rollbuild.rolls import Requirement, RollId, is_roll_name, parse_requirement
from rollbuild.rolls.identity import compare_evr_text


def roll(version: str = "2.0", release: str = "1", name: str = "kernel") -> RollId:
    return RollId(name, version, release, "x86_64")


def test_the_text_of_a_roll() -> None:
    assert str(RollId("hpc", "9.1", "3", "noarch")) == "hpc-9.1-3.noarch"


@pytest.mark.parametrize(
    "parts",
    [
        ("", "1", "1", "x86_64"),
        ("..", "1", "1", "x86_64"),
        ("a/b", "1", "1", "x86_64"),
        ("a", "1/..", "1", "x86_64"),
        ("a", "-1", "1", "x86_64"),
        ("a", "1", "1-2", "x86_64"),
        ("a", "1", "", "x86_64"),
        ("a", "1", "1\n", "x86_64"),
        ("-a", "1", "1", "x86_64"),
        ("a", "1", "1", "vax"),
        ("a", "1", "1", "x86_64/.."),
    ],
)
def test_parts_that_lead_elsewhere_are_refused(parts: tuple[str, str, str, str]) -> None:
    with pytest.raises(RollbuildError):
        RollId(*parts)


@given(st.tuples(st.text(), st.text(), st.text()))
def test_no_part_ever_leads_elsewhere(parts: tuple[str, str, str]) -> None:
    try:
        text = str(RollId(*parts, "x86_64"))
    except RollbuildError:
        return
    assert "/" not in text and "\0" not in text and not text.startswith((".", "-"))


@pytest.mark.parametrize(
    ("text", "met", "unmet"),
    [
        ("kernel", ["1", "2.0", "99"], []),
        ("kernel >= 2.0", ["2.0", "2.0.1", "10"], ["1.9", "2.0~rc1"]),
        ("kernel<2.0", ["1.9", "2.0~rc1"], ["2.0", "10"]),
        ("kernel = 2.0", ["2.0", "2.00"], ["2.0.0", "2"]),
        ("kernel > 2.0", ["2.1"], ["2.0"]),
        ("kernel <= 2.0", ["2.0"], ["2.1"]),
        ("kernel >= 2.0-1", ["2.0", "3"], ["1"]),
        ("kernel >= 2.0-2", ["3"], ["2.0"]),
        ("kernel = 2017-12-01", ["2017-12-01"], ["2017-12-02", "2017"]),
        ("kernel >= 2017-12-01", ["2017-12-01", "2018-01-01"], ["2016-12-31"]),
    ],
)
def test_requirements(text: str, met: list[str], unmet: list[str]) -> None:
    wanted = parse_requirement(text)
    assert [version for version in met + unmet if wanted.is_met_by(roll(version))] == met
    assert not wanted.is_met_by(roll("2.0", name="colonel"))
    assert parse_requirement(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", ">= 2", "a >= ", "a b", "a => 2", "../a", "a ! 2", "a >= 2 3"])
def test_what_names_no_roll(text: str) -> None:
    with pytest.raises(RollbuildError):
        parse_requirement(text)


@given(st.text())
def test_any_text_is_a_requirement_or_refused(text: str) -> None:
    try:
        wanted = parse_requirement(text)
    except RollbuildError:
        return
    assert isinstance(wanted, Requirement) and wanted.name


def test_releases_are_compared_after_versions() -> None:
    assert compare_evr_text("1.0-2", "1.0-10") < 0 < compare_evr_text("1.1-1", "1.0-10")


@pytest.mark.parametrize(
    ("name", "is_one"), [("hpc", True), ("Hpc", False), ("a+b", False), ("", False), ("a\n", False)]
)
def test_names_of_new_rolls(name: str, is_one: bool) -> None:
    assert is_roll_name(name) is is_one


def test_which_rolls_meet_on_a_machine() -> None:
    one = RollId("a", "1", "1", "x86_64")
    assert one.shares_machines(RollId("b", "1", "1", "noarch"))
    assert not one.shares_machines(RollId("b", "1", "1", "aarch64"))
