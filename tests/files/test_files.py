import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.files import read_limited, reading, staged_folder, staging, write_atomically, write_many


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes three bytes at a time and is full after nine of a file."""
    real_write = os.write
    written: dict[int, int] = {}

    def write(file: int, content: bytes) -> int:
        inode = os.fstat(file).st_ino
        if written.get(inode, 0) >= 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = real_write(file, content[:3])
        written[inode] = written.get(inode, 0) + count
        return count

    monkeypatch.setattr(os, "write", write)


def test_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before, and longer")
    write_atomically(path, b"after", sync=True)
    assert contents(tmp_path) == {"a": b"after"}


def test_write_to_a_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("a", b"x")
    assert contents(tmp_path) == {"a": b"x"}


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 0o640), (0o600, 0o600), (0o755, 0o750)])
def test_mode_is_less_the_umask(tmp_path: Path, umask: None, mode: int, expected: int) -> None:
    write_atomically(tmp_path / "a", b"x", mode=mode)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"real")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert contents(tmp_path) == {"real": b"real", "link": b"new"}


def test_short_writes_are_continued(tmp_path: Path, small_disk: None) -> None:
    write_atomically(tmp_path / "a", b"123456789")
    assert contents(tmp_path) == {"a": b"123456789"}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, small_disk: None) -> None:
    (tmp_path / "b").write_text("before")
    with pytest.raises(RollbuildError, match=r"cannot write .*/b: no space left") as caught:
        write_many(tmp_path, [("a", b"fits"), ("b", b"does not fit"), ("c", b"never")])
    assert (caught.value.exit_code, caught.value.hint) == (DISK, reading._REMEDIES[errno.ENOSPC])
    assert contents(tmp_path) == {"a": b"fits", "b": b"before"}


def test_an_interrupt_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../a", "a\0b"])
def test_names_with_folders_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RollbuildError, match="no file name") as caught:
        write_many(tmp_path, [(name, b"x")])
    assert caught.value.exit_code == REFUSED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none/a", "no such file"),
        ("file/a", "not a directory"),
        ("folder", "is a directory"),
        ("x" * 300, "too long"),
    ],
)
def test_write_errors_name_path_and_remedy(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RollbuildError, match=said) as caught:
        write_atomically(tmp_path / path, b"x")
    assert caught.value.exit_code == DISK
    assert caught.value.hint
    assert str(tmp_path) in caught.value.message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_threads_may_write_one_folder(tmp_path: Path) -> None:
    def write() -> None:
        write_many(tmp_path, ((f"n{i}", b"x" * 5000) for i in range(50)))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path) == {f"n{i}": b"x" * 5000 for i in range(50)}


@given(st.binary(max_size=200))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "same"
    write_atomically(path, content)
    assert read_limited(path, len(content)) == content


def test_read_refuses_what_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1001)
    with pytest.raises(RollbuildError, match="larger than 1,000 bytes") as caught:
        read_limited(tmp_path / "a", 1000)
    assert str(caught.value.location) == str(tmp_path / "a")


def test_read_does_not_trust_the_size() -> None:
    assert b"PATH" in read_limited("/proc/self/environ", 10_000_000)  # its size is given as 0
    with pytest.raises(RollbuildError, match="larger than"):
        read_limited("/proc/self/environ", 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "no such file"),
        ("folder", "a folder where a file"),
        ("pipe", "a pipe or a device"),
        ("/dev/null", "a pipe or a device"),
        ("file/a", "not a directory"),
    ],
)
def test_read_errors(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(RollbuildError, match=said) as caught:
        read_limited(tmp_path / name, 100)
    assert caught.value.exit_code == DISK
    assert os.listdir("/proc/self/fd") == before


def test_read_without_permission() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.touch(mode=0)
        os.chmod(folder, 0o755)
        try:
            if user == 0:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(RollbuildError, match="permission denied") as caught:
                read_limited(path, 100)
        finally:
            os.seteuid(user)
    assert "permissions" in caught.value.hint


@pytest.mark.parametrize("exchange", [True, False], ids=["exchanged", "renamed twice"])
@pytest.mark.parametrize("before", [True, False], ids=["over old content", "new"])
def test_a_stage_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, before: bool) -> None:
    if not exchange:
        monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    destination = tmp_path / "deep" / "out"
    if before:
        destination.mkdir(parents=True)
        (destination / "old").write_text("old")
    with staged_folder(destination) as stage:
        assert stage.parent == destination.parent
        (stage / "new").write_text("new")
        assert before == (destination / "old").exists()
    assert contents(tmp_path) == {"deep/out/new": b"new"}
    assert os.listdir(destination.parent) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failed_stage_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(error), staged_folder(tmp_path / "out") as stage:
        (stage / "new").write_text("new")
        raise error
    assert contents(tmp_path) == {"out/old": b"old"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_failed_second_rename_puts_the_old_content_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if Path(source).name.startswith(staging._STAGE_PREFIX):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(RollbuildError, match="input/output error"), staged_folder(tmp_path / "out"):
        pass
    assert contents(tmp_path) == {"out/old": b"old"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    with staged_folder(tmp_path / "out") as stage:
        (stage / "new").write_text("new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real" / "new").read_text() == "new"


def test_a_stage_does_not_replace_a_file_or_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RollbuildError, match="not a directory"), staged_folder(tmp_path / "file"):
        pytest.fail("not reached")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for destination in (".", "..", tmp_path):
        with pytest.raises(RollbuildError, match="the folder you are in"), staged_folder(destination):
            pytest.fail("not reached")
    assert contents(tmp_path) == {"file": b"x"}


def test_the_stage_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from rollbuild.files import staged_folder\n"
        "with staged_folder(sys.argv[1]) as stage:\n"
        "    (stage / 'half').write_text('half')\n"
        "    print(stage, flush=True)\n"
        "    time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "out")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        stage = Path(process.stdout.readline().strip())
        assert (stage / "half").exists()
        with staged_folder(tmp_path / "other"):
            assert stage.exists()
        process.send_signal(signal.SIGKILL)
    assert stage.exists()
    with staged_folder(tmp_path / "other"):
        assert not stage.exists()
    assert os.listdir(tmp_path) == ["other"]
