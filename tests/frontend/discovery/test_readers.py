"""Following logs: files that grow, are rotated, cut, removed and made again; a journalctl that ends."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.frontend.discovery.readers import follow_file, follow_journal

_SECONDS = 10.0


class Follower:
    """Reads in a thread; `next` waits for a line."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.ready = threading.Event()
        self.lines: Queue[str] = Queue()
        self.told: Queue[str] = Queue()
        self.thread: threading.Thread | None = None

    def start(self, lines: Iterator[str]) -> None:
        def work() -> None:
            for line in lines:
                self.lines.put(line)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert self.ready.wait(_SECONDS)

    def next(self, count: int = 1) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            line = self.lines.get(timeout=_SECONDS)
            if line:
                found.append(line)
        return found


@pytest.fixture
def follower() -> Iterator[Follower]:
    follower = Follower()
    yield follower
    follower.stop.set()
    if follower.thread is not None:
        follower.thread.join(_SECONDS)
        assert not follower.thread.is_alive()


def follow(follower: Follower, path: Path) -> None:
    lines = follow_file(path, follower.stop, follower.told.put, ready=follower.ready)
    follower.start(lines)


def add(path: Path, text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def test_only_what_is_added(tmp_path: Path, follower: Follower) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    follow(follower, log)
    add(log, "one\ntw")
    assert follower.next() == ["one"]
    add(log, "o\n")
    assert follower.next() == ["two"]


def test_a_log_that_is_rotated(tmp_path: Path, follower: Follower) -> None:
    log = tmp_path / "log"
    log.write_text("")
    follow(follower, log)
    add(log, "one\n")
    assert follower.next() == ["one"]
    held = open(log, "a")  # noqa: SIM115 - the server keeps its file for a moment, as it does
    os.rename(log, tmp_path / "log.1")
    held.write("two\n")
    held.close()
    add(log, "three\n")
    assert follower.next(2) == ["two", "three"]


def test_a_log_that_is_cut(tmp_path: Path, follower: Follower) -> None:
    log = tmp_path / "log"
    log.write_text("some old lines\n")
    follow(follower, log)
    add(log, "one\n")
    assert follower.next() == ["one"]
    log.write_text("two\n")
    assert follower.next() == ["two"]


def test_a_log_that_comes_later(tmp_path: Path, follower: Follower) -> None:
    log = tmp_path / "log"
    follow(follower, log)
    assert follower.told.get(timeout=_SECONDS) == f"cannot read {log}: no such file or directory"
    add(log, "one\n")
    assert follower.next() == ["one"]


def test_a_log_that_is_a_folder_is_told(tmp_path: Path, follower: Follower) -> None:
    follow(follower, tmp_path)
    assert "is a directory" in follower.told.get(timeout=_SECONDS)


def test_lines_that_are_no_text_or_endless(tmp_path: Path, follower: Follower) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    follow(follower, log)
    with open(log, "ab") as file:
        file.write(b"\xff\xfe\n" + b"x" * 100_000 + b"\nnext\n")
    bad, long, after = follower.next(3)
    assert bad == "\ufffd\ufffd"
    assert set(long) == {"x"} and len(long) == 8192
    assert after == "next"


def script(folder: Path, text: str) -> None:
    program = folder / "journalctl"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_the_journal(tmp_path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, 'echo "$@"; exec sleep 1000')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    follower.start(follow_journal(follower.stop, follower.told.put, ready=follower.ready))
    (line,) = follower.next()
    assert line.split() == [
        *("--follow", "--lines=0", "--output=cat", "--no-pager", "--quiet"),
        *("--unit=dnsmasq", "--unit=kea-dhcp4", "--unit=dhcpd"),
    ]


def test_a_journalctl_that_fails_is_told_and_started_again(
    tmp_path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, f'echo run >> "{tmp_path}/runs"; echo "No permission"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("rollbuild.frontend.discovery.readers._AGAIN", 0.01)
    follower.start(follow_journal(follower.stop, follower.told.put, ready=follower.ready))
    for _ in range(2):
        assert follower.told.get(timeout=_SECONDS) == "journalctl ended: No permission; it is started again"


def test_no_journalctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RollbuildError, match="journalctl is missing"):
        next(follow_journal(threading.Event(), str))
