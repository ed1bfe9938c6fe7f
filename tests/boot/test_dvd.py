"""Install media that the commands made of a distribution that the commands made, booted on every firmware."""

import hashlib
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from rollbuild.commands.main import main
from rollbuild.distribution import os_tree_names
from rollbuild.images import make_efi_image
from tests.boot.conftest import Firmware, Guest, Unpack
from tests.boot.machine import Machine, boot
from tests.stores import make_store

pytestmark = pytest.mark.boot

SERIAL = "console=ttyS0 quiet no_timer_check"
MENU = b"menuentry 'Install' {\n  linux /images/pxeboot/vmlinuz quiet\n  initrd /images/pxeboot/initrd.img\n}\n"
GRUB_MODULES = (
    "iso9660 biosdisk normal linux search search_label part_gpt part_msdos configfile test minicmd regexp chain echo"
)
MARK = "GUEST local disk"
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Distribution:
    """A store with the distribution `cluster`, and folders for what is made of it."""

    store: Path
    folder: Path

    @property
    def kickstart(self) -> bytes:
        return (self.store / "distributions/cluster/1/kickstarts/compute.ks").read_bytes()

    def on_disc(self) -> str:
        """The SHA-256 of the Kickstart as a medium has it."""
        return hashlib.sha256(self.kickstart.replace(b"\nreboot\n", b"\nreboot --eject\n")).hexdigest()

    def make(self, name: str, *arguments: str | Path) -> Path:
        output = self.folder / name
        if not output.exists():
            argv = ["iso", "create", "--distro", "cluster", "-o", output, "--store", self.store, "--timeout", "1"]
            assert main([str(word) for word in (*argv, "--arguments", SERIAL, *arguments)]) == 0
            assert subprocess.run(["checkisomd5", output], capture_output=True).returncode == 0
        return output

    def installing(self) -> Path:
        return self.make("installs.iso", "--default", "compute", "--require", "bios,uefi")

    def waiting(self) -> Path:
        return self.make("waits.iso", "--scope", "boot")

    def modified(self) -> Path:
        """An image that starts its local disk, changed to install at once, with another Kickstart and label."""
        output = self.folder / "modified.iso"
        if not output.exists():
            kickstart = self.folder / "my.ks"
            kickstart.write_bytes(b"lang en_US\n")
            argv = ["iso", "modify", self.installing(), "-o", output, "--ks", kickstart, "--label", "CHANGED"]
            assert main([str(word) for word in (*argv, "--arguments", "rb.modified")]) == 0
        return output


def files_of_tree(guest: Guest, unpacked: Unpack) -> dict[str, bytes | Path]:
    """Real ones where an EL DVD has its own; Debian's GRUB reads boot/grub/grub.cfg."""
    return {
        "images/pxeboot/vmlinuz": guest.kernel,
        "images/pxeboot/initrd.img": guest.initrd,
        "EFI/BOOT/BOOTX64.EFI": unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
        "EFI/BOOT/grub.cfg": MENU,
        "boot/grub/grub.cfg": MENU,
    }


