"""Install ISOs that are changed: what xorriso, mtools and checkisomd5 see of the outcome."""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollbuild.errors import DISK, REFUSED, USAGE, RollbuildError
from rollbuild.images import BootImages, check_iso, make_efi_image, open_iso, read_fat, write_iso
from rollbuild.media import Modification, Modified, efireading, modify_iso, write_oemdrv
from tests.programs import need_programs

EPOCH = 1_700_000_000
SHIM, GRUB = bytes(range(256)) * 40, b"grub" * 3000
MENU = """search --no-floppy --set=root -l 'OLD-LABEL'
menuentry 'Install' {
	linuxefi /images/pxeboot/vmlinuz inst.stage2=hd:LABEL=OLD-LABEL quiet
	initrdefi /images/pxeboot/initrd.img
}
"""
ISOLINUX = """label linux
  kernel vmlinuz
  append initrd=initrd.img inst.stage2=hd:LABEL=OLD-LABEL quiet
"""


@contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    yield lambda steps=1: None


@pytest.fixture(autouse=True, scope="module")
def _programs() -> None:
    need_programs("xorriso", "mcopy", "mkfs.vfat")


def make_iso(folder: Path, *, grub: bool, menu: str = MENU, isolinux: str = ISOLINUX) -> Path:
    """An ISO as a vendor makes it: isolinux and an EFI image in a file, or GRUB and an EFI partition."""
    tree = folder / "tree"
    efi = {"EFI/BOOT/BOOTX64.EFI": SHIM, "EFI/BOOT/grubx64.efi": GRUB, "EFI/BOOT/grub.cfg": menu.encode()}
    image = make_efi_image(efi, epoch=EPOCH)
    files = {**efi, "images/pxeboot/vmlinuz": b"kernel", "images/pxeboot/initrd.img": b"initrd", ".discinfo": b"1\n"}
    if grub:
        files |= {"images/eltorito.img": bytes(4096), "boot/grub2/grub.cfg": menu.replace("efi /", " /").encode()}
    else:
        files |= {"isolinux/isolinux.bin": bytes(4096), "isolinux/isolinux.cfg": isolinux.encode()}
        files |= {"isolinux/vmlinuz": b"kernel", "images/efiboot.img": image}
        sums = f"[checksums]\nimages/efiboot.img = sha256:{hashlib.sha256(image).hexdigest()}\n"
        files[".treeinfo"] = sums.encode()
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    output = folder / "vendor.iso"
    if grub:
        (folder / "efi.img").write_bytes(image)
        boot = BootImages("images/eltorito.img", True, None, os.fspath(folder / "efi.img"))
    else:
        code = folder / "isohdpfx.bin"
        code.write_bytes(bytes(432))
        boot = BootImages("isolinux/isolinux.bin", False, None, "images/efiboot.img")
    write_iso(tree, output, volume_id="OLD-LABEL", epoch=EPOCH, boot=boot)
    return output


def modify(source: Path, output: Path, **wanted: object) -> Modified:
    return modify_iso(source, output, Modification(**wanted), progress=no_progress)  # type: ignore[arg-type]


def efi_of(image: Path) -> dict[str, bytes]:
    """What is in the EFI image that the boot catalog names."""
    argv: list[str | Path] = ["xorriso", "-indev", image, "-report_el_torito", "plain"]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found = re.search(r"boot img :\s+\d+\s+UEFI.*?\s(\d+)\s+(\d+)$", text, re.MULTILINE)
    assert found
    start, size = int(found[2]) * 2048, int(found[1]) * 512
    return read_fat(image.read_bytes()[start : start + size], str(image))


@pytest.mark.parametrize("grub", [False, True], ids=["isolinux", "GRUB"])
def test_a_kickstart_arguments_and_a_label(tmp_path: Path, grub: bool) -> None:
    source = make_iso(tmp_path, grub=grub)
    before = source.read_bytes()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a file's name").write_text("more\n")
    output = tmp_path / "out.iso"
    made = modify(
        source,
        output,
        kickstart=("ks.cfg", b"lang en_US\n"),
        arguments=("console=ttyS0",),
        removed=("quiet",),
        label="NEW-LABEL",
        added={"extra/more": tmp_path / "more"},
    )
    assert source.read_bytes() == before
    assert list(made.lines.values()) == [1, 1, 1] and made.has_efi
    assert check_iso(output)
    image = open_iso(output)
    assert image.volume_id == "NEW-LABEL"
    assert image.read("ks.cfg", 100) == b"lang en_US\n" and image.read("extra/more/a file's name", 100) == b"more\n"
    assert image.read("EFI/BOOT/BOOTX64.EFI", 100_000) == SHIM
    wanted = "inst.stage2=hd:LABEL=NEW-LABEL inst.ks=hd:LABEL=NEW-LABEL:/ks.cfg console=ttyS0\n"
    inside = efi_of(output)
    menus = [image.read("EFI/BOOT/grub.cfg", 10_000), inside["EFI/BOOT/grub.cfg"]]
    menus.append(image.read("boot/grub2/grub.cfg" if grub else "isolinux/isolinux.cfg", 10_000))
    for menu in menus:
        assert wanted.encode() in menu and b"OLD-LABEL" not in menu
    assert (inside["EFI/BOOT/BOOTX64.EFI"], inside["EFI/BOOT/grubx64.efi"]) == (SHIM, GRUB)
    if not grub:
        digest = hashlib.sha256(image.read("images/efiboot.img", 10_000_000)).hexdigest()
        assert digest in image.read(".treeinfo", 1000).decode()
    again = tmp_path / "elsewhere"
    again.mkdir()
    (again / "more").mkdir()
    (again / "more/a file's name").write_text("more\n")
    second = modify(
        source,
        again / "other.iso",
        kickstart=("ks.cfg", b"lang en_US\n"),
        arguments=("console=ttyS0",),
        removed=("quiet",),
        label="NEW-LABEL",
        added={"extra/more": again / "more"},
    )
    assert second.sha256 == made.sha256


