"""Verifying a tree, whole: every repository, every package, every image that has a checksum."""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rollbuild.distribution.osmedium import Progress, in_turn
from rollbuild.distribution.ostree import FileDigest
from rollbuild.distribution.recognising import Recognised
from rollbuild.errors import RollbuildError
from rollbuild.files import digest_file, explained, walk_tree
from rollbuild.location import Location

_CHUNK = 1024 * 1024


def verify_tree(
    stage: Path, found: Recognised, source: str, progress: Progress, *, packages: bool = True
) -> tuple[dict[str, FileDigest], list[str]]:
    """Every file of a tree with its digest, and notes; `source` is what messages name it by.

    Without `packages`, theirs are the digests that their metadata lists, and only their sizes are compared. Raises
    RollbuildError for what is wrong or missing.
    """
    from rollbuild.packages import check_repository

    present = {path: status.st_size for path, status in walk_tree(stage) if stat.S_ISREG(status.st_mode)}
    count = sum(path.endswith(".rpm") for path in present)
    with progress(sum(present.values()), f"verifying {count:,} packages") as advance:
        tell = in_turn(advance)
        # Hashing lets other threads run; the second stage alone takes as long as a thousand packages.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            others = {
                path: pool.submit(digest_file, stage / path, advance=tell)
                for path in sorted(present, key=lambda path: -present[path])
                if not path.endswith(".rpm")
            }
            rpms: dict[str, FileDigest] = {}
            try:
                for repository in sorted({variant.repository for variant in found.variants}):
                    with _named_as(stage, source):
                        listed = check_repository(stage / repository, digests=packages, advance=tell)
                    rpms |= {posixpath.normpath(f"{repository}/{path}"): digest for path, digest in listed.items()}
                files = {path: rpms[path] for path in present if path in rpms}
                files |= {path: digest.result() for path, digest in others.items()}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            for path in present.keys() - files.keys():  # packages that no metadata lists
                files[path] = digest_file(stage / path, advance=tell)
    return files, _check_checksums(stage, found, files, source)


@contextmanager
def _named_as(stage: Path, source: str) -> Iterator[None]:
    """Messages name the source, not the stage that is gone when they are read."""
    try:
        yield
    except RollbuildError as problem:
        place, old = problem.location, os.fspath(stage)
        raise RollbuildError(
            problem.message.replace(old, source),
            location=place and replace(place, file=place.file.replace(old, source)),
            hint=problem.hint or "copy or mirror it again, whole",
            exit_code=problem.exit_code,
            code=problem.code,
        ) from None


def _check_checksums(stage: Path, found: Recognised, files: Mapping[str, FileDigest], source: str) -> list[str]:
    """Compare with the checksums of .treeinfo; notes on files that are missing, and on what has no checksum."""
    notes = []
    needed = {found.kernel, found.initrd, found.stage2}
    for path, (kind, expected) in sorted(found.info.checksums.items()):
        if path not in files and path.endswith(".iso"):
            continue  # boot.iso, which is no part of a DVD
        if path not in files:
            notes.append(f"{path}, which the .treeinfo has a checksum of, is not on this medium")
            continue
        got = files[path][0] if kind == "sha256" else _checksum(stage / path, kind)
        if got != expected:
            raise RollbuildError(
                f"{path} is not what the .treeinfo says: its {kind} should be {expected}, and is {got}",
                location=Location(posixpath.join(source, path)),
                hint="the file was changed or damaged: take the medium from its source again",
            )
    for path in sorted(needed - found.info.checksums.keys()):
        notes.append(f"{path} has no checksum in the .treeinfo, so nothing tells whether it is the right one")
    return notes


def _checksum(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with explained("cannot read", path), path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
