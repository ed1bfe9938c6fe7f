"""The netboot tree's files: every loader's, made from one table of hosts so that they cannot differ."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from rollbuild.distribution import Generation
from rollbuild.files import locked, read_limited
from rollbuild.media.dhcp import dhcp_files
from rollbuild.media.loaders import FoundLoaders
from rollbuild.media.menus import Menus
from rollbuild.media.placing import (
    IMAGES,
    Written,
    is_tree,
    make_public,
    place_images,
    read_record,
    refuse_others,
    remove_images,
    remove_leftovers,
    update_tree,
)
from rollbuild.media.table import BootHost, BootNetwork

LOCK = ".netboot.lock"
_MENU_LIMIT = 1024 * 1024
_HOST_FILES = (
    ("pxelinux-host", "pxelinux.cfg/{dashed}"),
    ("grub-host", "grub/grub.cfg-{dashed}"),
    ("ipxe-host", "ipxe/hosts/{hyphened}.ipxe"),
)
_SHARED_FILES = (
    ("pxelinux-default", "pxelinux.cfg/default"),
    ("grub-default", "grub/grub.cfg"),
    # UEFI HTTP Boot begins in EFI/BOOT; shim looks at the top for its GRUB where DHCP gave the file as option 67.
    ("grub-elsewhere", "EFI/BOOT/grub.cfg"),
    ("grub-elsewhere", "grub.cfg"),
    ("ipxe-default", "ipxe/boot.ipxe"),
)


@dataclass(frozen=True, slots=True)
class GrubVerbs:
    """What UEFI GRUB of the release calls its commands: `linuxefi` and `initrdefi`, or `linux` and `initrd`."""

    kernel: str = "linuxefi"
    initrd: str = "initrdefi"

    @classmethod
    def of_menu(cls, menu: Path) -> "GrubVerbs":
        """Those of a menu that came with the release (EFI/BOOT/grub.cfg); without one, the default.

        Raises RollbuildError, exit code DISK.
        """
        if not menu.is_file():
            return cls()
        words = re.findall(
            r"^[ \t]*(linux(?:efi)?)[ \t]", read_limited(menu, _MENU_LIMIT).decode(errors="replace"), re.M
        )
        return cls("linux", "initrd") if words and "linuxefi" not in words else cls()


def loader_files(
    hosts: Sequence[BootHost], network: BootNetwork, menus: Menus, verbs: GrubVerbs
) -> Iterator[tuple[str, bytes]]:
    """(path from the tree, content) of each loader's files: the shared ones, then those of each host."""
    shared = shared_values(network, verbs)
    yield from shared_files(menus, shared)
    for host in hosts:
        for place, template in host_files(host):
            yield place, menus.write(template, {**shared, "host": host})


def shared_values(network: BootNetwork, verbs: GrubVerbs) -> dict[str, object]:
    """What every template of a loader gets."""
    return {"network": network, "verbs": verbs, "http_root": _grub_http(network)}


def shared_files(menus: Menus, shared: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    """(path from the tree, content) of the files that are for all hosts."""
    for template, path in _SHARED_FILES:
        yield path, menus.write(template, shared)


def host_files(host: BootHost) -> Iterator[tuple[str, str]]:
    """(path from the tree, template) of a host's own files."""
    for template, path in _HOST_FILES:
        yield path.format(dashed=host.dashed_mac, hyphened=host.mac.replace(":", "-")), template


def _grub_http(network: BootNetwork) -> str:
    """GRUB's name of the tree over HTTP: `(http,SERVER[:PORT])/PATH`; GRUB speaks no TLS."""
    parts = urlsplit(network.url)
    return f"(http,{parts.netloc}){parts.path}" if parts.scheme == "http" else ""


@dataclass(frozen=True, slots=True)
class NetbootTree:
    """What a netboot tree is made of. `folder` is where; `tftp_root` where the machine that serves it has it."""

    folder: Path
    generation: Generation
    images: Mapping[str, Path]
    hosts: Sequence[BootHost]
    network: BootNetwork
    loaders: FoundLoaders
    verbs: GrubVerbs
    tftp_root: str

    @property
    def image_folder(self) -> str:
        """Where kernel and initrd lie in the tree: it names the generation, so that none is changed under a host."""
        return image_folder(self.generation)

    def files(self, menus: Menus) -> Iterator[tuple[str, bytes]]:
        """(path from the tree, content) of all files but kernels and initrds."""
        yield from self.loaders.files.items()
        yield from dhcp_files(self.hosts, self.network, menus, self.loaders.loaders, tftp_root=self.tftp_root)
        yield from loader_files(self.hosts, self.network, menus, self.verbs)

    def sample(self, menus: Menus) -> dict[str, bytes]:
        """The files for no host but the first of each action: what programs need to look at."""
        first = {host.action: host for host in reversed(self.hosts)}
        few = replace(self, hosts=tuple(first.values()), loaders=replace(self.loaders, files={}))
        return dict(few.files(menus))


def image_folder(generation: Generation) -> str:
    """The folder of a generation's kernel and initrd, from the top of a netboot tree."""
    return f"{IMAGES}/{generation.distribution}-{generation.number}"


def make_netboot_tree(
    tree: NetbootTree, menus: Menus, *, replace: bool = False, advance: Callable[[int], object] | None = None
) -> tuple[Written, tuple[str, ...]]:
    """Write a netboot tree in its place, or bring one that is there up to date; what was written, and the folders of
    earlier images that were removed.

    First come kernel and initrd, then the files that name them; what is not wanted any more goes last. A folder that
    is no netboot tree yet may hold other files; with `replace` those of the same names are written over. Raises
    RollbuildError: REFUSED for such without `replace`, BUSY while another run writes the same tree; see `update_tree`
    for others.
    """
    top = tree.folder
    files = list(tree.files(menus))
    if not replace and not is_tree(top):
        refuse_others(top, files, {f"{tree.image_folder}/{name}": path for name, path in tree.images.items()})
    make_public(top, top)
    with locked(top / LOCK, f"writing the netboot tree {top}"):
        remove_leftovers(top)
        before = read_record(top)
        kept = place_images(top, {tree.image_folder: tree.images}, before.images)
        facts = {
            "distribution": tree.generation.distribution,
            "generation": tree.generation.number,
            "hosts": {host.name: [host.mac, host.address, host.action] for host in tree.hosts},
        }
        written = update_tree(top, files, facts, images=kept, before=before, advance=advance)
        removed = remove_images(top, kept, before.images)
    return written, removed
