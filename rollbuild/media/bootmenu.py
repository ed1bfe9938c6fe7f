"""The boot menus of an install medium: for isolinux and for GRUB, on BIOS and on UEFI, from one list of entries."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.media.menus import Menus
from rollbuild.media.netboot import GrubVerbs

LOCAL = "local"
ISOLINUX_MENU = "isolinux/isolinux.cfg"
ISOLINUX_LOCAL = "isolinux/local.bin"
"""What the menu of isolinux starts the local disk with."""
EFI_MENU = "EFI/BOOT/grub.cfg"
GRUB_MENUS = (EFI_MENU, "EFI/BOOT/BOOT.conf", "boot/grub2/grub.cfg", "boot/grub/grub.cfg")
"""Where GRUB of an install medium reads its menu: on UEFI, on old Macs, and with BIOS (EL10's, others')."""

_EFI_VERBS = re.compile(r"^\s*linuxefi\s", re.MULTILINE)
_PLAIN = GrubVerbs("linux", "initrd")
_LABEL = re.compile(r"[A-Z0-9_-]{1,32}\Z")
LONGEST_LABEL = 32


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A line of the menu. `action` is local, install, check or rescue; `kernel` and `initrd` are paths on the medium
    without a slash before them, and empty like `arguments` for what starts the local disk."""

    id: str
    action: str
    title: str
    kernel: str = ""
    initrd: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BootMenu:
    """What a medium offers: its volume id, the entries, which of them starts after how many seconds."""

    label: str
    title: str
    entries: tuple[MenuEntry, ...]
    default: str = LOCAL
    timeout: int = 60

    def write(
        self, menus: Menus, files: Collection[str], read: Callable[[str], bytes], *, bios: bool, efi: bool
    ) -> dict[str, bytes]:
        """Path -> menu, for every loader among `files`, the paths of the OS tree; `read` gives the menus it came with.
        That of isolinux needs LOCAL_DISK as ISOLINUX_LOCAL beside it.

        `bios`, `efi`: which of the two the medium boots on.
        """
        values = {
            "label": self.label,
            "title": self.title,
            "entries": self.entries,
            "default": self.default,
            "timeout": self.timeout,
        }
        written = {}
        if bios and ISOLINUX_MENU.replace(".cfg", ".bin") in files:
            ui = next((name for name in ("vesamenu.c32", "menu.c32") if f"isolinux/{name}" in files), "")
            written[ISOLINUX_MENU] = menus.write("dvd-isolinux", {**values, "ui": ui, "local": ISOLINUX_LOCAL})
        for path in grub_menu_places(files, bios=bios, efi=efi):
            verbs = read_verbs(read(path).decode("utf-8", "replace") if path in files else "", path)
            written[path] = menus.write("dvd-grub", {**values, "verbs": verbs})
        return written


def grub_menu_places(files: Collection[str], *, bios: bool, efi: bool) -> Iterable[str]:
    """Where the tree's GRUBs read their menus: where it has some, and where each firmware's looks in any case."""
    for path in GRUB_MENUS:
        if (
            path in files
            or (path == EFI_MENU and efi)
            or (path == "boot/grub2/grub.cfg" and bios and "images/eltorito.img" in files)
        ):
            yield path


def read_verbs(menu: str, path: str) -> GrubVerbs:
    """How the GRUB that reads a menu calls its commands: as the menu that it came with says."""
    if not path.startswith("EFI/"):
        return GrubVerbs() if _EFI_VERBS.search(menu) else _PLAIN
    return GrubVerbs() if _EFI_VERBS.search(menu) or not menu else _PLAIN


def install_entries(
    appliances: Sequence[tuple[str, tuple[str, ...]]],
    rescue: tuple[str, ...],
    kernel: str,
    initrd: str,
    *,
    checks: bool = True,
) -> tuple[MenuEntry, ...]:
    """The usual entries: the local disk, each appliance's install with its arguments, the same after a check of the
    medium (unless the installer comes from elsewhere), and rescue where that has arguments."""
    entries = [MenuEntry(LOCAL, "local", "Start from the local disk")]
    entries += [
        MenuEntry(f"install-{name}", "install", f"Install {name}", kernel, initrd, arguments)
        for name, arguments in appliances
    ]
    entries += [
        MenuEntry(
            f"check-{name}",
            "check",
            f"Check this medium, then install {name}",
            kernel,
            initrd,
            (*arguments, "rd.live.check"),
        )
        for name, arguments in (appliances if checks else ())
    ]
    if rescue:
        entries.append(MenuEntry("rescue", "rescue", "Rescue an installed system", kernel, initrd, rescue))
    return tuple(entries)


def check_label(label: str) -> str:
    """A volume id that needs no quotes anywhere. Raises RollbuildError, exit code USAGE."""
    if not _LABEL.match(label):
        what = f"it has {len(label)} characters" if len(label) > LONGEST_LABEL else "other characters do not work"
        raise RollbuildError(
            f"{label!r} cannot be the label of a medium: {what}",
            hint=f"1 to {LONGEST_LABEL} of A-Z 0-9 _ - are allowed; loaders and installer find the medium by it",
            exit_code=USAGE,
        )
    return label


def make_label(distribution: str, number: int, arch: str) -> str:
    """RB-NAME-N-ARCH, with as much of the name as fits."""
    end = f"-{number}-{arch.upper()}"
    name = re.sub(r"[^A-Z0-9_-]", "-", distribution.upper())
    return f"RB-{name[: LONGEST_LABEL - 3 - len(end)]}{end}"
