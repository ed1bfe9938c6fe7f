"""Importing an OS tree into the store: looked at, brought beside its place, verified whole, then renamed into it."""

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollbuild.distribution.osmedium import FolderMedium, IsoMedium, Progress, no_progress, open_medium
from rollbuild.distribution.ostree import (
    FileDigest,
    OsTree,
    boot_files_of,
    check_os_name,
    link_record,
    os_tree_names,
    read_os_tree,
    record_os_tree,
)
from rollbuild.distribution.recognising import Recognised, recognise, recognise_info, repomd, treeinfo_path
from rollbuild.distribution.treeinfo import parse_treeinfo
from rollbuild.distribution.verifying import verify_tree
from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import digest_file, explained, staged_files, staged_folder
from rollbuild.location import Location
from rollbuild.packages import check_space
from rollbuild.rolls import Store

if TYPE_CHECKING:
    from rollbuild.distribution.mirror import MirroredTree

_READ_LIMIT = 16 * 1024 * 1024
_DOING = "changing this store"


@dataclass(frozen=True, slots=True)
class ImportedOs:
    """What became of an import. `is_new`: false when the same tree was there. `notes`: what a person should know."""

    tree: OsTree
    is_new: bool
    linked: int = 0
    written: int = 0
    notes: tuple[str, ...] = ()


def import_os(
    store: Store,
    source: str,
    *,
    name: str = "",
    verify: bool = True,
    replace_other: bool = False,
    copies: bool = False,
    progress: Progress = no_progress,
) -> ImportedOs:
    """Import an ISO, a folder or a URL of one of them as the OS tree `name`  [FAMILY-VERSION-ARCH of its .treeinfo].

    Checked are its .treeinfo and the checksums in it, what the installer needs, and every repository: its metadata
    and all packages, by their digests too unless `verify` is false. The files of a folder on the store's file system
    are linked unless `copies`. The same tree again changes nothing; another one of that name is refused unless
    `replace_other`.

    Raises RollbuildError: REFUSED for what is no whole OS tree, DISK, UNREACHABLE, BUSY. The store is then as before.
    """
    if name:
        check_os_name(name)
    with store.locked(_DOING):
        with explained("cannot make", store.os_folder):
            store.os_folder.mkdir(exist_ok=True)
        with staged_files(store.os_folder):
            pass  # takes away what killed imports left, also when this one finds nothing to do
        job = _Import(store, source, name, verify, replace_other, copies, progress)
        if re.match(r"[a-z][a-z0-9+.-]+://", source, re.I) and not source.startswith("file://"):
            return _import_url(job)
        path = Path(source.removeprefix("file://"))
        _refuse_around(store, path)
        return _import_medium(job, open_medium(path, copies=copies, progress=progress))


def _refuse_around(store: Store, source: Path) -> None:
    """A folder that holds the store would be imported with it, and with itself."""
    if source.is_dir() and store.folder.resolve().is_relative_to(source.resolve()):
        raise RollbuildError(
            f"the store {store.folder} lies in this folder, and is no part of an OS tree",
            location=Location(os.fspath(source)),
            hint="move the tree, or name a store elsewhere with --store",
        )


@dataclass(frozen=True, slots=True)
class _Import:
    """What was asked for."""

    store: Store
    source: str
    name: str
    verify: bool
    replace_other: bool
    copies: bool
    progress: Progress


def _import_url(job: _Import) -> ImportedOs:
    from rollbuild.distribution.fetching import NothingToFetch, fetched_iso, fetched_tree

    if job.source.partition("?")[0].lower().endswith(".iso"):
        with fetched_iso(job.store, job.source, job.progress) as medium:
            return _import_medium(job, medium)
    notes: list[str] = []
    try:
        with fetched_tree(job.store, job.source, job.progress, lambda mirror: _look(job, mirror), notes) as tree:
            done = _import_medium(job, tree)
    except NothingToFetch as same:
        return ImportedOs(same.tree, is_new=False)
    # They are links into the cache, which is gone by now.
    return replace(done, linked=0, written=done.linked + done.written, notes=(*notes, *done.notes))


def _look(job: _Import, mirror: "MirroredTree") -> None:
    """Look at a mirror's metadata before gigabytes are fetched. Raises RollbuildError, NothingToFetch."""
    from rollbuild.distribution.fetching import NothingToFetch

    info = parse_treeinfo(mirror.treeinfo, f"{job.source}/.treeinfo")
    found = recognise_info(info, job.source)
    name = job.name or found.name
    check_os_name(name)
    before = _read_before(job, name)
    if before is None:
        return
    files = before.read_files()
    places = {variant.uid: variant.repository for variant in info.variants}
    same = files[".treeinfo"][0] == hashlib.sha256(mirror.treeinfo).hexdigest() and all(
        digest_file(mirror.folder / repomd(places[variant.uid]))[0] == files[repomd(variant.repository)][0]
        for variant in before.variants
        if variant.uid in places
    )
    if same and (before.verified or not job.verify):
        raise NothingToFetch(before)
    if not same and not job.replace_other:
        raise _refuse_other(job.source, before)


