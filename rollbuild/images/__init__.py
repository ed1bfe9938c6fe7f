"""Images: ISO images written and read, and what makes them boot. Knows no rolls."""

from rollbuild.images.booting import BootImages, detect_boot
from rollbuild.images.efi import efi_image_size, make_efi_image
from rollbuild.images.fatreading import read_fat
from rollbuild.images.flushing import flushing
from rollbuild.images.implanting import implanting_md5
from rollbuild.images.initrd import append_to_initrd, make_initrd
from rollbuild.images.isoreading import IsoImage, check_iso, open_iso
from rollbuild.images.isotree import IsoEntry
from rollbuild.images.isowriting import write_iso

__all__ = [
    "BootImages",
    "IsoEntry",
    "IsoImage",
    "append_to_initrd",
    "check_iso",
    "detect_boot",
    "efi_image_size",
    "flushing",
    "implanting_md5",
    "make_efi_image",
    "make_initrd",
    "open_iso",
    "read_fat",
    "write_iso",
]
