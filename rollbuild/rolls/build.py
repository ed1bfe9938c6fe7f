"""Building a roll: from its source to the folder that an ISO is made of."""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rollbuild.errors import MISSING_PROGRAM, USAGE, FindingsError, RollbuildError
from rollbuild.files import copy_file, digest_file, explained, staged_folder, walk_tree
from rollbuild.findings import Finding, Severity, warning
from rollbuild.location import Location
from rollbuild.packages import (
    RpmFile,
    build_files_rpm,
    build_spec,
    export_key,
    find_mock_config,
    read_rpm,
    verify_rpm,
)
from rollbuild.process import find_program
from rollbuild.rolls.built import PACKAGES, PROFILE, SOURCES, BuiltRoll, roll_folder
from rollbuild.rolls.fetching import fetch_named
from rollbuild.rolls.finish import OLDEST_EPOCH, finish_roll, set_times, write_disc_info
from rollbuild.rolls.identity import RollId
from rollbuild.rolls.inputs import Inputs, check_manifest, collect_inputs
from rollbuild.rolls.profile import (
    OLD_PROFILE,
    check_profile_files,
    in_old_places,
    read_profile,
    write_profile,
)
from rollbuild.rolls.rollxml import write_roll_xml
from rollbuild.rolls.signing import Signing
from rollbuild.rolls.source import RollSource

FETCHED = ".packages"
"""The folder in the output that keeps packages fetched; it may be deleted."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How rolls are built.

    `output`: the folder of built rolls. `sign`: a secret key of GnuPG, empty for none. `mock`: see packages.build_spec.
    `repositories`: where named packages are fetched from, `base_repositories`: what hosts have anyway (as --repo of
    `rollbuild check`); `update_lock`: choose the named packages anew. `require_signed`: packages without a good
    signature are refused. `description_package`: make roll-NAME-kickstart too.
    """

    output: Path
    release: str = "el9"
    arch: str = "x86_64"
    sign: str = ""
    mock: str | None = None
    require_signed: bool = False
    description_package: bool = True
    repositories: tuple[str, ...] = ()
    base_repositories: tuple[str, ...] = ()
    update_lock: bool = False


def built_folder(output: Path, roll: RollId) -> Path:
    """Where a roll that was built lies: `OUTPUT/NAME-VERSION-RELEASE.ARCH`, which holds `NAME/VERSION/ARCH`."""
    return output / str(roll)


def build_roll(
    source: RollSource,
    options: BuildOptions,
    *,
    report: Callable[[Finding], object],
    news: Callable[[str], object] | None = None,
    advance: Callable[[int], object] | None = None,
) -> BuiltRoll:
    """Build a roll into `built_folder`; what is there stays when anything fails, and when it would be the same.

    `report` is told of warnings and notes, `news` of each step that takes long, `advance` of bytes fetched.
    Raises FindingsError with everything
    that is wrong with the source before anything is built; RollbuildError: MISSING_PROGRAM, REFUSED, DISK.
    """
    _check_release(source, options.release)
    roll = source.identity(options.arch)
    found: list[Finding] = list(source.findings)
    profile: dict[str, bytes] = {}
    try:
        profile = read_profile(source)
        found += check_profile_files(source)
    except FindingsError as problem:
        found += problem.findings
    inputs = collect_inputs(source, roll, options.release, found.append)
    _settle(found, report)
    say = news or _say_nothing
    fetched = fetch_named(
        source,
        release=options.release,
        arch=roll.arch if roll.arch != "noarch" else options.arch,
        repositories=options.repositories,
        base=options.base_repositories,
        update=options.update_lock,
        folder=options.output / FETCHED / options.release,
        news=say,
        advance=advance,
    )
    inputs = replace(inputs, rpms=_joined(inputs.rpms, fetched))
    if not profile.keys() - {"roll.yaml"} and not (inputs.rpms or inputs.specs or source.packages):
        message = f"roll {source.name} is empty: it has no nodes, graphs or packages"
        report(warning("ROLL-EMPTY", message, source.location, "`rollbuild new roll NAME` shows what a roll may hold"))
    _require_rpmbuild(inputs, options, roll)
    if options.sign:
        export_key(options.sign)  # a key that is not there is told before hours of building
    epoch = choose_epoch(max(source.date or 0, inputs.newest()))
    job = _Job(source, options, roll, epoch, profile, inputs, report, say)
    return job.run()


