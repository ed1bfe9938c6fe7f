"""A roll's source: the folder that someone edits, and what its roll.yaml (or version.mk) says."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, note, warning
from rollbuild.language import DEFAULT_PRIORITY
from rollbuild.location import Location
from rollbuild.rolls.identity import Requirement, RollId, is_roll_version
from rollbuild.rolls.rollyaml import ROLL_YAML, color_of, read_roll_yaml
from rollbuild.rolls.versionmk import VERSION_MK, expand, read_version_mk

DEFAULT_VERSION = "1.0"
OLD_VERSION = "7.0"
"""The version of an old roll that says none: that of the tools it was built with, whose last release this was."""

_LIMIT = 1024 * 1024
_PARTS = ("nodes", "graphs", "site-nodes")
_SIGNS = (ROLL_YAML, VERSION_MK, *_PARTS)
_NOWHERE = Location("")


@dataclass(frozen=True, slots=True)
class RollSource:
    """A roll's source folder and what it says of itself.

    `arch`: the architectures it can be built for, empty for any; `releases` likewise. `packages`: names to fetch,
    with all that they require. `date`: an epoch in seconds since 1970, None where it says none. `listed`: the names of
    the old file `manifest`, each with its place; `manifest` is how strictly it is held to them. `only_graphs`: the
    folder holds graph sets (`default/`) directly. `is_old`: described by version.mk. `is_named`: its
    roll.yaml says its name. `findings`: what was found
    reading.
    """

    folder: Path
    name: str
    version: str = DEFAULT_VERSION
    release: str = "1"
    summary: str = ""
    description: str = ""
    releases: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    conflicts: tuple[Requirement, ...] = ()
    priority: int = DEFAULT_PRIORITY
    packages_from: tuple[tuple[str, tuple[str, ...]], ...] = ()
    packages: tuple[str, ...] = ()
    date: int | None = None
    manifest: str = "warn"
    color: str = ""
    listed: tuple[tuple[str, Location], ...] = field(default=(), repr=False)
    only_graphs: bool = False
    is_old: bool = False
    is_named: bool = False
    location: Location = _NOWHERE
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    def identity(self, arch: str) -> RollId:
        """The roll that it builds on a machine of this architecture; a roll that is only noarch stays so.

        Raises RollbuildError when it is not for this architecture.
        """
        if self.arch == ("noarch",):
            arch = "noarch"
        elif self.arch and arch not in self.arch:
            raise RollbuildError(
                f"roll {self.name} is not for {arch} but for {', '.join(self.arch)}",
                location=self.location,
                hint=f"build it with --arch {self.arch[0]}, or add {arch} to arch in its roll.yaml",
            )
        if not is_roll_version(self.version):
            raise RollbuildError(
                f"{self.version!r} is no version of a roll that is built",
                location=self.location,
                hint="letters, digits and . _ ~ ^ + are allowed, no dash, first a letter or digit",
            )
        return RollId(self.name, self.version, self.release, arch)


def is_source(folder: Path) -> bool:
    """Whether a folder is a roll's source: it has a roll.yaml, a version.mk, nodes or graphs."""
    return any((folder / sign).exists() for sign in _SIGNS) or _is_graphs(folder)


def _is_graphs(folder: Path) -> bool:
    return Path(os.path.abspath(folder)).name == "graphs" and (folder / "default").is_dir()


