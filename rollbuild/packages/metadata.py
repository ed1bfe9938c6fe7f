"""Writing the metadata of a repository: the same bytes for the same packages, whole or not at all."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbuild.errors import DISK, RollbuildError
from rollbuild.files import digest_file, explain_os_error, staged_folder, write_many
from rollbuild.location import Location
from rollbuild.packages.extras import NO_EXTRAS, Extras, check_extras
from rollbuild.packages.metadata_blocks import Packed, Packing, in_one_block, list_packages, pack_files
from rollbuild.packages.metadata_cache import MetadataCache
from rollbuild.packages.metadata_chunks import Identity, identify
from rollbuild.packages.metadata_segments import KINDS, Reading, read_packages, refuse_change
from rollbuild.packages.native import load_createrepo, silent_library

REPODATA = "repodata"
_NO_NAMES = frozenset(("", ".", ".."))
_NO_ZSTD = frozenset(("el7", "el8"))
"""yum of el7 cannot read zstd; dnf of el8 can, but its own repositories are gzip."""


@dataclass(frozen=True, slots=True)
class MadeRepository:
    """What a repository now holds: (SHA-256 in hexadecimal, bytes) by path from its folder.

    `metadata` are the files of repodata/, repomd.xml too.
    """

    packages: Mapping[str, tuple[str, int]]
    metadata: Mapping[str, tuple[str, int]]


def make_repository(
    folder: str | os.PathLike[str],
    packages: Sequence[str],
    *,
    epoch: int,
    release: str = "el9",
    extras: Extras = NO_EXTRAS,
    cache: str | os.PathLike[str] | None = None,
    advance: Callable[[int], object] | None = None,
) -> MadeRepository:
    """Write `folder`/repodata for these RPMs and no others; `packages` are their paths from `folder`, with slashes.

    The bytes depend on the packages, their paths, `epoch` (seconds since 1970), the release and `extras`, and on
    nothing else. Compressed with gzip for el7 and el8 (where groups lie beside it uncompressed, too, as yum wants
    it), else with zstd. What was in repodata is replaced when the new is whole, and stays when anything fails.

    `cache` is a folder for what need not be found out again about files that did not change; it never changes the
    outcome, and may be deleted. `advance` is told the bytes of packages that are done with.

    Raises RollbuildError: REFUSED for packages that are damaged, that are there twice, or lie outside of the folder,
    and for damaged extras; DISK when the disk refuses.
    """
    if epoch < 0:
        raise RollbuildError(f"the time of a repository is before 1970: {epoch}", hint="set SOURCE_DATE_EPOCH")
    check_extras(extras)
    root = Path(folder)
    target = root / REPODATA
    if target.is_symlink():
        raise RollbuildError(
            "repodata is a symbolic link", location=Location(str(target)), hint="remove it; a folder takes its place"
        )
    files = _find_files(root, packages)
    with MetadataCache(cache) as kept:
        reading = read_packages(root, files, kept, advance)
        _refuse_duplicates(root, reading)
        metadata, news = _make_metadata(reading, extras, "gz" if release in _NO_ZSTD else "zst", kept, epoch)
        with staged_folder(target) as stage:
            write_many(stage, metadata.items())
            made = {f"{REPODATA}/{name}": _verify(stage / name, data) for name, data in sorted(metadata.items())}
            _refuse_changes(root, files)
        kept.keep(reading.files, {**reading.items, **news})
    return MadeRepository({href: (digest, files[href][2]) for href, digest in reading.digests.items()}, made)


def _find_files(root: Path, packages: Sequence[str]) -> dict[str, Identity]:
    """The packages' files by path, sorted."""
    folder = str(root)
    found: dict[str, Identity] = {}
    for href in sorted(packages):
        path = f"{folder}/{href}"
        if not href.isprintable() or not _NO_NAMES.isdisjoint(href.split("/")):
            raise RollbuildError(
                f"{href!r} cannot be the place of a package in a repository",
                location=Location(str(root)),
                hint="name it from the repository's folder, in printable characters, without '..'",
            )
        if href in found:
            raise RollbuildError("this package is named twice", location=Location(path))
        try:
            status = os.lstat(path)
        except OSError as problem:
            raise explain_os_error(problem, "cannot read", path) from problem
        if not stat.S_ISREG(status.st_mode):
            raise RollbuildError(
                "this is no file, but a package is needed here",
                location=Location(path),
                hint="put the package itself in its place; links and folders are not followed",
            )
        found[href] = identify(status)
    return found


