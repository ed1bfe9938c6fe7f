import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from rollbuild.errors import MISSING_PROGRAM, REFUSED, RollbuildError
from rollbuild.process import Completed, find_program, run_program


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int) -> None:
    end = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < end, f"process {pid} still runs"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["true"], Completed(0, b"", b"")),
        (["sh", "-c", "printf out; printf err >&2; exit 3"], Completed(3, b"out", b"err")),
        (["sh", "-c", "kill -TERM $$"], Completed(-15, b"", b"")),
        (["printf", "%s", "$HOME; `id`"], Completed(0, b"$HOME; `id`", b"")),
        (["sh", "-c", "exec >&- 2>&-; sleep 0.05; exit 7"], Completed(7, b"", b"")),
        (["cat"], Completed(0, b"", b"")),
    ],
)
def test_what_a_program_leaves(argv: list[str], expected: Completed) -> None:
    assert run_program(argv) == expected


def test_large_input_and_output_do_not_block() -> None:
    content = os.urandom(3_000_000)
    assert run_program(["cat"], input=content, timeout=30).stdout == content


def test_input_that_is_not_read_is_no_error() -> None:
    assert run_program(["true"], input=b"x" * 1_000_000).returncode == 0


def test_environment_and_folder(tmp_path: Path) -> None:
    done = run_program(["sh", "-c", "pwd; echo $WORD"], env={"WORD": "said"}, cwd=tmp_path)
    assert done.stdout.decode() == f"{tmp_path}\nsaid\n"


@pytest.mark.parametrize(
    ("argv", "package", "hint"),
    [
        (["no-such-program"], None, "install the package no-such-program"),
        (["no-such-program"], ("deb", "el"), "install the package el (Enterprise Linux) or deb (Debian)"),
        (["/no/such/mcopy"], None, "install the package mtools"),
    ],
)
def test_a_missing_program_is_named_with_its_package(
    argv: list[str], package: tuple[str, str] | None, hint: str
) -> None:
    with pytest.raises(RollbuildError) as caught:
        run_program(argv, package=package)
    assert caught.value.exit_code == MISSING_PROGRAM
    assert (caught.value.message, caught.value.hint) == (f"the program {argv[0]} is missing", hint)


def test_what_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("#!/bin/sh\n")
    with pytest.raises(RollbuildError, match="may not be run"):
        run_program([str(tmp_path / "text")])
    with pytest.raises(RollbuildError, match="no such folder"):
        run_program(["true"], cwd=tmp_path / "none")
    with pytest.raises(RollbuildError, match="cannot be run: argument list too long"):
        run_program(["true", "x" * 3_000_000])
    with pytest.raises(RollbuildError, match="cannot be run: embedded null"):
        run_program(["true", "a\0b"])


@pytest.mark.parametrize("closes_output", [False, True])
def test_a_timeout_kills_the_whole_group(tmp_path: Path, closes_output: bool) -> None:
    redirect = "exec >&- 2>&-;" if closes_output else ""
    script = f"{redirect} sleep 60 & echo $! >{tmp_path}/pid; wait"
    started = time.monotonic()
    with pytest.raises(RollbuildError, match=r"did not end within 0\.5 seconds") as caught:
        run_program(["sh", "-c", script], timeout=0.5)
    assert time.monotonic() - started < 10
    assert caught.value.exit_code == REFUSED
    wait_until_dead(int((tmp_path / "pid").read_text()))


def test_an_interrupt_kills_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_program(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"], timeout=30)
    thread.join()
    wait_until_dead(int(pid.read_text()))


def test_output_without_end_is_stopped() -> None:
    with pytest.raises(RollbuildError, match="yes wrote more than 100,000 bytes"):
        run_program(["yes"], output_limit=100_000, timeout=30)


def test_programs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_program("sh")
    assert find_program("no-such-program") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lint").touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert find_program("lint") == str(tmp_path / "bin" / "lint")
    (tmp_path / "lint").touch(mode=0o755)
    assert find_program("lint") == str(tmp_path / "lint")
