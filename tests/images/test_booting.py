"""Bootable images, looked at with xorriso and checkisomd5; tests/boot boots them."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.images import BootImages, check_iso, detect_boot, open_iso, write_iso
from tests.programs import need_programs

pytestmark = pytest.mark.skipif(shutil.which("xorriso") is None, reason="xorriso is missing")

EPOCH = 1_700_000_000
PLACES = ("usr/share/syslinux/isohdpfx.bin", "usr/lib/grub/i386-pc/boot_hybrid.img")
TREES = {
    "el9": ("isolinux/isolinux.bin", "images/efiboot.img"),
    "el10": ("images/eltorito.img", "images/efiboot.img"),
    "el9 without UEFI": ("isolinux/isolinux.bin",),
    "el10 without UEFI": ("images/eltorito.img",),
    "UEFI only": ("images/efiboot.img",),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in PLACES:
        path = tmp_path / "root" / place
        path.parent.mkdir(parents=True)
        # xorriso looks for what tells isolinux's code that it may be patched.
        path.write_bytes((b"\x33\xed" + b"\x90" * 30).ljust(432, b"\0"))
    return tmp_path / "root"


def make_tree(folder: Path, names: tuple[str, ...]) -> Path:
    for name in (*names, "images/pxeboot/vmlinuz", ".discinfo"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = name.encode() * 500
        path.write_bytes(b"\xfb\xc0\x78\x70".join((content[:64].ljust(64), content)).ljust(40960, b"."))
    (folder / "payload").write_bytes(bytes(range(256)) * 4000)
    return folder


def report(image: Path, what: str) -> str:
    argv = ["xorriso", "-no_rc", "-indev", f"stdio:{image}", f"-report_{what}", "plain"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def write(folder: Path, output: Path, boot: BootImages | None) -> Path:
    write_iso(folder, output, volume_id="BOOT", epoch=EPOCH, boot=boot)
    return output


@pytest.mark.parametrize("names", TREES.values(), ids=TREES)
def test_every_form_boots_what_it_has(tmp_path: Path, root: Path, names: tuple[str, ...]) -> None:
    tree = make_tree(tmp_path / "tree", names)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    contents = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    boot = detect_boot(tree, root=root)
    assert boot is not None
    image = write(tree, tmp_path / "one.iso", boot)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == contents

    catalog = report(image, "el_torito")
    assert ("BIOS" in catalog) == (len(names) > 1 or "efiboot" not in names[0])
    assert ("UEFI" in catalog) == ("images/efiboot.img" in names)
    system = report(image, "system_area")
    if "images/efiboot.img" in names:
        assert "GPT" in system
    assert check_iso(image)
    shutil.copytree(tree, tmp_path / "else where/tree", copy_function=shutil.copyfile)
    again = write(tmp_path / "else where/tree", tmp_path / "two.iso", boot)
    assert again.read_bytes() == image.read_bytes()
    assert open_iso(image).read("images/pxeboot/vmlinuz", 50_000) == contents[tree / "images/pxeboot/vmlinuz"]


def test_the_checksum_is_that_of_isomd5sum(tmp_path: Path, root: Path) -> None:
    need_programs("implantisomd5", "checkisomd5")
    tree = make_tree(tmp_path / "tree", TREES["el9"])
    (tree / "large").write_bytes(os.urandom(5_000_000))
    image = write(tree, tmp_path / "one.iso", detect_boot(tree, root=root))
    assert subprocess.run(["checkisomd5", image], capture_output=True).returncode == 0
    other = tmp_path / "other.iso"
    shutil.copyfile(image, other)
    subprocess.run(["implantisomd5", "--force", other], check=True, capture_output=True)
    assert other.read_bytes() == image.read_bytes()


def test_progress_counts_the_checksum_too(tmp_path: Path, root: Path) -> None:
    tree = make_tree(tmp_path / "tree", TREES["el9"])
    steps: list[int] = []
    boot = detect_boot(tree, root=root)
    write_iso(tree, tmp_path / "a.iso", volume_id="A", epoch=EPOCH, boot=boot, advance=steps.append)
    size = (tmp_path / "a.iso").stat().st_size
    assert 1.9 * size < sum(steps) <= 2 * size


def test_a_changed_byte_is_seen(tmp_path: Path, root: Path) -> None:
    tree = make_tree(tmp_path / "tree", TREES["el10"])
    image = write(tree, tmp_path / "one.iso", detect_boot(tree, root=root))
    entry = open_iso(image).find("payload")
    assert entry is not None
    with open(image, "r+b") as file:
        file.seek(entry.extents[0][0] + 1000)
        file.write(b"\xff\x00")
    with pytest.raises(RollbuildError, match="does not have the checksum that it carries"):
        check_iso(image)
    assert check_iso(image, md5=False) is False


def test_an_image_without_a_checksum_is_not_called_checked(tmp_path: Path) -> None:
    assert check_iso(write(make_tree(tmp_path / "tree", ()), tmp_path / "a.iso", None)) is False


def test_a_tree_that_boots_nothing(tmp_path: Path, root: Path) -> None:
    tree = make_tree(tmp_path / "tree", ())
    assert detect_boot(tree, root=root) is None
    with pytest.raises(RollbuildError, match="nothing boots this image"):
        write(tree, tmp_path / "a.iso", BootImages())


@pytest.mark.parametrize(("kind", "package"), [("el9", "syslinux"), ("el10", "grub2-pc-modules")])
def test_boot_code_that_is_not_installed(tmp_path: Path, kind: str, package: str) -> None:
    tree = make_tree(tmp_path / "tree", TREES[kind])
    with pytest.raises(RollbuildError, match="is missing") as caught:
        detect_boot(tree, root=tmp_path)
    assert caught.value.exit_code == MISSING_PROGRAM
    assert package in caught.value.hint


@pytest.mark.parametrize("gone", ["isolinux/isolinux.bin", "images/efiboot.img"])
def test_a_loader_that_went_away(tmp_path: Path, root: Path, gone: str) -> None:
    tree = make_tree(tmp_path / "tree", TREES["el9"])
    boot = detect_boot(tree, root=root)
    (tree / gone).unlink()
    (tmp_path / "a.iso").write_bytes(b"former")
    with pytest.raises(RollbuildError, match="this file is missing") as caught:
        write(tree, tmp_path / "a.iso", boot)
    assert str(caught.value.location).endswith(gone)
    assert (tmp_path / "a.iso").read_bytes() == b"former"


def test_an_efi_image_from_elsewhere(tmp_path: Path, root: Path) -> None:
    tree = make_tree(tmp_path / "tree", TREES["el9 without UEFI"])
    efi = tmp_path / "my efi.img"
    efi.write_bytes(b"E" * 3_000_000)
    boot = detect_boot(tree, root=root)
    assert boot is not None
    image = write(tree, tmp_path / "a.iso", replace(boot, efi=str(efi)))
    assert "UEFI" in report(image, "el_torito")
    assert b"E" * 3_000_000 in image.read_bytes()
    assert open_iso(image).find("my efi.img") is None