def _refuse_duplicates(root: Path, reading: Reading) -> None:
    nevras = [nevra for segment in reading.segments for nevra in segment.nevras]
    if len(set(nevras)) == len(reading.digests):
        return
    known: dict[str, str] = {}
    for href, nevra in zip(reading.digests, nevras, strict=True):
        first = known.setdefault(nevra, href)
        if first != href:
            equal = reading.digests[first] == reading.digests[href]
            raise RollbuildError(
                f"this is {nevra}, and so is {first}, {'with the same' if equal else 'but with another'} content",
                location=Location(os.path.join(root, href)),
                hint="keep one of them" if equal else "keep the right one; what was built anew needs a new release",
            )


def _refuse_changes(root: Path, files: Mapping[str, Identity]) -> None:
    folder = str(root)
    path = ""
    try:
        for href, identity in files.items():
            path = f"{folder}/{href}"
            if identify(os.lstat(path)) != identity:
                raise refuse_change(path)
    except OSError as problem:
        raise explain_os_error(problem, "cannot read", path) from problem


def _make_metadata(
    reading: Reading, extras: Extras, packing: Packing, cache: MetadataCache, epoch: int
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of repodata by name, and what the cache should keep of them."""
    plain = {kind: list_packages(kind, reading.segments, len(reading.digests)) for kind in KINDS}
    for kind, name, text in (
        ("group", "comps.xml", extras.groups),
        ("modules", "modules.yaml", extras.modules),
        ("updateinfo", "updateinfo.xml", extras.updateinfo),
    ):
        if text is not None:
            plain[kind] = in_one_block(name, text)
    packed, news = pack_files(list(plain.values()), packing, cache)
    records = []
    for (kind, one), done in zip(plain.items(), packed, strict=True):
        if kind == "group" and packing == "gz" and extras.groups is not None:
            records.append(
                _Record(kind, f"{done.open_sha256}-{one.name}", Packed(extras.groups, done.open_sha256, "", 0))
            )
            kind = "group_gz"
        records.append(_Record(kind, f"{done.sha256}-{one.name}.{packing}", done))
    files = {record.name: record.packed.data for record in records}
    return {**files, "repomd.xml": _write_index(records, epoch)}, news


@dataclass(frozen=True, slots=True)
class _Record:
    kind: str
    name: str
    packed: Packed


def _write_index(records: Sequence[_Record], epoch: int) -> bytes:
    library = load_createrepo()
    with silent_library():
        index: Any = library.Repomd()
        index.set_revision(str(epoch))
        for one in records:
            record = library.RepomdRecord(one.kind, None)
            record.location_href = f"{REPODATA}/{one.name}"
            record.checksum, record.checksum_type, record.size = one.packed.sha256, "sha256", len(one.packed.data)
            if one.packed.open_sha256:
                record.checksum_open, record.checksum_open_type = one.packed.open_sha256, "sha256"
                record.size_open = one.packed.open_size
            record.timestamp = epoch
            index.set_record(record)
        index.sort_records()
        text: str = index.xml_dump()
    return text.encode()


def _verify(path: Path, data: bytes) -> tuple[str, int]:
    """Read a file again that was just written: some disks are full without saying so."""
    digest, size = digest_file(path)
    if not size or size != len(data) or digest != hashlib.sha256(data).hexdigest():
        raise RollbuildError(
            f"{path.name} was not written whole: {size:,} of {len(data):,} bytes, or other ones",
            location=Location(str(path.parent.parent / REPODATA)),
            hint="is the disk full, or failing? What was there before stays",
            exit_code=DISK,
        )
    return digest, size
