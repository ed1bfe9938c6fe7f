"""What makes an image boot: the loader for BIOS, the EFI image, and the boot code of a disk's first sector.

Only what the OS tree brings is put into the image, so that a signed chain stays signed. The boot code for disks is in
no tree; it comes from this machine's packages.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.location import Location

ISOLINUX = "isolinux/isolinux.bin"
GRUB = "images/eltorito.img"
EFI = "images/efiboot.img"

_EFI_PARTITION = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_DATA_PARTITION = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_ISOLINUX_CODE = (
    "usr/share/syslinux/isohdpfx.bin",  # Enterprise Linux
    "usr/lib/ISOLINUX/isohdpfx.bin",  # Debian
    "usr/lib/syslinux/bios/isohdpfx.bin",
)
_GRUB_CODE = ("usr/lib/grub/i386-pc/boot_hybrid.img", "usr/share/grub/i386-pc/boot_hybrid.img")


@dataclass(frozen=True, slots=True)
class BootImages:
    """What a boot needs. `bios` is the loader's path in the folder that the image is made of ("" for none), of GRUB or
    else of isolinux; `disk_code` is the file with the first sector's code, without which BIOS boots the image as a
    disc only; `efi` is the FAT image with the EFI loaders, a path in the folder, or anywhere else ("" for none).
    """

    bios: str = ""
    is_grub: bool = False
    disk_code: Path | None = None
    efi: str = ""

    def added_size(self, folder: Path) -> int:
        """Bytes that the image holds besides the folder's content."""
        partition = (folder / self.efi).stat().st_size if self._appends_partition() else 0
        return partition + 1024 * 1024

    def arguments(self, folder: Path) -> Iterator[str]:
        """The options of xorriso's mkisofs, for an image of `folder`. Raises RollbuildError when a file is missing."""
        self._check(folder)
        if self.disk_code is not None and not self.is_grub:
            yield from ("-isohybrid-mbr", os.path.abspath(self.disk_code))
        elif self.disk_code is not None:
            yield from ("--grub2-mbr", os.path.abspath(self.disk_code))
        yield from ("-partition_offset", "16")
        if self._appends_partition():
            place = os.path.abspath(folder / self.efi)
            yield from ("-appended_part_as_gpt", "-append_partition", "2", _EFI_PARTITION, place)
            yield from ("-iso_mbr_part_type", _DATA_PARTITION)
        if self.bios:
            yield from self._bios_arguments()
        if self.bios and self.efi:
            yield "-eltorito-alt-boot"
        if self._appends_partition():
            yield from ("-e", "--interval:appended_partition_2:all::", "-no-emul-boot")
        elif self.efi:
            yield from ("-e", self.efi, "-no-emul-boot", "-isohybrid-gpt-basdat")

    def _bios_arguments(self) -> Iterator[str]:
        catalog = "isolinux/boot.cat" if not self.is_grub else "boot.cat"
        yield from ("-c", catalog, "--boot-catalog-hide", "-b", self.bios)
        yield from ("-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")
        if self.is_grub:
            yield "--grub2-boot-info"

    def _appends_partition(self) -> bool:
        # isolinux's code for disks makes a partition of a file of the image; that of GRUB does not.
        return bool(self.efi) and (self.is_grub or self.disk_code is None or os.path.isabs(self.efi))

    def _check(self, folder: Path) -> None:
        if not self.bios and not self.efi:
            raise RollbuildError("nothing boots this image: it has neither a loader for BIOS nor an EFI image")
        for name in (self.bios, self.efi, os.fspath(self.disk_code or "")):
            if name and not (folder / name).is_file():
                raise RollbuildError(
                    "this file is missing, and the image does not boot without it",
                    location=Location(os.fspath(folder / name)),
                )


def detect_boot(folder: Path, *, root: Path = Path("/")) -> BootImages | None:
    """How an OS tree boots, by the files that it has: isolinux (EL7-9) or GRUB (EL10) for BIOS, the EFI image for UEFI.

    None when it has none of them. The boot code for disks is looked for below `root`. Raises RollbuildError,
    MISSING_PROGRAM, when it is not installed there.
    """
    efi = EFI if (folder / EFI).is_file() else ""
    if (folder / ISOLINUX).is_file():
        return BootImages(ISOLINUX, False, _find_code(root, _ISOLINUX_CODE, "syslinux", "isolinux"), efi)
    if (folder / GRUB).is_file():
        return BootImages(GRUB, True, _find_code(root, _GRUB_CODE, "grub2-pc-modules", "grub-pc-bin"), efi)
    return BootImages(efi=efi) if efi else None


def _find_code(root: Path, places: tuple[str, ...], enterprise: str, debian: str) -> Path:
    for place in places:
        if (root / place).is_file():
            return root / place
    raise RollbuildError(
        f"the boot code {os.path.basename(places[0])} is missing, and a stick would not boot on BIOS without it",
        hint=f"install the package {enterprise} (Enterprise Linux) or {debian} (Debian)",
        exit_code=MISSING_PROGRAM,
    )