def _joined(own: Sequence[RpmFile], fetched: Sequence[RpmFile]) -> tuple[RpmFile, ...]:
    """The packages of the source and those fetched, each once. Raises RollbuildError where they differ."""
    joined = {rpm.nevra: rpm for rpm in own}
    for rpm in fetched:
        other = joined.setdefault(rpm.nevra, rpm)
        if other.header_sha256 != rpm.header_sha256:
            raise RollbuildError(
                f"{rpm.nevra} has other contents in the repository that it is fetched from",
                location=Location(os.fspath(other.path)),
                hint="remove the file, or leave the package out of packages in roll.yaml",
                code="ROLL-PACKAGE",
            )
    return tuple(joined.values())


def choose_epoch(newest: int) -> int:
    """The time of an output, in seconds since 1970: SOURCE_DATE_EPOCH, else the newest of its inputs, else 1980.

    Raises RollbuildError, exit code USAGE, for a SOURCE_DATE_EPOCH that is no number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return newest or OLDEST_EPOCH
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise RollbuildError(
            f"SOURCE_DATE_EPOCH is {text!r}, which is no number of seconds since 1970",
            hint="unset it, or set it as in: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
            exit_code=USAGE,
        )
    return int(text)


def _say_nothing(_: str) -> None:
    return None


def _check_release(source: RollSource, release: str) -> None:
    if source.releases and release not in source.releases:
        raise RollbuildError(
            f"roll {source.name} is not for {release} but for {', '.join(source.releases)}",
            location=source.location,
            hint=f"build it with --os-release {source.releases[-1]}, or add {release} to releases in its roll.yaml",
        )


def _settle(found: Iterable[Finding], report: Callable[[Finding], object]) -> None:
    """Refuse when there are errors, and tell the rest."""
    findings = tuple(found)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    for finding in findings:
        report(finding)


def _require_rpmbuild(inputs: Inputs, options: BuildOptions, roll: RollId) -> None:
    needed = options.description_package or (
        inputs.specs and not (options.mock or (options.mock is None and find_mock_config(options.release, roll.arch)))
    )
    if needed and find_program("rpmbuild") is None:
        hint = "install the package rpm-build (Enterprise Linux) or rpm (Debian)"
        if not inputs.specs:
            hint += ", or build without the description's package: --no-description-package"
        raise RollbuildError("the program rpmbuild is missing", hint=hint, exit_code=MISSING_PROGRAM)


class _Same(Exception):
    """What was built is what is there already."""


@dataclass(slots=True)
class _Job:
    """One build, in a stage beside the output."""

    source: RollSource
    options: BuildOptions
    roll: RollId
    epoch: int
    profile: dict[str, bytes]
    inputs: Inputs
    report: Callable[[Finding], object]
    news: Callable[[str], object]

    def run(self) -> BuiltRoll:
        outer = built_folder(self.options.output, self.roll)
        try:
            with staged_folder(outer) as stage:
                inner = roll_folder(stage, self.roll)
                with explained("cannot write", inner):
                    (inner / PACKAGES).mkdir(parents=True)
                built = self._fill(inner)
                write_disc_info(stage, self.roll.name, self.roll.arch, self.epoch)
                set_times(stage, self.epoch)
                if is_same_tree(stage, outer):
                    raise _Same
        except _Same:
            self.news(f"{self.roll} is as it was")
        return built

    def _fill(self, inner: Path) -> BuiltRoll:
        self._gather_packages(inner)
        names = {rpm.name for rpm in map(read_rpm, sorted((inner / PACKAGES).glob("*.rpm")))}
        own = f"roll-{self.roll.name}-kickstart"
        if self.options.description_package:
            self._describe(inner, own)
        _settle(check_manifest(self.source, names | {own}, own), self.report)
        before = roll_folder(built_folder(self.options.output, self.roll), self.roll)
        signing = Signing(inner, self.roll, self.inputs.keys, self.options.sign, before)
        signing.sign(self.news)
        origins = {rpm.file_name: rpm.path for rpm in self.inputs.rpms}
        _settle(signing.judge(origins, self.source.location, require_signed=self.options.require_signed), self.report)
        write_profile(self.profile, inner / PROFILE)
        source = self.source
        return finish_roll(
            inner,
            self.roll,
            epoch=self.epoch,
            release=self.options.release,
            summary=source.summary,
            releases=source.releases,
            requires=source.requires,
            conflicts=source.conflicts,
            priority=source.priority,
            color=source.color,
            extras=self.inputs.extras,
        )

    def _gather_packages(self, inner: Path) -> None:
        origins: dict[str, Path] = {}
        for rpm in self.inputs.rpms:
            self._place(rpm, inner, origins)
        for spec in self.inputs.specs:
            scratch = inner.parent / "built"
            scratch.mkdir()
            built = build_spec(
                spec,
                output=scratch,
                release=self.options.release,
                arch="x86_64" if self.roll.arch == "noarch" else self.roll.arch,
                epoch=self.epoch,
                logs=self.options.output / f"{self.roll}.logs",
                mock=self.options.mock,
                news=self.news,
            )
            for path in built:
                self._place(verify_rpm(path), inner, origins, spec)
                path.unlink()
            scratch.rmdir()

    def _place(self, rpm: RpmFile, inner: Path, origins: dict[str, Path], spec: Path | None = None) -> None:
        """Copy a package to where it belongs; what was built from `spec` may not be there already."""
        folder = SOURCES if rpm.arch == "src" else PACKAGES
        target = inner / folder / rpm.file_name
        if other := origins.get(rpm.file_name):
            raise RollbuildError(
                f"it builds {rpm.file_name}, which comes from {other} too",
                location=Location(os.fspath(spec or rpm.path)),
                hint="remove one of them, or give one another release",
                code="ROLL-PACKAGE",
            )
        origins[rpm.file_name] = spec or rpm.path
        with explained("cannot write", target):
            target.parent.mkdir(exist_ok=True)
        copy_file(os.path.realpath(rpm.path), target)

    def _describe(self, inner: Path, name: str) -> None:
        has_sources = (inner / SOURCES).is_dir()
        xml = write_roll_xml(self.roll, epoch=self.epoch, color=self.source.color, has_sources=has_sources)
        summary = self.source.summary or f"roll {self.roll.name}"
        build_files_rpm(
            name,
            self.roll.version,
            self.roll.release,
            in_old_places(self.profile, self.roll.name, xml),
            summary=f"The description of roll {self.roll.name}: {summary}",
            output=inner / PACKAGES,
            epoch=self.epoch,
            prefix=OLD_PROFILE,
        )


def is_same_tree(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same contents; False where one does not exist.

    Raises RollbuildError, exit code DISK.
    """
    if not one.is_dir() or not other.is_dir():
        return False
    ones, others = dict(walk_tree(one)), dict(walk_tree(other))
    if ones.keys() != others.keys():
        return False
    for name, status in ones.items():
        there = others[name]
        if (status.st_mode, stat.S_ISREG(status.st_mode) and status.st_size) != (
            there.st_mode,
            stat.S_ISREG(there.st_mode) and there.st_size,
        ):
            return False
    files = [name for name, status in ones.items() if stat.S_ISREG(status.st_mode)]
    return all(digest_file(one / name) == digest_file(other / name) for name in files)
