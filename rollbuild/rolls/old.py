"""Rolls that Rocks 5-7 built: their media, made into a built roll's folder.

```text
NAME/VERSION/ARCH/
    roll-NAME.xml
    RedHat/RPMS/*.rpm        also roll-NAME-kickstart-*.noarch.rpm, whose /export/profile is the roll's description
    SRPMS/*.src.rpm
```
A large roll is a set of such media, each with a part of the packages.
"""

import filecmp
import functools
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from rollbuild.errors import REFUSED, FindingsError, RollbuildError
from rollbuild.files import explained, walk_tree, write_atomically
from rollbuild.findings import Finding, error
from rollbuild.location import Location
from rollbuild.packages import RpmFile, compare_evr, unpack_rpm, verify_rpm
from rollbuild.rolls.built import PACKAGES, PROFILE, SOURCES, BuiltRoll
from rollbuild.rolls.finish import OLDEST_EPOCH, finish_roll
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.media import FoundRoll
from rollbuild.rolls.rollxml import read_old_roll_xml

_PROFILE_IN_PACKAGE = "export/profile"
_READABLE_BY = "el7"
"""The metadata is made so that every release can read it."""


def identify_old_roll(found: FoundRoll) -> RollId:
    """Which roll an old medium has, as its roll-NAME.xml says. Raises RollbuildError."""
    data, shown = found.read_description()
    roll = read_old_roll_xml(data, shown)
    if roll.os != "linux":
        raise RollbuildError(f"this roll is for {roll.os}, not for Linux", location=Location(shown))
    return roll.id


def adopt_old_roll(
    parts: Sequence[FoundRoll], roll: RollId, folder: Path, *, advance: Callable[[int], object] | None = None
) -> BuiltRoll:
    """Make a new folder a built roll of an old roll's media (all of the same roll, in any order).

    The same media give the same bytes. Raises RollbuildError: FindingsError with everything that is wrong with its
    packages, REFUSED, DISK.
    """
    with explained("cannot write", folder):
        for name in (PACKAGES, SOURCES, PROFILE):
            (folder / name).mkdir(parents=True)
    findings: list[Finding] = []
    origins: dict[str, str] = {}
    for number, part in enumerate(parts):
        medium = folder / f"medium-{number}"
        part.medium.copy_tree(part.path, medium, advance)
        findings += _take_packages(medium, part, folder, origins)
        shutil.rmtree(medium)
    packages: list[RpmFile] = []
    for name, origin in sorted(origins.items()):
        try:
            packages.append(verify_rpm(folder / name))
        except RollbuildError as problem:
            findings.append(_at(problem, origin, folder / name))
    if kickstart := _newest(package for package in packages if _is_description(package, roll)):
        try:
            unpack_rpm(kickstart.path, folder / PROFILE, below=_PROFILE_IN_PACKAGE)
        except RollbuildError as problem:
            origin = origins[os.fspath(kickstart.path.relative_to(folder))]
            findings.append(_at(problem, origin, kickstart.path))
    if findings:
        raise FindingsError(findings)
    content = {"name": roll.name, "version": roll.version, "release": roll.release}
    write_atomically(folder / PROFILE / "roll.yaml", _write_yaml(content))
    with explained("cannot write", folder), suppress(OSError):  # it stays where it is not empty
        (folder / SOURCES).rmdir()
    epoch = max((package.build_time for package in packages), default=0)
    return finish_roll(folder, roll, epoch=max(epoch, OLDEST_EPOCH), release=_READABLE_BY)


def _is_description(package: RpmFile, roll: RollId) -> bool:
    return package.name == f"roll-{roll.name}-kickstart" and package.arch != "src"


def _newest(packages: Iterable[RpmFile]) -> RpmFile | None:
    """The newest one: where Rocks had added releases of a roll after each other, their packages lie in one folder."""

    def compare(one: RpmFile, other: RpmFile) -> int:
        return compare_evr(one.evr, other.evr)

    return max(packages, key=functools.cmp_to_key(compare), default=None)


def _write_yaml(content: dict[str, str]) -> bytes:
    """YAML of texts, quoted so that a version stays one."""
    return "".join(f"{key}: {json.dumps(text)}\n" for key, text in content.items()).encode()


def _take_packages(medium: Path, part: FoundRoll, folder: Path, origins: dict[str, str]) -> list[Finding]:
    """Move the packages of one medium into the roll; `origins` (path in `folder` -> how messages name it) grows."""
    findings = []
    for name, status in walk_tree(medium):
        path = PurePosixPath(name)
        if path.suffix != ".rpm" or not stat.S_ISREG(status.st_mode):
            continue
        where = SOURCES if path.name.endswith(".src.rpm") or path.parts[0] == SOURCES else PACKAGES
        target, origin = f"{where}/{path.name}", f"{part.shown}/{name}"
        if target not in origins:
            with explained("cannot write", folder / target):
                os.rename(medium / name, folder / target)
            origins[target] = origin
        elif not filecmp.cmp(medium / name, folder / target, shallow=False):
            message = f"this package has other contents than {origins[target]}"
            findings.append(error("ROLL-PACKAGE", message, Location(origin), "add the media of one roll only"))
    return findings


def _at(problem: RollbuildError, origin: str, staged: Path) -> Finding:
    """What is wrong with a staged file, told of the file that it was copied from. Raises it if the disk is at fault."""
    if problem.exit_code != REFUSED:
        raise problem
    told = RollbuildError(
        problem.message.replace(os.fspath(staged), origin),
        location=Location(origin),
        hint=problem.hint or "copy the medium again",
        code=problem.code if problem.code != "REFUSED" else "ROLL-PACKAGE",
    )
    return told.as_finding()