def _import_medium(job: _Import, medium: FolderMedium | IsoMedium) -> ImportedOs:
    found = recognise(medium)
    name = job.name or found.name
    check_os_name(name)
    before = _read_before(job, name)
    if before is not None:
        same = _compare(medium, before)
        if same and (before.verified or not job.verify):
            link_record(job.store, name)
            return ImportedOs(before, is_new=False)
        if same is False and not job.replace_other:
            raise _refuse_other(medium.shown, before)
    check_space(job.store.os_folder, medium.bytes_to_write(job.store.os_folder), "this OS tree")
    place = job.store.os_folder / name
    with staged_folder(place) as stage:
        with explained("cannot write", stage):
            stage.chmod(0o755)  # web servers read it, whatever the umask
        with job.progress(sum(medium.sizes().values()), f"bringing in {name}") as advance:
            brought = medium.bring(stage, advance)
        _give_treeinfo(stage)
        files, notes = verify_tree(stage, found, job.source, job.progress, packages=job.verify)
        if not job.verify:
            notes.append("the digests of the packages were not verified (--no-verify)")
        tree = record_os_tree(stage, _describe(found, name, place, medium.words, files, job.verify), files)
        if before is not None and before.digest != tree.digest and not job.replace_other:
            raise _refuse_other(medium.shown, before)
    link_record(job.store, name)
    is_new = before is None or before.digest != tree.digest
    return ImportedOs(tree, is_new, brought.linked, brought.written, tuple(notes))


def _read_before(job: _Import, name: str) -> OsTree | None:
    """The tree of this name; none where there is none, or a damaged one that is to be replaced."""
    place = job.store.os_folder / name
    if name not in os_tree_names(job.store):
        if os.path.lexists(place) and not job.replace_other:
            raise RollbuildError(
                f"{place} is there, and is no OS tree that was imported",
                hint="move it away, or let --replace replace it",
            )
        return None
    try:
        tree = read_os_tree(job.store, name)
        tree.read_files()
        return tree
    except RollbuildError:
        if job.replace_other:
            return None
        raise


def _refuse_other(source: str, before: OsTree) -> RollbuildError:
    return RollbuildError(
        f"there is another OS tree {before.name} already ({before.family} {before.version} {before.arch}, from "
        f"{before.source}), and its content differs",
        location=Location(source),
        hint="keep both with --name NAME, or put this one in its place with --replace",
        exit_code=REFUSED,
    )


def _compare(medium: FolderMedium | IsoMedium, before: OsTree) -> bool | None:
    """Whether a medium holds what a tree does; None when only hashing all of it can tell.

    Packages are known by their repository's metadata, images by the checksums in .treeinfo; the rest is read.
    """
    sizes, files = medium.sizes(), before.read_files()
    given = treeinfo_path(sizes)
    sizes = {**sizes, ".treeinfo": sizes[given]}  # see _give_treeinfo
    if sizes != {path: size for path, (_, size) in files.items()}:
        return False
    known = before.read_treeinfo().checksums
    unknown = False
    for path, size in sizes.items():
        if path.endswith(".rpm") or path in known:
            continue
        if size > _READ_LIMIT and not _is_named_by_content(path):
            unknown = True
        elif size <= _READ_LIMIT and _digest_of(medium, given if path == ".treeinfo" else path) != files[path][0]:
            return False
    return None if unknown else True


def _digest_of(medium: FolderMedium | IsoMedium, path: str) -> str:
    return hashlib.sha256(medium.read(path, _READ_LIMIT)).hexdigest()


def _is_named_by_content(path: str) -> bool:
    return bool(re.match(r"[0-9a-f]{40,128}-", posixpath.basename(path))) and "/repodata/" in f"/{path}"


def _give_treeinfo(stage: Path) -> None:
    """The installer looks for both names; what reads the tree later looks for one."""
    if not (stage / ".treeinfo").exists():
        with explained("cannot write", stage / ".treeinfo"):
            os.link(stage / "treeinfo", stage / ".treeinfo")


def _describe(
    found: Recognised, name: str, place: Path, source: str, files: Mapping[str, FileDigest], verified: bool
) -> OsTree:
    info = found.info
    return OsTree(
        name=name,
        folder=place,
        family=info.family,
        short=info.short or info.family,
        release=found.release,
        version=info.version,
        arch=info.arch,
        epoch=info.timestamp,
        variants=found.variants,
        kernel=found.kernel,
        initrd=found.initrd,
        stage2=found.stage2,
        boot_files=boot_files_of(tuple(files)),
        keys=tuple(sorted(path for path in files if path.startswith("RPM-GPG-KEY"))),
        digest="",
        source=source,
        verified=verified,
    )
