"""Whether the packages of an appliance can be installed together."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rollbuild.checks.packagelines import PackageLine, PackageList
from rollbuild.findings import Finding, error, note
from rollbuild.location import Location
from rollbuild.packages import (
    EXCLUDE,
    INSTALL,
    PREFER,
    Catalogue,
    How,
    Repository,
    Resolver,
    Unresolved,
    Wanted,
    has_solver,
)

_REASONS = 3
"""How many further reasons a hint has; qemu-kvm in four versions gives dozens."""

Asked = tuple[PackageList, Catalogue, Sequence[PackageLine]]
"""An appliance's list, what it sees of the repositories, and those of its lines that are there."""


@dataclass(frozen=True, slots=True)
class _Want:
    """A package to be solved for, and the line that asks for it; `line` is None for what the installer adds."""

    wanted: Wanted
    line: PackageLine | None
    in_group: bool = False


def check_resolving(asked: Sequence[Asked], repositories: Sequence[Repository]) -> Iterator[Finding]:
    """A finding for each thing that keeps packages from being installed together, at the line that asks for them."""
    if not asked:
        return
    if lists := sorted({repository.place for repository in repositories if repository.only_names}):
        message = f"whether the packages fit together was not looked at: {', '.join(lists)} only has names"
        yield note("RESOLVER-NAMES", message, Location(lists[0]), "give repositories, or say --no-resolve")
        return
    if not has_solver():
        message = "whether the packages fit together was not looked at: libsolv is missing"
        hint = "pip install 'rollbuild[resolve]', or the package python3-solv; --no-resolve does without"
        yield note("RESOLVER-MISSING", message, None, hint)
        return
    resolvers: dict[int, Resolver] = {}
    places: dict[tuple[str, str, Location | None, str], dict[str, None]] = {}
    for packages, catalogue, lines in asked:
        if id(catalogue) not in resolvers:
            resolvers[id(catalogue)] = Resolver(repositories, catalogue.arch, catalogue.hidden)
        wants = list(_list_wants(packages, catalogue, lines))
        for problem in resolvers[id(catalogue)].find_problems([want.wanted for want in wants]):
            causes = sorted((wants[index] for index in problem.culprits), key=_blame)
            line = next((want.line for want in causes if want.line), None)
            what = f"{line}: " if line else ""
            also = sorted({str(want.line) for want in causes if want.line and want.line != line})
            reasons = [*_chief(problem), *([f"asked for by {', '.join(also)} too"] if also else [])]
            place = line.location if line else packages.location
            key = (what + problem.message, "; ".join(reasons), place, packages.arch)
            places.setdefault(key, {})[packages.appliance] = None
    for (message, hint, location, _), names in places.items():
        yield error("PACKAGE-UNRESOLVED", f"{', '.join(sorted(names))}: {message}", location, hint)


_VERSION = re.compile(r"-(?:\d+:)?\d[^\s-]*-[^\s-]+(?=\.\w+(?:\s|\Z))|(?<=[<>=] )\S+")


def _chief(problem: Unresolved) -> list[str]:
    """The first reasons, and of those that differ in versions only the first."""
    chief: dict[str, str] = {_VERSION.sub("", problem.message): ""}
    for text in problem.because:
        chief.setdefault(_VERSION.sub("", text), text)
    return [text for text in chief.values() if text][:_REASONS]


def _blame(want: _Want) -> tuple[bool, bool, Location]:
    """Packages that a node names come before those of groups, and before those that it keeps out."""
    place = want.line.location if want.line else Location("")
    return (want.wanted.how == EXCLUDE, want.in_group, place)


def _list_wants(packages: PackageList, catalogue: Catalogue, lines: Iterable[PackageLine]) -> Iterator[_Want]:
    lines = list(lines)
    left_out = {line.name for line in lines if line.excluded and line.kind == "group"}
    taken = {line.name for line in lines if line.kind == "package"}
    for line in lines:
        if line.kind == "package":
            if not line.excluded and not catalogue.find(line.name).is_open:
                yield _Want(Wanted(line.name), line)
            elif line.excluded:
                yield _Want(Wanted(line.name, EXCLUDE), line)
        elif not line.excluded and line.kind != "module":
            for name, how in _members(line, catalogue, left_out):
                if name not in taken:
                    yield _Want(Wanted(name, how), line, in_group=True)
                    taken.add(name)
    if "--nocore" not in packages.options:
        core = PackageLine("group", "core", packages.location or Location(""))
        for name, how in _members(core, catalogue, left_out):
            if name not in taken:
                yield _Want(Wanted(name, how), None, in_group=True)


def _members(line: PackageLine, catalogue: Catalogue, left_out: set[str]) -> Iterator[tuple[str, How]]:
    """The packages of a group or environment that exist: dnf passes over those that do not."""
    kinds = {"mandatory"} if "--nodefaults" in line.options else {"mandatory", "default"}
    kinds |= {"optional"} if "--optional" in line.options else set()
    groups = list(catalogue.find_group(line.name)) if line.kind == "group" else []
    if not groups:
        ids = [name for one in catalogue.find_environment(line.name) for name in one.groups]
        groups = [group for name in ids for group in catalogue.find_group(name)]
    for group in groups:
        for package in group.packages if group.id not in left_out else ():
            if package.kind in kinds and catalogue.find(package.name).packages:
                yield package.name, INSTALL if package.kind == "mandatory" else PREFER