def find_sources(folder: Path) -> tuple[Path, ...]:
    """The sources that a folder is or directly holds; of a checkout, those in its rolls/ and its graphs/.

    Raises RollbuildError, exit code USAGE, for a folder that is missing or has none.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise RollbuildError(f"{folder} {what}", exit_code=USAGE, hint="name a roll's folder, or a folder of rolls")
    is_checkout = (folder / "rolls").is_dir() and not (folder / "nodes").is_dir()
    if is_checkout and not (folder / ROLL_YAML).exists():
        found = (*_sources_in(folder / "rolls"), *filter(is_source, [folder / "graphs"]))
    elif is_source(folder) or (folder / "packages").is_dir():
        found = (folder,)
    else:
        found = _sources_in(folder)
    if not found:
        raise RollbuildError(
            f"there is no roll in {folder}",
            exit_code=USAGE,
            hint="a roll's source has a roll.yaml, nodes/ or graphs/; `rollbuild new roll NAME` starts one",
        )
    return found


def _sources_in(folder: Path) -> tuple[Path, ...]:
    children = (folder / name for name in sorted(os.listdir(folder)) if not name.startswith("."))
    return tuple(child for child in children if child.is_dir() and is_source(child))


def read_source(folder: Path) -> RollSource:
    """Read what a roll's source says of itself; its nodes, graphs and packages are not looked at.

    Raises RollbuildError: FindingsError with every fault of a roll.yaml at its line and column, REFUSED for a
    version.mk that only make understands or a folder that is no roll, DISK when a file cannot be read.
    """
    own_name = Path(os.path.abspath(folder)).name
    only_graphs = _is_graphs(folder) and not (folder / "nodes").is_dir()
    listed = _read_manifest(folder / "manifest")
    if (folder / ROLL_YAML).exists():
        values, is_named = read_roll_yaml(folder / ROLL_YAML, own_name)
        place = Location(os.fspath(folder / ROLL_YAML))
        source = RollSource(folder=folder, location=place, is_named=is_named, **values)
    elif (folder / VERSION_MK).exists():
        source = _read_old(folder, own_name)
    elif is_source(folder) or (folder / "packages").is_dir():
        source = RollSource(folder, own_name, location=Location(os.fspath(folder)))
        try:
            source.identity("noarch")
        except RollbuildError as problem:
            raise RollbuildError(
                problem.message, location=source.location, hint="write a roll.yaml with a name in it"
            ) from None
    else:
        raise RollbuildError(
            "this folder is no roll's source: it has neither roll.yaml nor nodes/, graphs/ or packages/",
            location=Location(os.fspath(folder)),
            hint="`rollbuild new roll NAME` starts one",
        )
    return replace(source, listed=listed, only_graphs=only_graphs)


def _read_manifest(file: Path) -> tuple[tuple[str, Location], ...]:
    if not file.is_file():
        return ()
    lines = read_limited(file, _LIMIT).decode("utf-8", "replace").splitlines()
    named = ((line.split("#", 1)[0].strip(), number) for number, line in enumerate(lines, 1))
    return tuple((name, Location(os.fspath(file), number)) for name, number in named if name)


def _read_old(folder: Path, own_name: str) -> RollSource:
    variables = read_version_mk(folder)
    file = os.fspath(folder / VERSION_MK)
    findings = []
    version = expand("VERSION", variables)
    if not version:
        message = f"version.mk sets no VERSION: the roll gets {OLD_VERSION}"
        hint = "add the line VERSION = ... to version.mk, or write a roll.yaml"
        findings.append(note("ROLL-VERSION", message, Location(file), hint))
    place = variables["ROLLNAME"].location if "ROLLNAME" in variables else Location(file)
    description = _read_text(folder / "DESCRIPTION")
    source = RollSource(
        folder,
        expand("ROLLNAME", variables) or own_name,
        version or OLD_VERSION,
        expand("RELEASE", variables) or "0",
        summary=next((line.strip() for line in description.splitlines() if line.strip()), ""),
        description=description.strip(),
        color=color_of(expand("COLOR", variables) if "COLOR" in variables else ""),
        is_old=True,
        location=place,
        findings=tuple(findings),
    )
    try:
        source.identity("noarch")
    except RollbuildError as problem:
        raise RollbuildError(problem.message, location=place, hint=problem.hint) from None
    if (folder / "src").is_dir():
        message = "the makefiles in src/ are not run: packages come from packages/ and RPMS/ only"
        hint = "put the RPMs that they made, or spec files with their sources, into packages/"
        source = replace(
            source,
            findings=(*source.findings, warning("ROLL-SRC", message, Location(os.fspath(folder / "src")), hint)),
        )
    return source


def _read_text(file: Path) -> str:
    return read_limited(file, _LIMIT).decode("utf-8", "replace") if file.is_file() else ""
