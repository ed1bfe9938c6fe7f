"""One insert-ethers at a time, and who it is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, RollbuildError
from rollbuild.files import system_path
from rollbuild.frontend.discovery.lock import LOCK, find_holder, hold_lock

_HOLD = """
import sys, time
from rollbuild.frontend.discovery.lock import hold_lock
with hold_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))


def holder() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_who_holds_it_is_said() -> None:
    process = holder()
    try:
        since = time.strftime("%H:%M")
        found = find_holder()
        assert found is not None and found.pid == process.pid
        with pytest.raises(RollbuildError) as caught, hold_lock():
            pass
        assert caught.value.exit_code == BUSY
        said = caught.value.message
        assert said.startswith(f"insert-ethers is already running (pid {process.pid}, ")
        assert said.endswith((f"since {since})", f"since {time.strftime('%H:%M')})"))
    finally:
        process.kill()
        process.communicate()
    assert find_holder() is None, "a lock dies with its process"
    with hold_lock():
        assert json.loads(system_path(LOCK).read_text())["pid"] == os.getpid()


def test_nobody_holds_it() -> None:
    assert find_holder() is None
    with hold_lock():
        pass
    assert find_holder() is None


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}', '{"pid": 1, "user": "root", "since": 1e300}'])
def test_a_file_that_says_nothing_useful(text: str) -> None:
    with hold_lock():
        system_path(LOCK).write_text(text)
        assert str(find_holder()) in ("pid unknown", "pid 1, root, since ?")


def test_a_start_on_an_earlier_day_has_its_date() -> None:
    with hold_lock():
        system_path(LOCK).write_text(json.dumps({"pid": 4711, "user": "root", "since": time.time() - 3 * 86400}))
        assert "since 20" in str(find_holder())


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = system_path(LOCK)
    path.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.symlink_to(victim)
    with pytest.raises(RollbuildError), hold_lock():
        pass
    assert victim.read_text() == "mine"
