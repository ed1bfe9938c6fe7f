"""A folder that appears with all its files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.files import write_folder


def test_it_is_there_with_all_its_files_and_only_then(tmp_path: Path) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        for number in range(3):
            assert not (tmp_path / "new").exists()
            yield f"f{number}", b"x" * number

    before = os.umask(0o077)
    try:
        write_folder(tmp_path / "new", items())
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        "f0": b"",
        "f1": b"x",
        "f2": b"xx",
    }
    assert os.listdir(tmp_path) == ["new"] and (tmp_path / "new").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("name", "code"), [("../x", REFUSED), ("f0", DISK), ("y" * 300, DISK)])
def test_nothing_is_left_when_it_fails(tmp_path: Path, name: str, code: int) -> None:
    with pytest.raises(RollbuildError) as caught:
        write_folder(tmp_path / "new", [("f0", b"x"), (name, b"x")])
    assert caught.value.exit_code == code and os.listdir(tmp_path) == []


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/own").write_text("x")
    with pytest.raises(RollbuildError) as caught:
        write_folder(tmp_path / "old", [("f0", b"x")])
    assert caught.value.exit_code == DISK
    assert os.listdir(tmp_path) == ["old"] and os.listdir(tmp_path / "old") == ["own"]
