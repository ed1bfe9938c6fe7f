"""The packages that profiles ask for, read from their lines of %packages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rollbuild.checks.mainlines import read_option, split_line
from rollbuild.compiler import Profile
from rollbuild.location import Location

Kind = Literal["package", "group", "environment", "module"]


@dataclass(frozen=True, slots=True)
class PackageLine:
    """A line of %packages: `name` without signs and options, `options` such as --optional, `excluded` with a `-`."""

    kind: Kind
    name: str
    location: Location
    excluded: bool = False
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{_SIGNS[self.kind]}{self.name}"


_SIGNS: Mapping[Kind, str] = {"package": "", "group": "@", "environment": "@^", "module": "@"}


@dataclass(frozen=True, slots=True)
class ModuleLine:
    """A module stream that a profile enables; `stream` is empty where it takes the default one."""

    module: str
    stream: str
    location: Location


@dataclass(frozen=True, slots=True)
class PackageList:
    """What an appliance asks for. `location` is that of its packages section, where it has one."""

    appliance: str
    arch: str
    lines: tuple[PackageLine, ...]
    modules: tuple[ModuleLine, ...]
    options: frozenset[str]
    location: Location | None

    @property
    def is_lenient(self) -> bool:
        """Whether the installer passes over packages that do not exist."""
        return "--ignoremissing" in self.options


def read_package_list(profile: Profile) -> PackageList:
    """The lines of a profile, each name once: as in the Kickstart, what enables wins over what excludes."""
    lines: dict[tuple[Kind, str], PackageLine] = {}
    for text, _, package in profile.packages:
        line = _read_line(text, package.location)
        old = lines.get((line.kind, line.name))
        if old is None or (old.excluded and not line.excluded):
            lines[line.kind, line.name] = line
    modules = list(_module_commands(profile))
    for line in lines.values():
        if line.kind == "module" and not line.excluded:
            module, _, stream = line.name.partition("/")[0].partition(":")
            modules.append(ModuleLine(module, stream, line.location))
    options: frozenset[str] = frozenset()
    place = None
    for section in profile.sections:
        if section.lines and section.lines[0].text.split()[:1] == ["%packages"]:
            options, place = frozenset(section.lines[0].text.split()[1:]), section.lines[0].location
    arch = profile.attributes.get("arch") or "x86_64"
    return PackageList(profile.appliance, arch, tuple(lines.values()), tuple(modules), options, place)


def _read_line(text: str, place: Location) -> PackageLine:
    excluded = text.startswith("-")
    name = text.removeprefix("-").strip()
    if not name.startswith("@"):
        return PackageLine("package", name, place, excluded)
    name, *options = (part.strip() for part in name[1:].split(" --"))
    given = tuple(f"--{option}" for option in options)
    if name.startswith("^"):
        return PackageLine("environment", name[1:].strip(), place, excluded, given)
    return PackageLine("module" if ":" in name else "group", name, place, excluded, given)


def _module_commands(profile: Profile) -> Iterator[ModuleLine]:
    for command in profile.commands:
        words = split_line(command.text) or ()
        if command.name == "module" and "--disable" not in words and (name := read_option(words, "--name")):
            yield ModuleLine(name, read_option(words, "--stream") or "", command.location)
