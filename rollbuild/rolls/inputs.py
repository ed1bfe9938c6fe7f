"""The packages of a roll's source: RPMs that are there, spec files to build, groups and modules."""

import calendar
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, Severity, error, warning
from rollbuild.location import Location
from rollbuild.packages import Extras, RpmFile, check_extras, verify_rpm
from rollbuild.releases import RELEASES
from rollbuild.rolls.finish import KEY_PREFIX
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.source import RollSource

PACKAGE_FOLDER = "packages"
_OLD_FOLDERS = ("RPMS", "SRPMS")
_SHOWN = 5
_LIMIT = 256 * 1024 * 1024
_SPEC_LIMIT = 16 * 1024 * 1024
_ARCHES = ("x86_64", "aarch64", "ppc64le", "s390x", "i386", "i686", "noarch")
_FIT = {"x86_64": {"x86_64", "i386", "i486", "i586", "i686"}, "i386": {"i386", "i486", "i586", "i686"}}
_DIST = re.compile(r"\.el(\d+)(?![0-9])")
_MODULAR = re.compile(r"\.module[+_]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CHANGE = re.compile(r"\*\s+\w{3}\s+(?P<month>\w{3})\s+(?P<day>\d{1,2})\s+(?:[\d:]+\s+\w+\s+)?(?P<year>\d{4})\b")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a source brings: verified packages, spec files, files of public keys, and extras of the metadata."""

    rpms: tuple[RpmFile, ...]
    specs: tuple[Path, ...]
    keys: tuple[Path, ...]
    extras: Extras

    def newest(self) -> int:
        """The newest build time of the packages and entry of a changelog, in seconds since 1970; 0 for none."""
        return max([0, *(rpm.build_time for rpm in self.rpms), *map(read_change_time, self.specs)])


def collect_inputs(source: RollSource, roll: RollId, release: str, report: Callable[[Finding], object]) -> Inputs:
    """Find and verify the packages of a source that are for this release and architecture.

    `report` is told every finding; after one of severity error nothing may be built. Raises RollbuildError, exit code
    DISK.
    """
    top = source.folder / PACKAGE_FOLDER
    names = ("comps.xml", "modules.yaml", "updateinfo.xml")
    extras = Extras(*(_read_extra(top / name, source, report) for name in names))
    try:
        check_extras(extras, folder=top)
    except RollbuildError as problem:
        report(problem.as_finding())
    rpms: dict[str, RpmFile] = {}
    for path in _find(source, ".rpm", roll.arch, release, report):
        rpm = _verify(path, report)
        if rpm is None or not _fits(rpm, roll, report):
            continue
        other = rpms.setdefault(rpm.nevra, rpm)
        if other.header_sha256 != rpm.header_sha256:
            message = f"{rpm.nevra} is there twice with different contents, also as {other.path}"
            hint = "remove one of them, or build one with another release"
            report(error("ROLL-PACKAGE", message, Location(os.fspath(path)), hint))
        for finding in _doubts(rpm, release, has_modules=extras.modules is not None):
            report(finding)
    keys = tuple(path for path in sorted(top.glob(f"{KEY_PREFIX}*")) if _is_usable(path, source, report))
    specs = tuple(_find(source, ".spec", roll.arch, release, report))
    return Inputs(tuple(rpms.values()), specs, keys, extras)


def _read_extra(path: Path, source: RollSource, report: Callable[[Finding], object]) -> bytes | None:
    if not os.path.lexists(path) or not _is_usable(path, source, report):
        return None
    return read_limited(path, _LIMIT)


def _find(
    source: RollSource, ending: str, arch: str, release: str, report: Callable[[Finding], object]
) -> Iterator[Path]:
    """The files of packages/ and the folders in it that are not for another release or architecture."""
    others = {*RELEASES, *_ARCHES} - {arch, release, "noarch"}
    if arch == "x86_64":
        others -= {"i686", "i386"}
    tops = [source.folder / PACKAGE_FOLDER]
    if ending == ".rpm" and source.is_old:
        tops += [source.folder / name for name in _OLD_FOLDERS]
    for top in tops:
        if not top.is_dir():
            continue
        folders = [entry for entry in sorted(top.iterdir()) if entry.is_dir() and entry.name not in others]
        for folder in (top, *folders):
            for path in sorted(folder.iterdir()):
                if path.suffix != ending or path.name.startswith("."):
                    continue
                if _is_usable(path, source, report):
                    yield path


def _is_usable(path: Path, source: RollSource, report: Callable[[Finding], object]) -> bool:
    """Whether this is a file of the roll; reports what is none."""
    place = Location(os.fspath(path))
    if not _is_inside(path, source.folder):
        where = f": {os.readlink(path)}" if path.is_symlink() else f", as a folder above it is: {path.resolve()}"
        report(
            error("ROLL-FILE", f"this link leads out of the roll{where}", place, "put a copy of the file in its place")
        )
    elif not path.is_file():
        report(error("ROLL-FILE", "this is no file", place, "remove it, or rename it"))
    else:
        return True
    return False


def _is_inside(path: Path, folder: Path) -> bool:
    top = os.path.realpath(folder)
    return os.path.commonpath((top, os.path.realpath(path))) == top


def _verify(path: Path, report: Callable[[Finding], object]) -> RpmFile | None:
    try:
        return verify_rpm(path)
    except RollbuildError as problem:
        if problem.exit_code != REFUSED:
            raise
        place = problem.location or Location(os.fspath(path))
        report(error("ROLL-PACKAGE", problem.message, place, problem.hint or "copy or build the package again"))
        return None


def _fits(rpm: RpmFile, roll: RollId, report: Callable[[Finding], object]) -> bool:
    if rpm.arch in {"src", "noarch", *_FIT.get(roll.arch, {roll.arch})}:
        return True
    message = f"this package is for {rpm.arch}, the roll for {roll.arch}"
    hint = f"put it into {PACKAGE_FOLDER}/{rpm.arch}/, which only a roll for {rpm.arch} takes, or remove it"
    if roll.arch == "noarch":
        hint = f"add {rpm.arch} to arch in roll.yaml, or remove it"
    report(error("ROLL-PACKAGE", message, Location(os.fspath(rpm.path)), hint))
    return False


def _doubts(rpm: RpmFile, release: str, *, has_modules: bool) -> Iterator[Finding]:
    place = Location(os.fspath(rpm.path))
    if rpm.path.name != rpm.file_name:
        yield warning("ROLL-PACKAGE", f"this package is {rpm.label}: the roll has it as {rpm.file_name}", place)
    tag = _DIST.search(rpm.release)
    if tag and f"el{tag[1]}" != release:
        hint = f"put it into {PACKAGE_FOLDER}/el{tag[1]}/, which only a roll for el{tag[1]} takes, or build it anew"
        yield warning("ROLL-PACKAGE", f"this package was built for el{tag[1]}, the roll is for {release}", place, hint)
    if _MODULAR.search(rpm.release) and not has_modules and rpm.arch != "src":
        hint = f"put the repository's modules.yaml into {PACKAGE_FOLDER}/"
        yield warning("ROLL-PACKAGE", "this package belongs to a module, and the roll has no modules.yaml", place, hint)


def check_manifest(source: RollSource, names: set[str], own: str) -> Iterator[Finding]:
    """What the file `manifest` and the names of the packages built do not agree on; `own`: the description's package,
    which need not be listed."""
    if not source.listed or source.manifest == "off":
        return
    severity = Severity.ERROR if source.manifest == "strict" else Severity.WARNING
    places = dict(source.listed)
    file = Location(os.fspath(source.folder / "manifest"))
    missing = [name for name in places if name not in names]
    hint = "put their RPMs or spec files into packages/, or remove the lines"
    for message, place in _told(missing, "listed but not built", [places[name] for name in missing]):
        yield Finding("ROLL-MANIFEST", severity, message, place, hint)
    extra = sorted(names - places.keys() - {own})
    for message, place in _told(extra, "built but not listed", [file] * len(extra)):
        yield Finding("ROLL-MANIFEST", severity, message, place, "add them to the manifest")


def _told(names: list[str], what: str, places: list[Location]) -> Iterator[tuple[str, Location]]:
    """A few are told one by one, many at once."""
    if len(names) <= _SHOWN:
        yield from ((f"package {name} is {what}", place) for name, place in zip(names, places, strict=True))
    else:
        shown = ", ".join(names[:_SHOWN])
        yield f"{len(names)} packages are {what}: {shown} and {len(names) - _SHOWN} more", Location(places[0].file)


def read_change_time(spec: Path) -> int:
    """The day of the newest entry of a spec file's changelog, in seconds since 1970; 0 where there is none."""
    text = read_limited(spec, _SPEC_LIMIT).decode("utf-8", "replace")
    newest = 0
    for match in _CHANGE.finditer(text.partition("%changelog")[2]):
        day, year = int(match["day"]), int(match["year"])
        if match["month"] in _MONTHS and 1970 <= year < 2100 and 1 <= day <= 31:
            newest = max(newest, calendar.timegm((year, _MONTHS.index(match["month"]) + 1, day, 0, 0, 0)))
    return newest
