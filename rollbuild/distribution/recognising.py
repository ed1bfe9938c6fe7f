"""What a medium is: an OS tree with its packages, or something else that people try to import."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rollbuild.distribution.discinfo import parse_discinfo
from rollbuild.distribution.osmedium import FolderMedium, OsMedium
from rollbuild.distribution.treeinfo import TreeInfo, Variant, parse_treeinfo
from rollbuild.errors import RollbuildError
from rollbuild.location import Location
from rollbuild.releases import RELEASES

_LIMIT = 4 * 1024 * 1024
_EXPECTED = "the whole DVD of a release is expected (its name ends in -dvd.iso), its content, or a mirror's os/ folder"
_ROLL = re.compile(r"([^/]+)/([^/]+)/[^/]+/(?:roll-[^/]+\.xml|roll\.json)\Z")
_BESIDE = re.compile(r"(?:\.\./){1,6}(?:[A-Za-z0-9_][A-Za-z0-9._-]*/?){1,3}\Z")
_ARCHES = ("x86_64", "aarch64", "ppc64le", "s390x")
_STAGE2 = ("images/install.img", "LiveOS/squashfs.img")


@dataclass(frozen=True, slots=True)
class Recognised:
    """An OS tree: its `.treeinfo`, its variants with their paths in the tree, and what boots it."""

    info: TreeInfo
    release: str
    variants: tuple[Variant, ...]
    kernel: str
    initrd: str
    stage2: str

    @property
    def name(self) -> str:
        """`rocky-9.4-x86_64`."""
        family = self.info.short or re.sub(r"\s*Linux\b.*", "", self.info.family) or self.info.family
        plain = re.sub(r"[^a-z0-9]+", "-", family.lower()).strip("-") or "os"
        return f"{plain}-{self.info.version}-{self.info.arch}"


def recognise(medium: OsMedium) -> Recognised:
    """Look at a medium's names and its `.treeinfo`, and refuse what is no whole OS tree. Raises RollbuildError."""
    sizes: Mapping[str, int]
    if isinstance(medium, FolderMedium) and not treeinfo_path(sizes := medium.glance()):
        raise _refuse_without_treeinfo(medium, sizes)
    sizes = medium.sizes()
    path = treeinfo_path(sizes)
    if not path:
        raise _refuse_without_treeinfo(medium, sizes)
    info = parse_treeinfo(medium.read(path, _LIMIT), f"{medium.shown}/{path}")
    _refuse_sets(medium, sizes, info)
    found = recognise_info(info, f"{medium.shown}/{path}")
    variants = tuple(_settle(medium, variant) for variant in info.variants)
    sizes = medium.sizes()
    _require_repositories(medium, sizes, variants)
    found = replace(found, variants=variants)
    for what, image in (("kernel", found.kernel), ("initrd", found.initrd), ("stage 2", found.stage2)):
        if not sizes.get(image):
            state = "is empty" if image in sizes else "is missing"
            raise RollbuildError(
                f"the installer's {what}, {image}, {state}",
                location=Location(medium.shown),
                hint="copy the medium again, whole: nothing can be installed without it",
            )
    return found


def recognise_info(info: TreeInfo, shown: str) -> Recognised:
    """The release and the boot files that a `.treeinfo` tells of. Raises RollbuildError for unknown releases."""
    match = re.match(r"(\d{1,3})(?:[.-]|\Z)", info.version)
    release = f"el{match[1]}" if match else ""
    if release not in RELEASES or info.family.startswith("Fedora"):
        raise RollbuildError(
            f"this is {info.family} {info.version}, of which rollbuild knows nothing",
            location=Location(shown),
            hint=f"it knows the releases {', '.join(RELEASES)}",
        )
    if info.arch not in _ARCHES:
        raise RollbuildError(
            f"this tree is for {info.arch}, and rollbuild knows {', '.join(_ARCHES)}", location=Location(shown)
        )
    if not info.variants:
        raise RollbuildError("this .treeinfo names no variant, and so no packages", location=Location(shown))
    images = info.images.get(info.arch, {})
    stage2 = info.stage2 or _STAGE2[1 if release == "el7" else 0]
    return Recognised(
        info,
        release,
        info.variants,
        kernel=images.get("kernel", "images/pxeboot/vmlinuz"),
        initrd=images.get("initrd", "images/pxeboot/initrd.img"),
        stage2=stage2,
    )


def treeinfo_path(sizes: Mapping[str, int]) -> str:
    """`.treeinfo`, or `treeinfo` where a server hides names that start with a dot; empty without either."""
    return next((path for path in (".treeinfo", "treeinfo") if path in sizes), "")


def repomd(repository: str) -> str:
    """Where a repository's first file of metadata is."""
    return posixpath.normpath(f"{repository}/repodata/repomd.xml")


