"""EFI images, looked at with mtools."""

import os
import subprocess
from pathlib import Path

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.images import make_efi_image
from tests.programs import need_programs

EPOCH = 1_700_000_000
FILES = {"EFI/BOOT/BOOTX64.EFI": b"MZ" * 400_000, "EFI/BOOT/grub.cfg": b"set timeout=1\n", "startup.nsh": b"x"}


@pytest.fixture(autouse=True)
def _programs() -> None:
    need_programs("mkfs.vfat", "mcopy")


def mtools(*argv: str | Path) -> bytes:
    environment = {**os.environ, "TZ": "UTC"}
    return subprocess.run(argv, check=True, capture_output=True, env=environment).stdout


def test_mtools_reads_what_was_put_in(tmp_path: Path) -> None:
    image = tmp_path / "efi.img"
    image.write_bytes(make_efi_image(FILES, epoch=EPOCH))
    for name, content in FILES.items():
        assert mtools("mtype", "-i", image, f"::/{name}") == content
    listed = mtools("mdir", "-i", image, "-/", "::/").decode()
    assert "ANACONDA" in listed
    assert listed.count("2023-11-14") == len(FILES) + 6  # two folders, each with . and ..


def test_equal_files_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_efi_image(FILES, epoch=EPOCH)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # as users have it on Debian
    monkeypatch.setattr("tempfile.tempdir", None)
    assert make_efi_image(dict(reversed(FILES.items())), epoch=EPOCH) == first
    assert make_efi_image(FILES | {"startup.nsh": b"y"}, epoch=EPOCH) != first
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epoch", [0, 2**32 - 1])
def test_dates_that_fat_cannot_hold(epoch: int) -> None:
    assert make_efi_image({"a": b""}, epoch=epoch) == make_efi_image({"a": b""}, epoch=epoch)


@pytest.mark.parametrize("size", [0, 1, 3_500_000, 20_000_000])
def test_every_size_fits(size: int) -> None:
    files = {f"EFI/d{number % 7}/f{number}": bytes(size // 50) for number in range(50)}
    assert len(make_efi_image(files, epoch=EPOCH)) < size * 1.2 + 5_000_000


WRONG = ["", "/a", "a/", "../a", "a//b", "a b", "é", "a.", "x" * 65, "a\\b", "a:b", "-"]


@pytest.mark.parametrize("name", WRONG[:-1])
def test_names_that_fat_does_not_hold(name: str) -> None:
    with pytest.raises(RollbuildError, match="cannot be a file of an EFI image"):
        make_efi_image({name: b""}, epoch=EPOCH)


def test_a_name_that_looks_like_an_option() -> None:
    assert make_efi_image({"-m": b"1", "-i/-o": b"2"}, epoch=EPOCH)


@pytest.mark.parametrize("names", [("EFI/a", "efi/b"), ("a", "A"), ("a", "a/b"), ("A", "a/b")], ids=str)
def test_names_that_fat_does_not_tell_apart(names: tuple[str, str]) -> None:
    with pytest.raises(RollbuildError, match=r"cannot hold both|is a file and a folder"):
        make_efi_image(dict.fromkeys(names, b""), epoch=EPOCH)


@pytest.mark.parametrize("label", ["", "lower", "TWELVELETTER", "A B"])
def test_labels_that_are_none(label: str) -> None:
    with pytest.raises(RollbuildError, match="cannot be the label"):
        make_efi_image({}, epoch=EPOCH, label=label)
