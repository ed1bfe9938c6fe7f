"""A generation as an install medium is made of it: its files with their digests, repositories and boot files."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.distribution import Generation, Provenance, TreeInfo, Variant, read_provenance, read_treeinfo
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import digest_file, read_limited, walk_tree
from rollbuild.location import Location
from rollbuild.media.direct import find_boot_files
from rollbuild.media.kickstarts import DiscKickstart, prepare_kickstart
from rollbuild.releases import Release

SUMS = "SHA256SUMS"
BIOS_LOADERS = ("isolinux/isolinux.bin", "images/eltorito.img")
_KICKSTART_LIMIT = 64 * 1024 * 1024
_SUMS_LIMIT = 256 * 1024 * 1024
_BOOT_FOLDERS = ("images/", "EFI/", "isolinux/", "boot/", "LiveOS/")
_LEFT_OUT = ("images/boot.iso", "isolinux/grub.conf", "isolinux/boot.cat", "images/efiboot.img", "shadowed.json")
"""An image in the image, a menu that nothing reads, and what is made anew."""

_SUM_LINE = re.compile(rb"\\?([0-9a-f]{64})  (.+)")
_RELEASE_OF_KERNEL = re.compile(rb"\.el(\d+)")


@dataclass(frozen=True, slots=True)
class DiscRepository:
    """A repository of the generation: the uid of its variant, its path from the top, and the roll that it is of."""

    uid: str
    path: str
    roll: str = ""

    def holds(self, path: str) -> bool:
        """Whether a file of the generation is a package or metadata of it."""
        below = path if self.path == "." else path.removeprefix(f"{self.path}/")
        if self.path != "." and below == path:
            return False
        return below.startswith("repodata/") or (below.endswith(".rpm") and (self.path != "." or "/" in below))


@dataclass(frozen=True, slots=True)
class DiscSource:
    """`files`: path -> lstat of each that may go onto a medium, folders left out. `sums`: path -> SHA-256.

    `kernel`, `initrd` and `stage2` are paths in the generation, `efi` and `bios` say what it has loaders for.
    """

    generation: Generation
    provenance: Provenance
    release: Release
    info: TreeInfo
    kernel: str
    initrd: str
    stage2: str
    files: Mapping[str, os.stat_result] = field(repr=False)
    sums: Mapping[str, str] = field(repr=False)
    repositories: tuple[DiscRepository, ...]

    @property
    def folder(self) -> Path:
        return self.generation.folder

    @property
    def efi(self) -> bool:
        """Whether there are loaders for UEFI."""
        return any(re.fullmatch(r"EFI/BOOT/BOOT[A-Z0-9]+\.EFI", path, re.IGNORECASE) for path in self.files)

    @property
    def bios(self) -> str:
        """The loader for BIOS; empty where there is none."""
        return next((path for path in BIOS_LOADERS if path in self.files), "")

    def boot_files(self) -> list[str]:
        """What it takes to boot and to start the installer, and the files at the top."""
        return [path for path in self.files if path.startswith(_BOOT_FOLDERS) or "/" not in path]

    def repository_of(self, path: str) -> DiscRepository | None:
        """The repository that a package or a file of metadata belongs to."""
        # That of the top, which el7 has, would take in all others.
        found = [one for one in self.repositories if one.holds(path)]
        return max(found, key=lambda one: (one.path != ".", len(one.path)), default=None)

    def read_kickstarts(self, names: tuple[str, ...]) -> tuple[DiscKickstart, ...]:
        """Those of these appliances, of all when none is named. Raises RollbuildError for one that is not there."""
        known = self.provenance.appliances
        if not known:
            raise RollbuildError(
                f"{self.generation} has no Kickstarts",
                hint="make a generation with them: rollbuild distro create without --no-kickstarts",
            )
        for name in names:
            if name not in known:
                raise RollbuildError(
                    f"{self.generation} has no Kickstart of an appliance {name}",
                    hint=f"there is: {', '.join(sorted(known))}",
                    exit_code=USAGE,
                )
        folder = self.folder / "kickstarts"
        chosen = dict.fromkeys(names or sorted(known))
        return tuple(prepare_kickstart(name, read_limited(folder / f"{name}.ks", _KICKSTART_LIMIT)) for name in chosen)


def read_disc_source(generation: Generation) -> DiscSource:
    """Look at a generation, and refuse one that no medium can be made of. Raises RollbuildError."""
    provenance = read_provenance(generation.folder)
    place = generation.folder / ".treeinfo"
    info = read_treeinfo(place)
    boot = find_boot_files(generation)
    kernel, initrd = (os.path.relpath(path, generation.folder) for path in (boot.kernel, boot.initrd))
    if info.version.partition(".")[0] != str(boot.release.os_version_major):
        raise RollbuildError(
            f"the images are of {info.family} {info.version}, and {generation} is for {boot.release.name}",
            location=Location(os.fspath(place)),
            hint="import the OS tree of the right release and make a generation of it",
        )
    files = {path: status for path, status in walk_tree(generation.folder) if _is_wanted(path, status)}
    if not info.stage2 or info.stage2 not in files:
        raise RollbuildError(
            f"{generation} has no second stage of the installer ({info.stage2 or 'images/install.img'})",
            location=Location(os.fspath(place)),
            hint="import the whole install DVD of the release; a tree of packages alone does not boot",
        )
    sums = _read_sums(generation.folder / SUMS)
    source = DiscSource(
        generation=generation,
        provenance=provenance,
        release=boot.release,
        info=info,
        kernel=kernel,
        initrd=initrd,
        stage2=info.stage2,
        files=files,
        sums=sums,
        repositories=_repositories(info, provenance),
    )
    _check_images(source)
    return source


def _is_wanted(path: str, status: os.stat_result) -> bool:
    made = (SUMS, ".treeinfo", "rollbuild.repo", *_LEFT_OUT)
    return not stat.S_ISDIR(status.st_mode) and path not in made and not path.startswith("kickstarts/")


def _read_sums(path: Path) -> dict[str, str]:
    found = {}
    for line in read_limited(path, _SUMS_LIMIT).splitlines():
        if (match := _SUM_LINE.fullmatch(line)) and not line.startswith(b"\\"):
            found[os.fsdecode(match[2])] = match[1].decode()
    return found


def _repositories(info: TreeInfo, provenance: Provenance) -> tuple[DiscRepository, ...]:
    paths = {path: name for name, path, _ in provenance.repositories}
    rolls = {roll.id.name for roll in provenance.rolls}

    def roll_of(variant: Variant) -> str:
        name = paths.get(variant.repository, "")
        return name if name in rolls and variant.repository == f"rolls/{name}" else ""

    return tuple(DiscRepository(variant.uid, variant.repository, roll_of(variant)) for variant in info.variants)


def _check_images(source: DiscSource) -> None:
    """Refuse a kernel or an initrd that was changed, or is of another release than the distribution."""
    for path in (source.kernel, source.initrd):
        listed = source.info.checksums.get(path)
        digest, _ = digest_file(source.folder / path)
        if digest != source.sums.get(path, digest) or (listed and listed[0] == "sha256" and listed[1] != digest):
            raise RollbuildError(
                "this image was changed since the OS tree was imported, or is of another release",
                location=Location(os.fspath(source.folder / path)),
                hint="import the OS tree again, with --replace, and make a generation of it",
            )
    found = _RELEASE_OF_KERNEL.search(kernel_version(source.folder / source.kernel))
    if found and int(found[1]) != source.release.os_version_major:
        raise RollbuildError(
            f"this kernel is of el{int(found[1])}, and {source.generation} is for {source.release.name}",
            location=Location(os.fspath(source.folder / source.kernel)),
            hint="kernel, initrd and second stage must be of one release: import the whole DVD",
        )


def kernel_version(path: Path) -> bytes:
    """What a kernel image for x86 says of its version; empty for another file.

    The header is that of Documentation/arch/x86/boot.rst: `HdrS` at 0x202, at 0x20e where the text is, less 0x200.
    """
    with open(path, "rb") as file:
        head = file.read(0x10000)
    if head[0x202:0x206] != b"HdrS":
        return b""
    place = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    return head[place : place + 256].split(b"\0")[0]
