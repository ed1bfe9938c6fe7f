import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.packages import compare_evr, compare_versions
from tests.programs import need_program

VERSIONS = st.text("0123456789abAB.~^_+", max_size=12)
# Oldest first; neighbours that are equal share a line.
ORDERED = (
    ("~",),
    ("", ".", "+_"),
    ("^", ".^"),
    ("a~1",),
    ("a",),
    ("b", "b."),
    ("1.0~rc1",),
    ("1.0~rc1^git2",),
    ("1.0", "1_0", "1.00", "01.0", "1..0"),
    ("1.0^",),
    ("1.0^20240101~1",),
    ("1.0^20240101",),
    ("1.0a",),
    ("1.0.1",),
    ("1.5",),
    ("1.10",),
    ("99999999999999999999999",),
    ("100000000000000000000000",),
)


def test_the_table_is_in_order():
    for low, equal in enumerate(ORDERED):
        for one in equal:
            assert {compare_versions(one, other) for other in equal} == {0}
            for newer in ORDERED[low + 1 :]:
                for other in newer:
                    assert (compare_versions(one, other), compare_versions(other, one)) == (-1, 1), (one, other)


def test_the_versions_compare_as_rpm_itself_compares_them():
    need_program("rpm")
    choose = random.Random(4)
    texts = [text for equal in ORDERED for text in equal if text.strip("~^.+_")]
    pairs = [(one, other) for one in texts for other in texts]
    while len(pairs) < 3000:
        # Two that share a beginning differ where it matters.
        stem, *tails = ("".join(choose.choices("0019abZ.~^_+", k=choose.randrange(5))) for _ in range(3))
        pairs.append((f"1{stem}{tails[0]}", f"1{stem}{tails[1]}"))
    answers: list[int] = []
    for start in range(0, len(pairs), 1000):
        calls = " ".join(f'print(rpm.vercmp("{a}","{b}") .. " ")' for a, b in pairs[start : start + 1000])
        done = subprocess.run(["rpm", "--eval", f"%{{lua: {calls}}}"], capture_output=True, text=True, check=True)
        answers += [int(line) for line in done.stdout.split()]
    assert len(answers) == len(pairs)
    wrong = [(pair, answer) for pair, answer in zip(pairs, answers, strict=True) if compare_versions(*pair) != answer]
    assert not wrong


@given(VERSIONS, VERSIONS, VERSIONS)
def test_comparing_is_an_order(a, b, c):
    assert compare_versions(a, a) == 0
    assert compare_versions(a, b) == -compare_versions(b, a)
    if compare_versions(a, b) <= 0 and compare_versions(b, c) <= 0:
        assert compare_versions(a, c) <= 0


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        (("", "1", "1"), ("0", "1", "1"), 0),
        (("1", "1", "1"), ("", "9", "9"), 1),
        (("2", "1", "1"), ("10", "1", "1"), -1),
        (("", "1.0", "2.el9"), ("", "1.0", "10.el9"), -1),
        (("", "1.1", "1"), ("", "1.0", "9"), 1),
        (("", "1.0", "1.el8"), ("", "1.0", "1.el9"), -1),
    ],
)
def test_epoch_goes_before_version_before_release(one, other, order):
    assert compare_evr(one, other) == order
    assert compare_evr(other, one) == -order
