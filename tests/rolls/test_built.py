import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.rolls import BuiltRoll, RollId, read_built_roll, roll_folder
from rollbuild.rolls.built import is_outside, parse_built_roll
from tests.rolls.making import make_roll


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = make_roll(tmp_path, requires=["base >= 1"], conflicts=["other"], releases=["el9"])
    assert folder == tmp_path / "hello/1.0/x86_64" == roll_folder(tmp_path, RollId("hello", "1.0", "1", "x86_64"))
    built = read_built_roll(folder)
    assert parse_built_roll(built.to_json(), "x") == built
    assert [package.nevra for package in built.packages] == ["hello-0:1.0-1.noarch"]
    assert [str(item) for item in (*built.requires, *built.conflicts)] == ["base >= 1", "other"]


def test_the_digest_is_of_everything(tmp_path: Path) -> None:
    one = read_built_roll(make_roll(tmp_path / "a"))
    assert one.digest == read_built_roll(make_roll(tmp_path / "b")).digest
    assert one.digest != read_built_roll(make_roll(tmp_path / "c", files={"profile/README": "x"})).digest


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """As another rollbuild may have written it otherwise, or with more in it."""
    folder = make_roll(tmp_path)
    text = json.dumps(json.loads((folder / "roll.json").read_bytes()) | {"later": 1})
    (folder / "roll.json").write_text(text)
    assert read_built_roll(folder).digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2"),
        ({"name": "../../etc"}, "is no name of a roll"),
        ({"arch": "vax"}, "is no architecture"),
        ({"releases": ["el5"]}, "release el5 is not known"),
        ({"requires": ["a b"]}, "does not name a roll"),
        ({"files": {"../x": {"sha256": "0", "size": 1}}}, "outside of its roll: ../x"),
        ({"files": {"/etc/passwd": {"sha256": "0", "size": 1}}}, "outside of its roll: /etc/passwd"),
        ({"files": {"a/../../x": {"sha256": "0", "size": 1}}}, "outside of its roll"),
        ({"files": {}}, "does not list its file RPMS/hello"),
        ({"files": []}, "is damaged"),
        ({"keys": ["nowhere"]}, "does not list its file nowhere"),
        ({"version": None}, "is no version of a roll|is damaged"),
        ({"name": "a" * 300}, "more than 200 characters"),
        ({"version": "1" * 300}, "more than 200 characters"),
        ({"summary": "x\ud800"}, "is damaged"),
        ({"epoch": float("inf")}, "is damaged"),
        ({"epoch": 10**30}, "its epoch is"),
        ({"epoch": -1}, "its epoch is -1"),
        ({"files": {"x": {"sha256": "0", "size": -5}}}, "has -5 bytes"),
        ({"files": {"a\nb": {"sha256": "0", "size": 1}}}, "control characters: 'a.*nb'"),
        ({"requires": ["a >= 1\x1b[31m"]}, "does not name a roll"),
        ({"requires": ["a" + "<1" * 1_000_000]}, r"'a<1<1.*\.\.\.' does not name a roll"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = make_roll(tmp_path)
    content = json.loads((folder / "roll.json").read_bytes()) | change
    if change == {"version": None}:
        del content["version"]
    (folder / "roll.json").write_text(json.dumps(content))
    with pytest.raises(RollbuildError, match=message) as refusal:
        read_built_roll(folder)
    assert refusal.value.exit_code == REFUSED
    assert refusal.value.location is not None and refusal.value.location.file == str(folder / "roll.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(RollbuildError, match="damaged"):
        parse_built_roll(data, "roll.json")


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(RollbuildError) as refusal:
        read_built_roll(tmp_path)
    assert refusal.value.exit_code == DISK


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["name", "version", "files", "packages", "keys", "requires", "epoch"]), json_values)
)
def test_any_content_is_a_roll_or_refused(change: dict[str, object]) -> None:
    whole = json.loads(BuiltRoll(RollId("a", "1", "1", "noarch")).to_json())
    try:
        parse_built_roll(json.dumps(whole | change).encode(), "roll.json")
    except RollbuildError as problem:
        assert problem.exit_code == REFUSED


@pytest.mark.parametrize("name", ["/a", "..", "a/..", "a//b", "./a", "", "a/", "a\0b", "a/../b"])
def test_names_that_lead_out(name: str) -> None:
    assert is_outside(name)


@pytest.mark.parametrize("name", ["a", "a/b.c", "..a", "a/...", ".a"])
def test_names_that_stay_inside(name: str) -> None:
    assert not is_outside(name)
