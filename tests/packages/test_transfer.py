"""Large files fetched from servers that break off, change their files, or have the wrong ones."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollbuild.errors import BUSY, DISK, REFUSED, UNREACHABLE, RollbuildError
from rollbuild.packages import download_file
from rollbuild.packages import transfer as transfer_module
from tests.servers import Server, serve

CONTENT = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer_module, "PAUSES", (0.0, 0.0, 0.0))
    (tmp_path / "served").mkdir()
    put(tmp_path / "served" / "file", CONTENT)
    (tmp_path / "here").mkdir()
    with serve(tmp_path / "served") as made:
        yield made


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))


def fetch(server: Server, tmp_path: Path, name: str = "file", **options: Any) -> int:
    """Fetch a file; the sum of what `advance` was told. Nothing else stays beside it."""
    steps: list[int] = []
    target = tmp_path / "here" / name
    download_file(f"{server.url}/{name}", target, advance=steps.append, timeout=5, **options)
    assert min(steps, default=1) > 0
    assert [path.name for path in target.parent.iterdir()] == [name]
    return sum(steps)


def refuse(server: Server, tmp_path: Path, **options: Any) -> RollbuildError:
    with pytest.raises(RollbuildError) as refused:
        fetch(server, tmp_path, **options)
    assert not (tmp_path / "here" / "file").exists()
    return refused.value


def ranges(server: Server) -> list[str]:
    return [request.range for request in server.requests]


def test_a_whole_file(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, size=len(CONTENT), sha256=SHA256) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT
    assert ranges(server) == [""]


def test_an_empty_file(server: Server, tmp_path: Path) -> None:
    put(tmp_path / "served" / "empty", b"")
    assert fetch(server, tmp_path, "empty", size=0) == 0
    assert (tmp_path / "here" / "empty").read_bytes() == b""


def test_what_was_there_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "here" / "file").write_bytes(b"old")
    fetch(server, tmp_path)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("etags", ["strong", "weak", ""])
@pytest.mark.parametrize("modified", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_connections_that_break_are_resumed(
    server: Server, tmp_path: Path, etags: str, modified: bool, known: bool
) -> None:
    server.etags, server.modified, server.cuts = etags, modified, [70_000, 0, 100_000]
    assert fetch(server, tmp_path, sha256=SHA256 if known else None) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT
    if etags == "strong" or modified or known:
        assert ranges(server) == ["", "bytes=70000-", "bytes=70000-", "bytes=170000-"]
        assert server.sent == len(CONTENT)
    else:  # nothing tells whether the rest belongs to what has arrived
        assert ranges(server) == [""] * 4


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [70_000]
    assert fetch(server, tmp_path) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


def test_a_server_that_tells_no_lengths(server: Server, tmp_path: Path) -> None:
    server.lengths, server.cuts = False, [70_000, 80_000]
    assert fetch(server, tmp_path, size=len(CONTENT)) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_busy_servers_are_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.statuses = [status, status, 0]
    server.cuts = [70_000]
    assert fetch(server, tmp_path) == len(CONTENT)


def test_a_server_that_stays_busy(server: Server, tmp_path: Path) -> None:
    server.always = {"/file": 503}
    refused = refuse(server, tmp_path)
    assert (refused.exit_code, "answers 503" in refused.message) == (UNREACHABLE, True)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(server: Server, tmp_path: Path, status: int) -> None:
    server.always = {"/file": status}
    assert refuse(server, tmp_path).exit_code == REFUSED
    assert len(server.requests) == 1


def test_what_broke_off_again_and_again_is_resumed_later(server: Server, tmp_path: Path) -> None:
    server.cuts = [50_000, 10_000, 10_000, 10_000]
    refused = refuse(server, tmp_path)
    assert (refused.exit_code, "kept and resumed" in refused.hint) == (UNREACHABLE, True)
    assert "80,000 of 300,000 bytes" in refused.message
    assert fetch(server, tmp_path) == len(CONTENT)
    assert ranges(server)[-1] == "bytes=80000-"
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("etags", ["strong", ""])
def test_a_file_that_changes_between_tries_starts_anew(server: Server, tmp_path: Path, known: bool, etags: str) -> None:
    server.etags = etags
    server.cuts = [50_000] * 4
    refuse(server, tmp_path)
    changed = CONTENT[::-1]
    put(tmp_path / "served" / "file", changed)
    os.utime(tmp_path / "served" / "file", (1_700_000_100, 1_700_000_100))
    sha256 = hashlib.sha256(changed).hexdigest()
    assert fetch(server, tmp_path, sha256=sha256 if known else None) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == changed


def test_pieces_of_two_versions_are_noticed(server: Server, tmp_path: Path) -> None:
    """A server that says nothing of its files' versions: the checksum does."""
    server.etags, server.modified, server.cuts = "", False, [50_000] * 4
    refuse(server, tmp_path, sha256="0" * 64)
    changed = CONTENT[::-1]
    put(tmp_path / "served" / "file", changed)
    assert fetch(server, tmp_path, sha256=hashlib.sha256(changed).hexdigest()) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == changed


