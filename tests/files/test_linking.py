import errno
import fcntl
import hashlib
import os
import stat
import struct
from pathlib import Path

import pytest

from rollbuild.errors import DISK, REFUSED, RollbuildError
from rollbuild.files import copy_file, copy_symlink, digest_file, link_file, link_tree, walk_tree

OLD = 1_000_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    path.chmod(0o640)
    os.utime(path, (OLD, OLD))
    return path


def refuse_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)


def test_a_link_shares_the_file(source: Path, tmp_path: Path) -> None:
    assert link_file(source, tmp_path / "target") is True
    assert os.path.samefile(source, tmp_path / "target")


@pytest.mark.parametrize(
    "number", [errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get
)
def test_where_no_link_can_be_a_copy_is(
    number: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch, number)
    assert link_file(source, tmp_path / "target") is False
    status = (tmp_path / "target").stat()
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o640, OLD, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_other_refusals_are_told(number: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_links(monkeypatch, number)
    with pytest.raises(RollbuildError, match=r"cannot write .*target") as refusal:
        link_file(source, tmp_path / "target")
    assert refusal.value.exit_code == DISK
    assert not (tmp_path / "target").exists()


def test_another_file_system(source: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == source.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    target = shm / f"rollbuild-test-{os.getpid()}"
    try:
        assert link_file(source, target) is False
        assert target.read_bytes() == source.read_bytes()
    finally:
        target.unlink(missing_ok=True)


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("there")
    for make in (link_file, copy_file):
        with pytest.raises(RollbuildError) as refusal:
            make(source, tmp_path / "target")
        assert refusal.value.exit_code == DISK
    assert (tmp_path / "target").read_text() == "there"


def test_a_copy_follows_no_link(source: Path, tmp_path: Path) -> None:
    os.symlink(source, tmp_path / "link")
    with pytest.raises(RollbuildError):
        copy_file(tmp_path / "link", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_half_a_copy_is_removed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, count = os.write, iter(range(100))

    def write(file: int, content: bytes) -> int:
        if next(count):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, content[:10])

    def no_clone(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(fcntl, "ioctl", no_clone)
    with pytest.raises(RollbuildError, match="no space left") as refusal:
        copy_file(source, tmp_path / "target")
    assert refusal.value.exit_code == DISK
    assert "free some space" in refusal.value.hint
    assert not (tmp_path / "target").exists()


def test_blocks_are_shared_where_they_can_be(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clone(writer: int, request: int, reader: int) -> None:
        assert request == 0x40049409
        os.pwrite(writer, os.pread(reader, 1 << 20, 0), 0)

    def write(*_: object) -> int:
        raise AssertionError("the blocks are shared already")

    monkeypatch.setattr(fcntl, "ioctl", clone)
    monkeypatch.setattr(os, "write", write)
    copy_file(source, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_the_request_to_share_blocks_is_that_of_linux() -> None:
    # _IOW(0x94, 9, int) of linux/fs.h
    assert 1 << 30 | struct.calcsize("i") << 16 | 0x94 << 8 | 9 == 0x40049409


def make_tree(top: Path) -> Path:
    (top / "b" / "empty").mkdir(parents=True)
    (top / "b" / "file").write_text("text")
    (top / "a").write_text("first")
    os.symlink("b/file", top / "link")
    os.symlink("../a", top / "b" / "up")
    return top


def test_a_tree_is_walked_in_order_without_following_links(tmp_path: Path) -> None:
    os.symlink(".", make_tree(tmp_path / "tree") / "loop")
    names = [name for name, _ in walk_tree(tmp_path / "tree")]
    assert names == ["a", "b", "b/empty", "b/file", "b/up", "link", "loop"]


def test_a_tree_is_linked(tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "tree"), tmp_path / "copy"
    steps: list[int] = []
    assert link_tree(source, target, advance=lambda: steps.append(1)) == 2 == len(steps)
    assert [name for name, _ in walk_tree(target)] == [name for name, _ in walk_tree(source)]
    assert os.path.samefile(source / "b/file", target / "b/file")
    assert os.readlink(target / "b/up") == "../a"
    assert stat.S_IMODE((target / "b").stat().st_mode) == 0o755


@pytest.mark.parametrize("text", ["/etc/passwd", "..", "../outside", "b/../../outside"])
def test_a_link_that_leads_out_is_refused(text: str, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "tree")
    os.symlink(text, source / "zz")
    with pytest.raises(RollbuildError, match="leads out of its tree") as refusal:
        link_tree(source, tmp_path / "copy")
    assert refusal.value.exit_code == REFUSED
    assert not os.path.lexists(tmp_path / "copy" / "zz")
    with pytest.raises(RollbuildError):
        copy_symlink(source / "zz", tmp_path / "yy", "zz")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "tree")
    os.mkfifo(source / "zz")
    with pytest.raises(RollbuildError, match="pipe"):
        link_tree(source, tmp_path / "copy")


def test_a_tree_takes_no_other_place(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "tree")
    (tmp_path / "copy").mkdir()
    with pytest.raises(RollbuildError) as refusal:
        link_tree(source, tmp_path / "copy")
    assert refusal.value.exit_code == DISK


def test_digests(source: Path) -> None:
    steps: list[int] = []
    digest, size = digest_file(source, advance=steps.append)
    assert (digest, size) == (hashlib.sha256(b"content" * 1000).hexdigest(), 7000)
    assert sum(steps) == 7000
    with pytest.raises(RollbuildError) as refusal:
        digest_file(source.parent / "none")
    assert refusal.value.exit_code == DISK
