import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rollbuild.errors import BUSY, DISK, RollbuildError
from rollbuild.files import locked

HOLDER = """\
import sys, signal
from rollbuild.files import locked
with locked(sys.argv[1], "at work"):
    print("held", flush=True)
    signal.pause()
"""


def hold(lock: Path) -> subprocess.Popen[str]:
    """A process that holds the lock, once this returns."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_lock_is_made_held_and_left(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for _ in range(2):
        with locked(lock, "trying"):
            assert lock.exists()
    assert lock.read_bytes() == b""


def test_a_held_lock_is_busy_and_dies_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    process = hold(lock)
    try:
        with pytest.raises(RollbuildError, match="another rollbuild is trying") as refusal, locked(lock, "trying"):
            pass
        assert refusal.value.exit_code == BUSY
        assert str(lock) in refusal.value.hint
    finally:
        end(process, signal.SIGKILL)
    with locked(lock, "trying"):
        pass


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    process = hold(lock)
    ender = threading.Timer(0.15, end, (process, signal.SIGTERM))
    ender.start()
    with locked(lock, "trying", wait_seconds=60):
        assert process.poll() is not None
    ender.join()


def test_the_lock_is_dropped_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock", "failing"):
        raise KeyError
    with locked(tmp_path / "lock", "trying"):
        pass


def test_two_locks_of_one_process_shut_each_other_out(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock, "first"), pytest.raises(RollbuildError) as refusal, locked(lock, "second"):
        pass
    assert refusal.value.exit_code == BUSY


def test_children_do_not_inherit_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", "starting a program"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with locked(tmp_path / "lock", "trying"):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_lock_that_cannot_be(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "link")
    for path in (tmp_path / "no" / "lock", tmp_path, tmp_path / "link"):
        with pytest.raises(RollbuildError) as refusal, locked(path, "trying"):
            pass
        assert refusal.value.exit_code == DISK
    assert not (tmp_path / "elsewhere").exists()
