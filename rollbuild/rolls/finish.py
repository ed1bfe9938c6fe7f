"""Finishing a roll's folder: from packages and a description to a built roll that says exactly what it holds."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import digest_file, explained, walk_tree, write_atomically
from rollbuild.findings import Finding, error
from rollbuild.language import DEFAULT_PRIORITY
from rollbuild.location import Location
from rollbuild.packages import Extras, RpmFile, make_repository, read_extras, read_rpm
from rollbuild.rolls.built import MANIFEST, PACKAGES, SOURCES, BuiltRoll, RollPackage
from rollbuild.rolls.identity import Requirement, RollId
from rollbuild.rolls.rollxml import write_roll_xml

SUMS = "SHA256SUMS"
KEY_PREFIX = "RPM-GPG-KEY-"
REPODATA = "repodata"
OLDEST_EPOCH = 315532800
"""The first of January 1980: the time of what has none; the first that every archive format can say."""


def finish_roll(
    folder: Path,
    roll: RollId,
    *,
    epoch: int,
    release: str = "el9",
    summary: str = "",
    releases: Sequence[str] = (),
    requires: Sequence[Requirement] = (),
    conflicts: Sequence[Requirement] = (),
    priority: int = DEFAULT_PRIORITY,
    color: str = "",
    extras: Extras | None = None,
    cache: Path | None = None,
    advance: Callable[[int], object] | None = None,
) -> BuiltRoll:
    """Complete `folder` (`NAME/VERSION/ARCH`), which holds RPMS/ and, where there are any, SRPMS/, profile/ and the
    public keys RPM-GPG-KEY-*: write repodata/, roll-NAME.xml, SHA256SUMS and roll.json; return what roll.json says.

    `extras` go into the metadata; None keeps those of a repodata/ that is there. `release` is that of the machines
    that will read the metadata; `epoch` (seconds since 1970) is the time in all that is written, and becomes that of
    every file. `advance` is told the bytes of packages that were read.

    Raises RollbuildError: FindingsError for packages that cannot be read and two that are the same with different
    contents, REFUSED for what is no file, DISK.
    """
    if extras is None:
        extras = read_extras(folder) if (folder / REPODATA).is_dir() else Extras()
    for name in (PACKAGES, "profile"):
        with explained("cannot write into", folder):
            (folder / name).mkdir(exist_ok=True)
    rpms = read_packages(folder)
    binary = sorted(name for name in rpms if name.startswith(f"{PACKAGES}/"))
    made = make_repository(folder, binary, epoch=epoch, release=release, extras=extras, cache=cache, advance=advance)
    xml = write_roll_xml(roll, epoch=epoch, color=color, has_sources=(folder / SOURCES).is_dir())
    write_atomically(folder / f"roll-{roll.name}.xml", xml)
    digests = {**made.packages, **made.metadata}
    files: dict[str, tuple[str, int]] = {}
    for name, status in walk_tree(folder):
        path = folder / name
        if stat.S_ISREG(status.st_mode):
            if name not in (MANIFEST, SUMS):
                files[name] = digests.get(name) or digest_file(path)
        elif not stat.S_ISDIR(status.st_mode):
            raise RollbuildError(
                "a roll holds files and folders only; this is a link or a device",
                location=Location(os.fspath(path)),
                hint="put a copy of the file in its place",
            )
    built = BuiltRoll(
        id=roll,
        summary=" ".join(summary.split()),
        releases=tuple(releases),
        requires=tuple(requires),
        conflicts=tuple(conflicts),
        priority=priority,
        epoch=epoch,
        files=files,
        packages=tuple(_as_package(name, rpm, files[name]) for name, rpm in sorted(rpms.items())),
        keys=tuple(sorted(name for name in files if "/" not in name and name.startswith(KEY_PREFIX))),
    )
    manifest = built.to_json()
    write_atomically(folder / MANIFEST, manifest)
    write_sums(folder, {**files, MANIFEST: digest_file(folder / MANIFEST)})
    set_times(folder, epoch)
    return built


def read_packages(folder: Path) -> dict[str, RpmFile]:
    """The packages of a roll's folder, in RPMS/ and SRPMS/: path from the folder -> what their headers say.

    Raises FindingsError with every package that cannot be read, and those that are there twice with different contents.
    """
    found: dict[str, RpmFile] = {}
    faults: list[Finding] = []
    first: dict[str, str] = {}
    for part in (PACKAGES, SOURCES):
        for name, status in walk_tree(folder / part) if (folder / part).is_dir() else ():
            if not stat.S_ISREG(status.st_mode) or not name.endswith(".rpm"):
                continue
            path = folder / part / name
            try:
                rpm = read_rpm(path)
            except RollbuildError as problem:
                faults.append(problem.as_finding())
                continue
            found[f"{part}/{name}"] = rpm
            other = first.setdefault(rpm.nevra, f"{part}/{name}")
            if found[other].header_sha256 != rpm.header_sha256:
                message = f"{rpm.nevra} is there twice with different contents, also as {other}"
                hint = "remove one of them, or build one with another release"
                faults.append(error("ROLL-PACKAGE", message, Location(os.fspath(path)), hint))
    if faults:
        raise FindingsError(faults)
    return found


def _as_package(name: str, rpm: RpmFile, content: tuple[str, int]) -> RollPackage:
    return RollPackage(
        name,
        rpm.name,
        rpm.epoch,
        rpm.version,
        rpm.release,
        rpm.arch,
        *content,
        header_sha256=rpm.header_sha256,
        signed_by=rpm.signed_by,
    )


def write_sums(folder: Path, files: dict[str, tuple[str, int]]) -> None:
    """Write SHA256SUMS of these files, in the form that `sha256sum -c` reads. Raises RollbuildError, exit code DISK."""
    lines = []
    for name, (digest, _) in sorted(files.items()):
        # As sha256sum itself writes names that would break a line.
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n")
    write_atomically(folder / SUMS, "".join(lines).encode("utf-8", "surrogateescape"))


def write_disc_info(folder: Path, name: str, arch: str, epoch: int) -> None:
    """Write `.discinfo`, by which old tools know a medium: time stamp, name, architecture, number of the disc."""
    write_atomically(folder / ".discinfo", f"{epoch}.000000\n{name}\n{arch}\n1\n".encode())


def set_times(folder: Path, epoch: int) -> None:
    """Give every file and folder the time and the permissions that do not depend on who made them and when.

    The files must not be hard links of others. Raises RollbuildError, exit code DISK.
    """
    for name, status in [*walk_tree(folder), ("", os.stat(folder))]:
        path = folder / name
        with explained("cannot change", path):
            os.chmod(path, 0o755 if stat.S_ISDIR(status.st_mode) else 0o644)
            os.utime(path, (epoch, epoch))