def test_a_changed_image_is_changed_again(tmp_path: Path) -> None:
    source = make_iso(tmp_path, grub=True)
    modify(source, tmp_path / "one.iso", kickstart=("ks.cfg", b"a\n"))
    modify(tmp_path / "one.iso", tmp_path / "two.iso", kickstart=("ks.cfg", b"b\n"), label="TWO")
    menu = efi_of(tmp_path / "two.iso")["EFI/BOOT/grub.cfg"].decode()
    assert menu.count("inst.ks=") == 1 and "inst.ks=hd:LABEL=TWO:/ks.cfg" in menu
    assert open_iso(tmp_path / "two.iso").read("ks.cfg", 10) == b"b\n"


def test_a_menu_that_is_not_understood(tmp_path: Path) -> None:
    source = make_iso(tmp_path, grub=False, menu="configfile /elsewhere.cfg\n", isolinux="include other.cfg\n")
    output = tmp_path / "out.iso"
    output.write_bytes(b"former")
    with pytest.raises(RollbuildError, match=r"boot menu not understood.*isolinux/isolinux.cfg") as caught:
        modify(source, output, kickstart=("ks.cfg", b""))
    assert caught.value.exit_code == REFUSED and output.read_bytes() == b"former"


def test_an_image_without_a_menu(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("x")
    write_iso(tmp_path / "tree", tmp_path / "data.iso", volume_id="DATA", epoch=EPOCH)
    with pytest.raises(RollbuildError, match="none that rollbuild knows"):
        modify(tmp_path / "data.iso", tmp_path / "out.iso", arguments=("a=b",))


def test_what_is_refused(tmp_path: Path) -> None:
    source = make_iso(tmp_path, grub=False)
    output = tmp_path / "out.iso"
    cases: list[tuple[Path, Path, dict[str, object], str, int]] = [
        (source, source, {"arguments": ("a",)}, "is the image to read", USAGE),
        (source, tmp_path, {"arguments": ("a",)}, "is a folder", USAGE),
        (source, output, {"label": "a b"}, "cannot be the label", USAGE),
        (source, output, {"added": {"../x": source}}, "is no path on a medium", USAGE),
        (source, output, {"added": {"x": tmp_path / "none"}}, "there is no file or folder", DISK),
        (source, output, {"added": {"isolinux": source}}, "is a folder of the image", REFUSED),
        (tmp_path / "none", output, {"arguments": ("a",)}, "no such file", DISK),
    ]
    for given, place, wanted, said, code in cases:
        with pytest.raises(RollbuildError, match=said) as caught:
            modify(given, place, **wanted)
        assert caught.value.exit_code == code, said
    assert not output.exists() and not [name for name in os.listdir(tmp_path) if name.startswith(".rollbuild")]


def test_an_image_that_xorriso_does_not_get_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, programs = make_iso(tmp_path, grub=False), tmp_path / "bin"
    programs.mkdir()
    (programs / "xorriso").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "xorriso").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(efireading, "_READ_SECONDS", 0.2)
    with pytest.raises(RollbuildError, match="xorriso cannot read this image: xorriso did not end within") as caught:
        modify(source, tmp_path / "out.iso", arguments=("a=b",))
    assert str(caught.value.location) == str(source) and not (tmp_path / "out.iso").exists()


@pytest.mark.parametrize("ending", ["iso", "img"])
def test_oemdrv(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"ks.{ending}"
    write_oemdrv(b"lang en_US\n", output, epoch=EPOCH)
    if ending == "iso":
        assert open_iso(output).volume_id == "OEMDRV" and open_iso(output).read("ks.cfg", 100) == b"lang en_US\n"
    else:
        assert read_fat(output.read_bytes(), "x") == {"ks.cfg": b"lang en_US\n"}
        shown = subprocess.run(["mlabel", "-s", "-i", output, "::"], capture_output=True, text=True, check=True)
        assert "OEMDRV" in shown.stdout
    before = output.read_bytes()
    write_oemdrv(b"lang en_US\n", output, epoch=EPOCH)
    assert output.read_bytes() == before
    with pytest.raises(RollbuildError, match="says not what kind"):
        write_oemdrv(b"", tmp_path / "x.vfd", epoch=EPOCH)
