"""Boot loaders: finding those that a netboot tree needs, in folders, in an OS tree, or on this machine."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import REFUSED, USAGE, RollbuildError
from rollbuild.files import explained, read_limited
from rollbuild.findings import Finding, note, warning
from rollbuild.location import Location
from rollbuild.process import find_program, run_program

BIOS_LOADERS = ("pxelinux", "grub")
"""What starts BIOS machines, in the order of preference."""

_LIMIT = 64 * 1024 * 1024
_OF_THE_MACHINE = (
    Path("/usr/share/syslinux"),  # Enterprise Linux: syslinux-nonlinux
    Path("/usr/lib/PXELINUX"),  # Debian: pxelinux
    Path("/usr/lib/syslinux/modules/bios"),  # Debian: syslinux-common
    Path("/usr/share/ipxe"),
    Path("/usr/lib/ipxe"),
)
_PXELINUX = (("pxelinux.0", ("pxelinux.0",)), ("ldlinux.c32", ("ldlinux.c32",)))
# Shim fetches GRUB from the folder that it came from itself, if DHCP told it in the packet's own field: the copies at
# the top are for servers that use option 67.
_UEFI = (
    (("grub/shimx64.efi", "EFI/BOOT/BOOTX64.EFI"), ("BOOTX64.EFI", "shimx64.efi")),
    (("grub/grubx64.efi", "EFI/BOOT/grubx64.efi", "grubx64.efi"), ("grubx64.efi",)),
    (("grub/mmx64.efi", "EFI/BOOT/mmx64.efi", "mmx64.efi"), ("mmx64.efi",)),
)
_IPXE = (
    ("ipxe/undionly.kpxe", ("undionly.kpxe",)),
    ("ipxe/snponly.efi", ("snponly.efi", "ipxe-snponly-x86_64.efi")),
    ("ipxe/ipxe.efi", ("ipxe.efi", "ipxe-x86_64.efi")),
)
_GRUB_CORE = "grub/i386-pc/core.0"
_GRUB_PLATFORM = Path("/usr/lib/grub/i386-pc")
_GRUB_PROGRAMS = ("grub2-mkimage", "grub-mkimage")
# All that a menu may use is in the one file, so that the tree needs no folder of modules.
_GRUB_MODULES = (
    *("pxe", "net", "tftp", "http", "normal", "configfile", "linux", "linux16", "chain", "boot", "biosdisk"),
    *("part_msdos", "part_gpt", "search", "test", "regexp", "echo", "eval", "read", "sleep", "true", "minicmd"),
    *("serial", "terminal", "halt", "reboot", "ls", "cat", "help", "loadenv", "probe"),
)


@dataclass(frozen=True, slots=True)
class Loaders:
    """What each firmware fetches first, as paths from the netboot tree; empty for what the tree does not have."""

    bios: str = ""
    uefi: str = ""
    uefi_http: str = ""
    ipxe: str = "ipxe/boot.ipxe"


@dataclass(frozen=True, slots=True)
class FoundLoaders:
    """`files`: path in the netboot tree -> content; `findings`: what is missing, and where to get it."""

    loaders: Loaders
    files: Mapping[str, bytes]
    findings: tuple[Finding, ...]


def find_loaders(os_tree: Path, folders: Sequence[Path] = (), *, bios: str = "", ipxe: bool = True) -> FoundLoaders:
    """The boot loaders for a netboot tree.

    Looked for in `folders`, then in `os_tree` (EFI/BOOT, the signed ones: they are copied as they are), then where
    the packages of this machine put them. `bios` is one of BIOS_LOADERS; without it, the first of these that is found.
    `ipxe`: whether firmware that is iPXE gets iPXE's script. Raises RollbuildError for folders that are not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise RollbuildError(f"there is no folder {folder} of boot loaders", exit_code=USAGE)
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    bios_path = _find_bios(folders, bios, files)
    if not bios_path:
        findings.append(
            warning("BOOT-LOADER", "BIOS machines cannot boot: there is no loader for them", hint=_hint(bios))
        )
    uefi = _find_uefi(os_tree, folders, files)
    if not uefi:
        message = f"UEFI machines cannot boot: {os_tree / 'EFI/BOOT'} has no BOOTX64.EFI with grubx64.efi"
        findings.append(warning("BOOT-LOADER", message, hint="name a folder that has both with --loaders"))
    if ipxe and not _take(_IPXE, (*folders, *_OF_THE_MACHINE), files):
        message = "iPXE itself is not in the tree; machines whose firmware is iPXE boot all the same"
        hint = "it is in the package ipxe-bootimgs-x86 (Enterprise Linux) or ipxe (Debian)"
        findings.append(note("BOOT-LOADER", message, hint=hint))
    loaders = Loaders(
        bios=bios_path,
        uefi="grub/shimx64.efi" if uefi else "",
        uefi_http="EFI/BOOT/BOOTX64.EFI" if uefi else "",
        ipxe="ipxe/boot.ipxe" if ipxe else "",
    )
    return FoundLoaders(loaders, files, tuple(findings))


