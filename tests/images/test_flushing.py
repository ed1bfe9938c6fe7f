"""Files that are brought to the disk while they grow."""

import importlib
import threading
from pathlib import Path

import pytest

from rollbuild.errors import DISK, RollbuildError
from rollbuild.images import flushing

module = importlib.import_module("rollbuild.images.flushing")  # the room's face has the function by this name


def test_it_follows_a_file_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, begun, seen = tmp_path / "a.iso", threading.Event(), list[tuple[int, int]]()
    start = module._find_start()
    if start is None:
        pytest.skip("this libc has no sync_file_range")

    def watched(file: int, first: int, length: int) -> object:
        seen.append((first, length))
        begun.set()
        return start(file, first, length)

    monkeypatch.setattr(module, "_find_start", lambda: watched)
    monkeypatch.setattr(module, "_STEP", 1000)
    before = threading.active_count()
    with flushing(path), open(path, "wb", buffering=0) as file:
        file.write(bytes(2500))
        assert begun.wait(10)
        begun.clear()
        file.write(bytes(2500))
        assert begun.wait(10)
    assert seen == [(0, 2000), (2000, 3000)]
    assert start(-1, 0, 1) == -1, "the call is made"
    assert threading.active_count() == before


@pytest.mark.parametrize("has_function", [True, False])
def test_what_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_function: bool) -> None:
    if not has_function:
        monkeypatch.setattr(module, "_find_start", lambda: None)
    with pytest.raises(RollbuildError, match="no such file") as caught, flushing(tmp_path / "a.iso"):
        pass
    assert caught.value.exit_code == DISK
    with pytest.raises(ValueError, match="the writer"), flushing(tmp_path / "a.iso"):
        raise ValueError("the writer")
