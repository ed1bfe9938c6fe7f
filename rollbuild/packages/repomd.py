"""repodata/repomd.xml: which metadata files a repository has, and what each must be like."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.files import explain_os_error
from rollbuild.location import Location
from rollbuild.packages.native import load_createrepo, silent_library

REPOMD = "repodata/repomd.xml"
REPOMD_LIMIT = 16 * 1024 * 1024
METADATA_LIMIT = 2 * 1024 * 1024 * 1024
"""No metadata file of a real repository is this large; Fedora's filelists have 60 MiB."""

_CHECKSUMS = ("sha256", "sha512", "sha384", "sha224", "sha1", "sha", "md5")


@dataclass(frozen=True, slots=True)
class Record:
    """One metadata file: its kind (primary, group_gz, ...), place below the repository, size in bytes, checksum."""

    kind: str
    href: str
    size: int
    algorithm: str
    checksum: str


def read_repomd(path: str, shown: str) -> Mapping[str, Record]:
    """The records of a repomd.xml by kind. `shown` is how the user knows the file.

    Raises RollbuildError when it is no such file, or names files outside of its repository.
    """
    library = load_createrepo()
    place = Location(shown)
    try:
        with silent_library():
            index = library.Repomd(path)
    except (library.CreaterepoCError, OSError, ValueError) as problem:
        message = f"not the index of a repository: {' '.join(str(problem).split())}"
        raise RollbuildError(message, location=place, hint="repodata/repomd.xml is made by createrepo_c") from None
    records: dict[str, Record] = {}
    for found in index.records:
        href = found.location_href or ""
        parts = href.split("/")
        if not href or found.location_base or "://" in href or href.startswith("/") or ".." in parts or "\0" in href:
            raise RollbuildError(
                f"{found.type} lies outside of the repository: {found.location_base or ''}{href}",
                location=place,
                hint="metadata files are named from the folder that holds repodata/",
            )
        size = max(int(found.size or 0), 0)
        record = Record(found.type, href, size, (found.checksum_type or "").lower(), (found.checksum or "").lower())
        records.setdefault(record.kind, record)
    if "primary" not in records:
        raise RollbuildError("this repository lists no packages (primary)", location=place)
    return records


def verify(path: str, record: Record, shown: str) -> None:
    """Compare a metadata file with its record. Raises RollbuildError when it is another, or cut short."""
    if record.algorithm not in _CHECKSUMS or not record.checksum:
        raise RollbuildError(
            f"repomd.xml has no checksum of this file that can be verified: {record.algorithm or 'none'}",
            location=Location(shown),
            hint="make the metadata anew with createrepo_c",
        )
    algorithm = "sha1" if record.algorithm == "sha" else record.algorithm
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            sum_ = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as problem:
        raise explain_os_error(problem, "cannot read", shown) from problem
    if record.size and size != record.size:
        short = size < record.size
        raise RollbuildError(
            f"this file is {'cut short' if short else 'another than listed'}: it has {size:,} bytes, "
            f"and repomd.xml says {record.size:,}",
            location=Location(shown),
            hint="fetch the metadata again; repomd.xml and the files beside it must be of one time",
        )
    if sum_ != record.checksum:
        raise RollbuildError(
            f"this file is not the one that repomd.xml lists: its {record.algorithm} is {sum_[:16]}..., "
            f"not {record.checksum[:16]}...",
            location=Location(shown),
            hint="fetch the metadata again; repomd.xml and the files beside it must be of one time",
        )