def _find_bios(folders: Sequence[Path], wanted: str, files: dict[str, bytes]) -> str:
    """Add the files of a loader for BIOS; its path."""
    for kind in (wanted,) if wanted else BIOS_LOADERS:
        if kind == "pxelinux":
            found: dict[str, bytes] = {}
            if _take(_PXELINUX, (*folders, *_OF_THE_MACHINE), found) == len(_PXELINUX):
                files |= found
                return "pxelinux.0"
        else:
            core = _find(("core.0",), folders)
            content = _read(core) if core is not None else _make_grub_core()
            if content:
                files[_GRUB_CORE] = content
                return _GRUB_CORE
    return ""


def _find_uefi(os_tree: Path, folders: Sequence[Path], files: dict[str, bytes]) -> bool:
    found: dict[str, bytes] = {}
    count = 0
    for targets, names in _UEFI:
        path = _find(names, (*folders, os_tree / "EFI/BOOT"))
        if path is None:
            continue
        count += 1
        found |= dict.fromkeys(targets, _read(path))
    if "grub/shimx64.efi" not in found or "grub/grubx64.efi" not in found:
        return False
    files |= found
    return True


def _take(wanted: Sequence[tuple[str, Sequence[str]]], folders: Sequence[Path], files: dict[str, bytes]) -> int:
    """Add what is found of (path in the tree, its names elsewhere); how many of them."""
    count = 0
    for target, names in wanted:
        path = _find(names, folders)
        if path is not None:
            files[target] = _read(path)
            count += 1
    return count


def _find(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def _read(path: Path) -> bytes:
    content = read_limited(path, _LIMIT)
    if not content:
        raise RollbuildError("this boot loader is empty", location=Location(os.fspath(path)))
    return content


def _make_grub_core() -> bytes:
    """GRUB for BIOS as one file that boots over the network, made by this machine's GRUB; nothing where it has none."""
    program = next((name for name in _GRUB_PROGRAMS if find_program(name)), "")
    if not program or not (_GRUB_PLATFORM / "pxeboot.img").is_file():
        return b""
    with (
        explained("cannot write into", tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="rollbuild-") as folder,
    ):
        core = Path(folder, "core.0")
        argv = [program, "-O", "i386-pc-pxe", "-d", str(_GRUB_PLATFORM), "-p", "/grub", "-o", str(core)]
        done = run_program([*argv, *_GRUB_MODULES], timeout=120, env={**os.environ, "LC_ALL": "C"})
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise RollbuildError(f"{program} made no loader: {said}", exit_code=REFUSED)
        return _read(core)


def _hint(wanted: str) -> str:
    pxelinux = "syslinux-nonlinux (Enterprise Linux), or pxelinux and syslinux-common (Debian)"
    grub = "grub2-tools and grub2-pc-modules (Enterprise Linux), or grub-common and grub-pc-bin (Debian)"
    packages = {"pxelinux": pxelinux, "grub": grub}.get(wanted, f"{pxelinux}; or for GRUB {grub}")
    return f"install {packages}; or name a folder that has it with --loaders"