def _settle(medium: OsMedium, variant: Variant) -> Variant:
    """A variant that lies beside the tree, as on mirrors, becomes a folder of the tree, named by its uid."""
    if not variant.is_elsewhere:
        return variant
    name = variant.uid
    if not isinstance(medium, FolderMedium) or not _BESIDE.match(variant.repository):
        raise RollbuildError(
            f"the repository of variant {variant.uid} lies outside of the tree: {variant.repository}",
            location=Location(medium.shown),
            hint="rollbuild takes only folders close to the tree, as mirrors have them: ../../../AppStream/x86_64/os",
        )
    folder = Path(posixpath.normpath(medium.folder.resolve() / variant.repository))
    if not (folder / "repodata" / "repomd.xml").is_file():
        raise RollbuildError(
            f"the repository of variant {variant.uid} is not there: {folder}",
            location=Location(medium.shown),
            hint=f"the .treeinfo names it ({variant.repository}): mirror that folder too, or name the mirror's URL",
        )
    medium.add_beside(name, folder)
    packages = posixpath.relpath(variant.packages, variant.repository) if variant.packages else "."
    inside = posixpath.normpath(f"{name}/{packages}")
    return replace(variant, repository=name, packages=inside if inside.startswith(name) else name)


def _require_repositories(medium: OsMedium, sizes: Mapping[str, int], variants: tuple[Variant, ...]) -> None:
    missing = [variant for variant in variants if repomd(variant.repository) not in sizes]
    if not missing:
        return
    if not any(path.endswith(("/repomd.xml", ".rpm")) for path in sizes):
        what = "this boots the installer, but holds no packages: a boot.iso or netinst image"
        raise RollbuildError(what, location=Location(medium.shown), hint=_EXPECTED)
    there = sorted(posixpath.dirname(posixpath.dirname(path)) or "." for path in sizes if path.endswith("/repomd.xml"))
    raise RollbuildError(
        f"the repository of variant {missing[0].uid} is missing: there is no {repomd(missing[0].repository)}"
        + (f"; repositories are in {', '.join(there[:5])}" if there else ""),
        location=Location(medium.shown),
        hint="the medium is not whole: copy or mirror all of it again",
    )


def _refuse_sets(medium: OsMedium, sizes: Mapping[str, int], info: TreeInfo) -> None:
    """Sets of several DVDs have their packages on all of them, and metadata on the first only."""
    number, total = info.disc or (1, 1)
    if ".discinfo" in sizes:
        discs = parse_discinfo(medium.read(".discinfo", 65536), f"{medium.shown}/.discinfo").discs
        if len(discs) == 1 and discs[0] > 1:
            number, total = discs[0], max(total, discs[0])
    if total > 1:
        raise RollbuildError(
            f"this is disc {number} of a set of {total}",
            location=Location(medium.shown),
            hint="copy all discs of the set into one folder, remove [media] from its .treeinfo, and import that folder",
        )


def _refuse_without_treeinfo(medium: OsMedium, sizes: Mapping[str, int]) -> RollbuildError:
    """The refusal that says what a medium without `.treeinfo` is."""
    place = Location(medium.shown)
    for path in sizes:
        if roll := _ROLL.match(path):
            return RollbuildError(
                f"this is a roll ({roll[1]} {roll[2]}), not an OS tree",
                location=place,
                hint=f"add it with: rollbuild roll add {medium.shown}",
            )
    if any(path.startswith("LiveOS/") for path in sizes) and not _has_repository(sizes):
        what = "this is a live system, which holds no packages to install from"
        return RollbuildError(what, location=place, hint=_EXPECTED)
    if inner := sorted(posixpath.dirname(path) for path in sizes if path.endswith("/.treeinfo")):
        return RollbuildError(
            "this folder holds OS trees, and is none itself: it has no .treeinfo",
            location=place,
            hint=f"name the tree: {', '.join(f'{medium.shown}/{folder}' for folder in inner[:3])}",
        )
    if ".discinfo" in sizes:
        disc = parse_discinfo(medium.read(".discinfo", 65536), f"{medium.shown}/.discinfo")
        if disc.discs and max(disc.discs) > 1:
            return RollbuildError(
                f"this is disc {max(disc.discs)} of a set: {disc.description}",
                location=place,
                hint="copy all discs of the set into one folder, and import that folder",
            )
        what = f"this names itself {disc.description}, and has no .treeinfo"
        return RollbuildError(what, location=place, hint=_EXPECTED)
    if _has_repository(sizes):
        what = "these are packages, but there is no installer: no .treeinfo, no kernel, no initrd"
        return RollbuildError(what, location=place, hint=_EXPECTED)
    names = sorted({path.partition("/")[0] for path in sizes})
    held = f"it holds {', '.join(names[:8])}" + (" ..." if len(names) > 8 else "") if names else "it is empty"
    return RollbuildError(f"this is no OS tree: there is no .treeinfo; {held}", location=place, hint=_EXPECTED)


def _has_repository(sizes: Mapping[str, int]) -> bool:
    return any(path == "repodata/repomd.xml" or path.endswith("/repodata/repomd.xml") for path in sizes)
