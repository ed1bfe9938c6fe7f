"""What is added to an initrd, unpacked by cpio."""

import gzip
import io
import subprocess
from pathlib import Path

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.images import append_to_initrd, make_initrd
from tests.programs import need_program

FILES = {"run/install/ks.cfg": b"text\n", "etc/x": b"", "etc/hosts": b"1" * 1001}


@pytest.fixture
def initrd(tmp_path: Path) -> Path:
    path = tmp_path / "initrd.img"
    path.write_bytes(gzip.compress(b"070701 what it has", mtime=0))
    return path


def test_cpio_unpacks_what_was_added(initrd: Path, tmp_path: Path) -> None:
    need_program("cpio")
    before = initrd.read_bytes()
    made = append_to_initrd(initrd, FILES)
    assert made.startswith(before)
    start = (len(before) + 3) // 4 * 4
    assert not made[len(before) : start].strip(b"\0")
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["cpio", "-i", "--quiet"], input=made[start:], cwd=out, check=True, capture_output=True)
    assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == FILES
    listed = subprocess.run(["cpio", "-itvn", "--quiet"], input=made[start:], check=True, capture_output=True).stdout
    assert b"drwxr-xr-x   2 0        0               0 Jan  1  1970 run/install" in listed
    assert b"-rw-r--r--   1 0        0               5 Jan  1  1970 run/install/ks.cfg" in listed


def test_one_of_its_own_holds_the_same_archive_at_any_position(initrd: Path) -> None:
    made = make_initrd(FILES)
    assert made.startswith(b"\x1f\x8b\x08") and made == make_initrd(dict(reversed(FILES.items())))
    assert append_to_initrd(initrd, FILES).endswith(gzip.decompress(made))
    with pytest.raises(RollbuildError, match="cannot be a file of an initrd"):
        make_initrd({"../x": b""})


def test_adding_twice_keeps_both(initrd: Path, tmp_path: Path) -> None:
    first = append_to_initrd(initrd, {"a": b"1"})
    again = tmp_path / "again.img"
    again.write_bytes(first)
    second = append_to_initrd(again, {"a": b"2"})
    assert second.startswith(first)
    assert second.count(b"TRAILER!!!") == 2


def test_equal_input_gives_equal_bytes(initrd: Path) -> None:
    assert append_to_initrd(initrd, FILES) == append_to_initrd(initrd, dict(reversed(FILES.items())))


def test_nothing_added_still_unpacks(initrd: Path) -> None:
    assert append_to_initrd(initrd, {}).endswith(b"TRAILER!!!\0\0\0\0")


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../b", "a//b", "a/", "./a", "a\0b"])
def test_paths_that_lead_out(initrd: Path, name: str) -> None:
    with pytest.raises(RollbuildError, match="cannot be a file of an initrd"):
        append_to_initrd(initrd, {name: b""})


def test_a_file_cannot_be_a_folder_too(initrd: Path) -> None:
    with pytest.raises(RollbuildError, match="as a file and as the folder of"):
        append_to_initrd(initrd, {"a": b"", "a/b": b""})


def test_files_that_are_no_initrd(initrd: Path) -> None:
    for content in (b"", b"<html>", b"\0" * 512):
        initrd.write_bytes(content)
        with pytest.raises(RollbuildError, match="this is no initrd"):
            append_to_initrd(initrd, FILES)
    with pytest.raises(RollbuildError, match="no such file"):
        append_to_initrd(initrd.parent / "none", FILES)


def test_zeros_between_archives_are_few(initrd: Path) -> None:
    before = io.BytesIO(initrd.read_bytes()).getbuffer().nbytes
    assert append_to_initrd(initrd, FILES)[before : before + 10].lstrip(b"\0").startswith(b"070701")