def make_distribution(folder: Path, release: str, files: dict[str, bytes | Path]) -> Distribution:
    for program in ("xorriso", "mcopy", "checkisomd5"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    store = make_store(folder, release=release, boot=files)
    name = os_tree_names(store)[0]
    assert main(["distro", "create", "cluster", "--os", name, "--store", str(store.folder)]) == 0
    return Distribution(store.folder, folder)


@pytest.fixture(scope="session")
def el9(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    if not Path("/usr/lib/ISOLINUX/isohdpfx.bin").exists() and not Path("/usr/share/syslinux/isohdpfx.bin").exists():
        pytest.skip("isohdpfx.bin (package isolinux) is missing")
    boots = files_of_tree(guest, unpacked)
    boots["isolinux/isolinux.bin"] = unpacked("isolinux") / "usr/lib/ISOLINUX/isolinux.bin"
    modules = unpacked("syslinux-common") / "usr/lib/syslinux/modules/bios"
    for name in ("ldlinux.c32", "libcom32.c32", "libutil.c32", "vesamenu.c32"):
        boots[f"isolinux/{name}"] = modules / name
    boots["isolinux/vmlinuz"], boots["isolinux/initrd.img"] = guest.kernel, guest.initrd
    return make_distribution(tmp_path_factory.mktemp("el9"), "el9", boots)


@pytest.fixture(scope="session")
def el10(guest: Guest, unpacked: Unpack, tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    if shutil.which("grub-mkimage") is None:
        pytest.skip("grub-mkimage is missing")
    if not Path("/usr/lib/grub/i386-pc/boot_hybrid.img").exists():
        pytest.skip("boot_hybrid.img (package grub-pc-bin) is missing")
    folder = tmp_path_factory.mktemp("el10")
    image = folder / "eltorito.img"
    modules = unpacked("grub-pc-bin") / "usr/lib/grub/i386-pc"
    command: list[str | Path] = ["grub-mkimage", "-O", "i386-pc-eltorito", "-d", modules, "-o", image]
    subprocess.run([*command, "-p", "/boot/grub2", *GRUB_MODULES.split()], check=True)
    boots = files_of_tree(guest, unpacked)
    boots["images/eltorito.img"] = image
    boots["boot/grub2/grub.cfg"] = MENU
    return make_distribution(folder, "el10", boots)


def as_disc(image: Path) -> list[str]:
    return [
        *("-drive", f"if=none,id=medium,media=cdrom,readonly=on,format=raw,file={image}"),
        *("-device", "ide-cd,drive=medium,bootindex=0"),
    ]


def as_disk(image: Path) -> list[str]:
    return [
        *("-drive", f"if=none,id=medium,format=raw,readonly=on,file={image}"),
        *("-device", "virtio-blk-pci,drive=medium,bootindex=0"),
    ]


def local_disk(image: Path) -> list[str]:
    return [
        *("-drive", f"if=none,id=local,format=raw,snapshot=on,file={image}"),
        *("-device", "virtio-blk-pci,drive=local,bootindex=1"),
    ]


SHOWN = ["-device", "VGA"]


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., object]:
    """Start a machine with a firmware (bios, uefi or secure) and these arguments for QEMU."""

    def run(firmware: str, arguments: list[str]) -> object:
        name = {"bios": None, "uefi": "uefi", "secure": "secure_uefi"}[firmware]
        chosen: Firmware | None = request.getfixturevalue(name) if name else None
        code, variables = (chosen.code, chosen.variables) if chosen else (None, None)
        return boot(tmp_path, [*arguments, *SHOWN], firmware=code, variables=variables, secure=firmware == "secure")

    return run


INSTALLS = {
    "el9, disc on BIOS": ("el9", as_disc, "bios"),
    "el9, disk on BIOS": ("el9", as_disk, "bios"),
    "el9, disc on UEFI": ("el9", as_disc, "uefi"),
    "el9, disk on UEFI": ("el9", as_disk, "uefi"),
    "el9, disc with Secure Boot": ("el9", as_disc, "secure"),
    "el10, disc on BIOS": ("el10", as_disc, "bios"),
    "el10, disk on BIOS": ("el10", as_disk, "bios"),
    "el10, disc on UEFI": ("el10", as_disc, "uefi"),
    "el10, disk with Secure Boot": ("el10", as_disk, "secure"),
}


def check_install(machine: Machine, firmware: str, label: str, kickstart: str) -> str:
    """Until the guest has read the Kickstart from the medium; the arguments that it got."""
    arguments = machine.wait_for("GUEST arguments")
    assert f"inst.stage2=hd:LABEL={label}" in arguments
    assert machine.wait_for("GUEST firmware").endswith("bios" if firmware == "bios" else "uefi")
    assert machine.wait_for("GUEST secure").endswith("yes" if firmware == "secure" else "no")
    machine.wait_for("GUEST medium")
    assert machine.wait_for("GUEST kickstart").endswith(kickstart)
    machine.wait_for("GUEST done")
    return arguments


@pytest.mark.parametrize(("kind", "attached", "firmware"), INSTALLS.values(), ids=INSTALLS)
def test_it_boots_and_finds_its_kickstart(
    request: pytest.FixtureRequest, start: Callable[..., object], kind: str, attached: object, firmware: str
) -> None:
    made: Distribution = request.getfixturevalue(kind)
    with start(firmware, attached(made.installing())) as machine:  # type: ignore[operator, attr-defined]
        check_install(machine, firmware, "RB-CLUSTER-1-X86_64", made.on_disc())


MODIFIED = {
    "el9, disc on BIOS": ("el9", as_disc, "bios"),
    "el9, disk on BIOS": ("el9", as_disk, "bios"),
    "el9, disk on UEFI": ("el9", as_disk, "uefi"),
    "el9, disc with Secure Boot": ("el9", as_disc, "secure"),
    "el10, disc on BIOS": ("el10", as_disc, "bios"),
    "el10, disk on BIOS": ("el10", as_disk, "bios"),
    "el10, disc on UEFI": ("el10", as_disc, "uefi"),
}


@pytest.mark.parametrize(("kind", "attached", "firmware"), MODIFIED.values(), ids=MODIFIED)
def test_a_modified_image_boots(
    request: pytest.FixtureRequest, start: Callable[..., object], kind: str, attached: object, firmware: str
) -> None:
    made: Distribution = request.getfixturevalue(kind)
    with start(firmware, attached(made.modified())) as machine:  # type: ignore[operator, attr-defined]
        arguments = check_install(machine, firmware, "CHANGED", hashlib.sha256(b"lang en_US\n").hexdigest())
        assert "rb.modified" in arguments and "inst.ks=hd:LABEL=CHANGED:/ks.cfg" in arguments


LEFT_ALONE = {
    "el9, disc on BIOS": ("el9", as_disc, "bios"),
    "el9, disk on BIOS": ("el9", as_disk, "bios"),
    "el9, disc on UEFI": ("el9", as_disc, "uefi"),
    "el9, disk with Secure Boot": ("el9", as_disk, "secure"),
    "el10, disc on BIOS": ("el10", as_disc, "bios"),
    "el10, disk on BIOS": ("el10", as_disk, "bios"),
}


@pytest.mark.parametrize(("kind", "attached", "firmware"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_left_alone_it_starts_the_local_disk(
    request: pytest.FixtureRequest,
    start: Callable[..., object],
    unpacked: Unpack,
    tmp_path: Path,
    kind: str,
    attached: object,
    firmware: str,
) -> None:
    made: Distribution = request.getfixturevalue(kind)
    disk = tmp_path / "local.img"
    disk.write_bytes(bios_disk() if firmware == "bios" else uefi_disk(unpacked))
    arguments = [*attached(made.waiting()), *local_disk(disk)]  # type: ignore[operator]
    with start(firmware, arguments) as machine:  # type: ignore[attr-defined]
        machine.wait_for(MARK)
        assert "GUEST started" not in machine.seen()


def test_a_stick_on_bios_passes_over_a_disk_that_only_holds_data(
    el9: Distribution, start: Callable[..., object], tmp_path: Path
) -> None:
    data, disk = tmp_path / "data.img", tmp_path / "local.img"
    data.write_bytes(with_gpt(bytes(1024 * 1024)))
    disk.write_bytes(bios_disk())
    more = ["-drive", f"if=none,id=data,format=raw,snapshot=on,file={data}"]
    more += ["-device", "virtio-blk-pci,drive=data,bootindex=1"]
    last = [word.replace("bootindex=1", "bootindex=2") for word in local_disk(disk)]
    with start("bios", [*as_disk(el9.waiting()), *more, *last]) as machine:  # type: ignore[attr-defined]
        machine.wait_for(MARK)


def test_the_medium_of_one_host_gives_it_its_address(el9: Distribution, start: Callable[..., object]) -> None:
    hosts = el9.folder / "hosts.csv"
    hosts.write_text("name,address,netmask,gateway,interface\nc0,10.1.0.5,255.255.0.0,10.1.0.1,eth0\n")
    where = ["--url", "http://10.1.0.1/dist", "--kickstart-url", "http://10.1.0.1/ks/{host}"]
    image = el9.make("host.iso", "--host", "c0", "--hosts", hosts, "--default", "c0", *where)
    with start("bios", as_disc(image)) as machine:  # type: ignore[attr-defined]
        words = machine.wait_for("GUEST arguments").split()
        assert {
            "inst.stage2=http://10.1.0.1/dist",
            "inst.ks=http://10.1.0.1/ks/c0",
            "ip=10.1.0.5::10.1.0.1:255.255.0.0:c0:eth0:none",
        } <= set(words)


def bios_disk() -> bytes:
    """A disk whose first sector writes the mark to the first serial port, and stops."""
    text = f"{MARK}\r\n".encode() + b"\0"
    # cld; xor ax,ax; mov ds,ax; mov si,TEXT; mov dx,0x3f8; next: lodsb; test al,al; jz end; out dx,al; jmp next;
    # end: hlt; jmp end
    code = (
        bytes.fromhex("fc31c08ed8be") + struct.pack("<H", 0x7C00 + 0x20) + bytes.fromhex("baf803ac84c07403eeebf8f4ebfd")
    )
    sector = code.ljust(0x20, b"\0") + text
    return sector.ljust(510, b"\0") + b"\x55\xaa" + bytes(1024 * 1024)


def uefi_disk(unpacked: Unpack) -> bytes:
    """A disk with an EFI system partition, on which an installed system has its loaders."""
    signed = unpacked("grub-efi-amd64-signed") / "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"
    shim = unpacked("shim-signed") / "usr/lib/shim/shimx64.efi.signed"
    files = {
        "EFI/rocky/shimx64.efi": shim.read_bytes(),
        "EFI/rocky/grubx64.efi": signed.read_bytes(),
        "boot/grub/grub.cfg": f"echo '{MARK}'\necho\nsleep 60\n".encode(),
    }
    return with_gpt(make_efi_image(files, epoch=1_700_000_000, label="ESP"))


def with_gpt(partition: bytes) -> bytes:
    """A disk with this EFI system partition at 1 MiB."""
    first, size = 2048, len(partition) // SECTOR
    total = first + size + 2048
    kind = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
    name = "ESP".encode("utf-16-le").ljust(72, b"\0")
    entry = struct.pack("<16s16sQQQ", kind, UUID(int=1).bytes_le, first, first + size - 1, 0) + name
    entries = entry.ljust(128 * 128, b"\0")

    def header(own: int, other: int, place: int) -> bytes:
        def pack(check: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII",
                *(b"EFI PART", 0x10000, 92, check, 0, own, other, 34, total - 34, UUID(int=2).bytes_le),
                *(place, 128, 128, zlib.crc32(entries)),
            )

        return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")

    protective = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, total - 1)
    front = protective.ljust(510, b"\0") + b"\x55\xaa" + header(1, total - 1, 2) + entries
    back = entries + header(total - 1, 1, total - 33)
    body = front.ljust(first * SECTOR, b"\0") + partition
    return body + bytes((total - first - size) * SECTOR - len(back)) + back
