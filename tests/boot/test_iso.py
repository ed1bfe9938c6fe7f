"""Images that write_iso made, booted as a disc and as a disk, by BIOS and by UEFI."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbuild.images import append_to_initrd, check_iso, detect_boot, make_efi_image, write_iso
from tests.boot.conftest import Firmware, Guest, Unpack
from tests.boot.machine import boot

pytestmark = pytest.mark.boot

EPOCH = 1_700_000_000
LABEL = "ROLLBUILD-9"
KICKSTART = b"lang en_US\n%packages\n%end\n"
ARGUMENTS = f"console=ttyS0 quiet no_timer_check inst.stage2=hd:LABEL={LABEL}"
ADDED = "inst.ks=file:/run/install/ks.cfg"  # lies in what was appended to the initrd
ON_DISC = f"inst.ks=hd:LABEL={LABEL}:/ks.cfg"
ISOLINUX_MENU = f"""serial 0 115200
default install
timeout 1
prompt 0
label install
  kernel /images/pxeboot/vmlinuz
  append initrd=/images/pxeboot/initrd.img {ARGUMENTS} {ADDED}
"""
GRUB_MENU = f"""set timeout=0
search --no-floppy --set=root -l '{LABEL}'
menuentry install {{
  linux /images/pxeboot/vmlinuz {ARGUMENTS} {ON_DISC}
  initrd /images/pxeboot/initrd.img
}}
"""
GRUB_MODULES = "iso9660 biosdisk normal linux search search_label part_gpt part_msdos configfile test minicmd"


@dataclass(frozen=True, slots=True)
class Image:
    path: Path
    folder: Path


def fill_tree(folder: Path, guest: Guest, unpacked: Unpack) -> None:
    """What an OS tree of every release has."""
    for name in ("images/pxeboot", "EFI/BOOT", "boot/grub"):
        (folder / name).mkdir(parents=True)
    (folder / ".discinfo").write_text(f"{EPOCH}.000000\ntest\nx86_64\n")
    (folder / "ks.cfg").write_bytes(KICKSTART)
    shutil.copyfile(guest.kernel, folder / "images/pxeboot/vmlinuz")
    initrd = append_to_initrd(guest.initrd, {"run/install/ks.cfg": KICKSTART})
    (folder / "images/pxeboot/initrd.img").write_bytes(initrd)
    signed = unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"
    shim = unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed"
    files = {
        "EFI/BOOT/BOOTX64.EFI": shim.read_bytes(),
        "EFI/BOOT/grubx64.efi": signed.read_bytes(),
        # Debian's GRUB for discs reads the second, that of Enterprise Linux the first.
        "EFI/BOOT/grub.cfg": GRUB_MENU.encode(),
        "boot/grub/grub.cfg": GRUB_MENU.encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "images/efiboot.img").write_bytes(make_efi_image(files, epoch=EPOCH))


def write(folder: Path, root: Path, output: Path) -> Image:
    found = detect_boot(folder, root=root)
    assert found is not None
    write_iso(folder, output, volume_id=LABEL, epoch=EPOCH, boot=found)
    assert check_iso(output)
    return Image(output, folder)


@pytest.fixture(scope="session")
def isolinux_image(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """As EL7, 8 and 9."""
    if shutil.which("xorriso") is None:
        pytest.skip("xorriso is missing")
    folder = tmp_path_factory.mktemp("isolinux")
    tree = folder / "tree"
    fill_tree(tree, guest, unpacked)
    (tree / "isolinux").mkdir()
    shutil.copy(unpacked("isolinux") / "usr/lib/ISOLINUX/isolinux.bin", tree / "isolinux")
    shutil.copy(unpacked("syslinux-common") / "usr/lib/syslinux/modules/bios/ldlinux.c32", tree / "isolinux")
    (tree / "isolinux/isolinux.cfg").write_text(ISOLINUX_MENU)
    return write(tree, unpacked("isolinux"), folder / "el9.iso")


@pytest.fixture(scope="session")
def grub_image(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """As EL10."""
    for program in ("xorriso", "grub-mkimage"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    folder = tmp_path_factory.mktemp("grub")
    tree = folder / "tree"
    fill_tree(tree, guest, unpacked)
    (tree / "boot/grub2").mkdir()
    (tree / "boot/grub2/grub.cfg").write_text("serial --unit=0 --speed=115200\n" + GRUB_MENU)
    modules = unpacked("grub-pc-bin") / "usr/lib/grub/i386-pc"
    command: list[str | Path] = [
        "grub-mkimage",
        "-O",
        "i386-pc-eltorito",
        "-d",
        modules,
        "-o",
        tree / "images/eltorito.img",
    ]
    subprocess.run([*command, "-p", "/boot/grub2", "serial", *GRUB_MODULES.split()], check=True)
    return write(tree, unpacked("grub-pc-bin"), folder / "el10.iso")


def as_disc(image: Image) -> list[str]:
    return [
        "-drive",
        f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={image.path}",
        "-device",
        "ide-cd,drive=cd",
    ]


def as_disk(image: Image) -> list[str]:
    return ["-drive", f"if=virtio,format=raw,readonly=on,file={image.path}"]


CASES = {
    "disc on BIOS": (as_disc, None, "bios", "/dev/sr0"),
    "disk on BIOS": (as_disk, None, "bios", "/dev/vda"),
    "disc on UEFI": (as_disc, "uefi", "uefi", "/dev/sr0"),
    "disk on UEFI": (as_disk, "uefi", "uefi", "/dev/vda"),
    "disc with Secure Boot": (as_disc, "secure_uefi", "uefi", "/dev/sr0"),
    "disk with Secure Boot": (as_disk, "secure_uefi", "uefi", "/dev/vda"),
}


@pytest.mark.parametrize("kind", ["isolinux_image", "grub_image"])
@pytest.mark.parametrize(("attached", "firmware", "shown", "device"), CASES.values(), ids=CASES)
def test_an_image_boots(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kind: str,
    attached: object,
    firmware: str | None,
    shown: str,
    device: str,
) -> None:
    image: Image = request.getfixturevalue(kind)
    chosen: Firmware | None = request.getfixturevalue(firmware) if firmware else None
    arguments: Sequence[str] = attached(image)  # type: ignore[operator]
    secure = firmware == "secure_uefi"
    code, variables = (chosen.code, chosen.variables) if chosen else (None, None)
    with boot(tmp_path, arguments, firmware=code, variables=variables, secure=secure) as machine:
        assert machine.wait_for("GUEST firmware").endswith(shown)
        assert machine.wait_for("GUEST secure").endswith("yes" if secure else "no")
        medium = machine.wait_for("GUEST medium")
        assert device in medium and f"{EPOCH}.000000" in medium
        kickstart = machine.wait_for("GUEST kickstart")
        assert kickstart.endswith(hashlib.sha256(KICKSTART).hexdigest())
        machine.wait_for("GUEST done")


@pytest.mark.parametrize("kind", ["isolinux_image", "grub_image"])
def test_a_bootable_image_is_written_alike_again(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, unpacked: Unpack
) -> None:
    image: Image = request.getfixturevalue(kind)
    copy = tmp_path / "another place"
    shutil.copytree(image.folder, copy, copy_function=shutil.copyfile)
    root = unpacked("isolinux" if kind == "isolinux_image" else "grub-pc-bin")
    again = write(copy, root, tmp_path / "again.iso")
    assert again.path.read_bytes() == image.path.read_bytes()