def test_all_of_it_was_there(server: Server, tmp_path: Path) -> None:
    """Killed between the last byte and the new name."""
    (tmp_path / "here" / "file.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path, size=len(CONTENT), sha256=SHA256) == len(CONTENT)
    assert server.requests == []


def test_a_part_that_is_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "here" / "file.part").write_bytes(CONTENT + b"more")
    assert fetch(server, tmp_path, sha256=SHA256) == len(CONTENT)
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


def test_the_wrong_file(server: Server, tmp_path: Path) -> None:
    refused = refuse(server, tmp_path, sha256="1" * 64)
    assert refused.exit_code == REFUSED
    assert SHA256 in refused.message
    assert "1" * 64 in refused.message
    assert refused.hint
    assert list((tmp_path / "here").iterdir()) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [({"size": 5}, "has 300,000 bytes, and 5 were expected"), ({"limit": 1000}, "is larger than 1,000 bytes")],
)
@pytest.mark.parametrize("lengths", [True, False])
def test_more_than_expected(server: Server, tmp_path: Path, lengths: bool, options: dict[str, int], said: str) -> None:
    server.lengths = lengths
    refused = refuse(server, tmp_path, **options)
    assert refused.exit_code == REFUSED
    assert (said if lengths else "is larger than") in refused.message
    assert list((tmp_path / "here").iterdir()) == []


def test_no_space_is_told_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs_result((4096, 4096, 100, 10, 10, 100, 100, 100, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda _: free)
    refused = refuse(server, tmp_path)
    assert refused.exit_code == DISK
    assert "needs 300,000 bytes" in refused.message
    assert "40,960 bytes are free" in refused.message
    assert server.sent == 0 or not (tmp_path / "here" / "file.part").read_bytes()


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    found: list[int] = []

    def meanwhile(step: int) -> None:
        with pytest.raises(RollbuildError) as refused:
            download_file(f"{server.url}/file", tmp_path / "here" / "file")
        found.append(refused.value.exit_code)

    download_file(f"{server.url}/file", tmp_path / "here" / "file", advance=meanwhile)
    assert set(found) == {BUSY}
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


def test_a_link_in_the_parts_place(server: Server, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "here" / "file.part").symlink_to(tmp_path / "precious")
    assert refuse(server, tmp_path).exit_code == DISK
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_redirects_are_followed_and_a_silent_server_is_left(server: Server, tmp_path: Path) -> None:
    server.redirects["/moved"] = "/file"
    assert fetch(server, tmp_path, "moved", sha256=SHA256) == len(CONTENT)
    server.silent.add("/file")
    with pytest.raises(RollbuildError) as refused:
        download_file(f"{server.url}/file", tmp_path / "here" / "file", timeout=0.1)
    assert (refused.value.exit_code, "timed out" in refused.value.message) == (UNREACHABLE, True)


def test_a_killed_run_is_resumed(server: Server, tmp_path: Path) -> None:
    server.pause = 0.02
    code = (
        "import pathlib, sys; from rollbuild.packages import download_file; "
        "download_file(sys.argv[1], pathlib.Path(sys.argv[2]), advance=lambda n: print(n, flush=True))"
    )
    argv = [sys.executable, "-c", code, f"{server.url}/file", str(tmp_path / "here" / "file")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    before = (tmp_path / "here" / "file.part").stat().st_size
    assert 0 < before < len(CONTENT)
    server.pause = 0
    assert fetch(server, tmp_path) == len(CONTENT)
    assert ranges(server)[-1] == f"bytes={before}-"
    assert (tmp_path / "here" / "file").read_bytes() == CONTENT


@given(
    cuts=st.lists(st.none() | st.integers(0, 5000), max_size=12),
    etags=st.sampled_from(["strong", "weak", ""]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    size=st.integers(0, 5000),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cuts_give_the_same_bytes(
    server: Server, tmp_path: Path, cuts: list[int | None], etags: str, flags: tuple[bool, ...], size: int
) -> None:
    content = CONTENT[:size]
    put(tmp_path / "served" / "some", content)
    server.ranges, server.modified, server.lengths, known = flags
    server.etags, server.cuts = etags, list(cuts)
    sha256 = hashlib.sha256(content).hexdigest() if known else None
    end = time.monotonic() + 20
    while True:
        assert time.monotonic() < end
        try:
            assert fetch(server, tmp_path, "some", size=size, sha256=sha256) == size
        except RollbuildError as problem:
            assert problem.exit_code == UNREACHABLE
            continue
        break
    assert (tmp_path / "here" / "some").read_bytes() == content
    (tmp_path / "here" / "some").unlink()
