"""A system for machines with a BIOS to install and to start from their disks: loader, kernel and initrd are on it."""

import gzip
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.boot.conftest import Guest, copy_modules
from tests.boot.network import need, program

SCRIPT = Path(__file__).with_name("system.sh")
GRUB = Path("/usr/lib/grub/i386-pc")
_MODULES = ("ext4", "button", "evdev", "xen-blkfront", "xen-netfront")
_LOADER_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "serial", "echo", "minicmd")
_MENU = """serial --unit=0 --speed=115200
terminal_output serial
echo LOADER on the disk
linux /boot/vmlinuz {arguments}
initrd /boot/initrd
boot
"""
_SECTOR = 512
_FIRST = 2048  # sector of the partition; the loader has those before it
_LINUX = 0x83
_MIB = 1 << 20


def make_system_initrd(guest: Guest, folder: Path) -> Path:
    """The guest's initrd with system.sh as /system: the argument rdinit=/system starts it."""
    need("cpio", "modprobe")
    tree = folder / "system"
    (tree / "lib/modules").mkdir(parents=True)
    version = guest.kernel.name.removeprefix("vmlinuz-")
    names = copy_modules(guest.kernel.parents[1], version, tree, _MODULES)
    (tree / "lib/modules/order-system").write_text("".join(f"{name}\n" for name in names))
    shutil.copyfile(SCRIPT, tree / "system")
    (tree / "system").chmod(0o755)
    listed = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*"))).encode()
    command = ["cpio", "--quiet", "-o", "-H", "newc", "--owner=0:0"]
    archive = subprocess.run(command, cwd=tree, input=listed, capture_output=True, check=True).stdout
    content = guest.initrd.read_bytes()
    path = folder / "system.img"
    path.write_bytes(content + bytes(-len(content) % 4) + gzip.compress(archive, 6, mtime=0))
    return path


def make_system_disk(folder: Path, kernel: Path, initrd: Path, arguments: str) -> Path:
    """The image of a disk with a BIOS's partition table, GRUB before its partition, and kernel and initrd in that.

    The partition is the first, as ext2; `/root` in it is for the installer to leave the Kickstart. `arguments` are
    the kernel's. It is as large as it has to be: the rest of a machine's disk stays free.
    """
    need("mke2fs", "grub-mkimage")
    if not (GRUB / "biosdisk.mod").is_file():
        pytest.skip("GRUB's modules for a BIOS are missing (grub-pc-bin)")
    tree = folder / "disk"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "root").mkdir()
    shutil.copyfile(kernel, tree / "boot/vmlinuz")
    shutil.copyfile(initrd, tree / "boot/initrd")
    (tree / "boot/grub/grub.cfg").write_text(_MENU.format(arguments=arguments))
    core = folder / "core.img"
    command: list[str | Path] = [program("grub-mkimage"), "-O", "i386-pc", "-d", GRUB, "-o", core]
    subprocess.run([*command, "-p", "(hd0,msdos1)/boot/grub", *_LOADER_MODULES], check=True)
    loader = (GRUB / "boot.img").read_bytes()[:440] + bytes(6)
    size = (kernel.stat().st_size + initrd.stat().st_size) // _MIB + 4
    sectors = size * _MIB // _SECTOR
    # Status, first and last cylinder (none: too large to tell), kind.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", _LINUX, b"\xfe\xff\xff", _FIRST, sectors)
    start = loader + entry.ljust(64, b"\0") + b"\x55\xaa" + core.read_bytes()
    assert len(start) <= _FIRST * _SECTOR, "the loader is too large for the room before the partition"
    path = folder / "system-disk.img"
    path.write_bytes(start.ljust((_FIRST + sectors) * _SECTOR, b"\0"))
    offset = f"offset={_FIRST * _SECTOR}"
    command = [program("mke2fs"), "-q", "-F", "-t", "ext2", "-b", "1024", "-m", "0", "-d", tree, "-E", offset]
    subprocess.run([*command, path, str(size * 1024)], check=True)
    return path
