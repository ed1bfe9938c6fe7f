"""Packages and groups that profiles ask for, compared with the repositories they are installed from."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.checks.packagelines import ModuleLine, PackageLine, PackageList, read_package_list
from rollbuild.compiler import Profile
from rollbuild.findings import Finding, Severity, in_order, note
from rollbuild.location import Location

if TYPE_CHECKING:
    from rollbuild.packages import Catalogue, Found, Repository

# rollbuild.packages is imported where it is used: checks without repositories need not wait for it.

_NAMED = 6
"""How many repositories a hint names."""


def check_packages(
    profiles: Iterable[Profile],
    repositories: "Sequence[Repository]",
    *,
    elsewhere: Mapping[str, Collection[str]] | None = None,
    resolve: bool = True,
) -> tuple[Finding, ...]:
    """Whether the packages, groups and module streams of profiles exist and, with `resolve`, fit together.

    `elsewhere` are the sources of packages that a roll has accounted for, by name or pattern; they only have to exist
    here when a repository of that source's name is given. What is missing is a warning in profiles whose
    installer passes over it (`--ignoremissing`).
    """
    lists = [read_package_list(profile) for profile in profiles]
    catalogues = _make_catalogues(lists, repositories)
    search = _Search(repositories, _absent_sources(elsewhere or {}, repositories))
    found: list[tuple[PackageList, tuple[_Lack, ...]]] = [
        (packages, tuple(search.lacks(packages, catalogue)))
        for packages, catalogue in zip(lists, catalogues, strict=True)
    ]
    findings = [*_tell(found), *_tell_unknown_groups(lists, repositories)]
    if resolve:
        from rollbuild.checks.resolving import check_resolving

        usable = []
        for (packages, lacks), catalogue in zip(found, catalogues, strict=True):
            lacking = {lack.line for lack in lacks}
            usable.append((packages, catalogue, [line for line in packages.lines if line not in lacking]))
        findings += check_resolving(usable, repositories)
    return in_order(findings)


def _make_catalogues(lists: Iterable[PackageList], repositories: "Sequence[Repository]") -> "list[Catalogue]":
    from rollbuild.packages import Catalogue

    made: dict[tuple[object, ...], Catalogue] = {}
    catalogues = []
    for packages in lists:
        enabled = {line.module: line.stream for line in packages.modules if line.stream}
        key = (packages.arch, *sorted(enabled.items()))
        if key not in made:
            made[key] = Catalogue(repositories, packages.arch, enabled)
        catalogues.append(made[key])
    return catalogues


def _absent_sources(
    elsewhere: Mapping[str, Collection[str]], repositories: "Iterable[Repository]"
) -> Mapping[str, tuple[str, ...]]:
    """The packages whose sources are not among the repositories. `epel` names the source EPEL, and `EPEL 9`."""
    given = {name for one in repositories for name in (one.name.casefold(), one.name.casefold().split("/")[0])}
    absent = {}
    for package, sources in elsewhere.items():
        if not any(given & {source.casefold(), *source.casefold().split()} for source in sources):
            absent[package] = tuple(sources)
    return absent


@dataclass(frozen=True, slots=True)
class _Lack:
    """Something that an appliance asks for and does not get."""

    code: str
    message: str
    location: Location
    hint: str
    line: PackageLine | None = None
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class _Search:
    repositories: "Sequence[Repository]"
    absent_sources: Mapping[str, tuple[str, ...]]

    def lacks(self, packages: PackageList, catalogue: "Catalogue") -> Iterator[_Lack]:
        """What of a list is not there."""
        for line in packages.lines:
            # Nothing stops at a package that is kept out and does not exist.
            if line.excluded or line.kind == "module":
                continue
            if line.kind == "package":
                yield from self._judge(line, catalogue.find(line.name), catalogue)
            elif catalogue.has_groups and not _has_group(line, catalogue):
                source = self._source_of(str(line))
                what = "environment" if line.kind == "environment" else "group"
                message = f"no repository has the {what} {line}"
                yield (
                    self._elsewhere(line, source)
                    if source
                    else _Lack("GROUP-MISSING", message, line.location, self._hint(str(line), catalogue), line)
                )
        if any(repository.streams for repository in self.repositories):
            yield from _lacking_streams(packages.modules, catalogue)

    def _judge(self, line: PackageLine, found: "Found", catalogue: "Catalogue") -> Iterator[_Lack]:
        if found.packages or found.is_open:
            return
        source = self._source_of(line.name) or self._source_of(line.name.rpartition(".")[0])
        if source:
            yield self._elsewhere(line, source)
        elif found.other_arches:
            message = f"package {line} is there for {', '.join(found.other_arches)}, not for {catalogue.arch}"
            hint = "correct the name, or give the <package> a condition on arch"
            yield _Lack("PACKAGE-ARCH", message, line.location, hint, line)
        elif found.streams:
            stream = found.streams[0]
            message = f"package {line} is only in the module {stream.module}:{stream.stream}, which is not enabled"
            hint = f"enable it in <main>: <module>--name={stream.module} --stream={stream.stream}</module>"
            yield _Lack("PACKAGE-MODULE", message, line.location, hint, line)
        else:
            message = f"no repository has the package {line}, nor one that provides it"
            yield _Lack("PACKAGE-MISSING", message, line.location, self._hint(line.name, catalogue), line)

    def _source_of(self, name: str) -> tuple[str, ...]:
        if name in self.absent_sources:
            return self.absent_sources[name]
        matching = (pattern for pattern in self.absent_sources if fnmatch.fnmatchcase(name, pattern))
        return self.absent_sources.get(next(matching, ""), ())

    def _elsewhere(self, line: PackageLine, sources: tuple[str, ...]) -> _Lack:
        message = f"package {line} comes from {' or '.join(sources)}, which is not looked into"
        hint = f"give that repository too: --repo {max(sources[0].split(), key=len).casefold()}=URL-OR-DIR"
        return _Lack("PACKAGE-ELSEWHERE", message, line.location, hint, line, is_note=True)

    def _hint(self, name: str, catalogue: "Catalogue") -> str:
        near = catalogue.nearest_names(name)
        names = [repository.name for repository in self.repositories]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        looked = f"looked in {', '.join(names[:_NAMED])}{more}"
        return f"did you mean {' or '.join(near)}? {looked}" if near else looked


def _has_group(line: PackageLine, catalogue: "Catalogue") -> bool:
    # `@name` may be an environment too, and Anaconda takes it.
    if line.kind == "group" and catalogue.find_group(line.name):
        return True
    return bool(catalogue.find_environment(line.name))


def _lacking_streams(lines: Iterable[ModuleLine], catalogue: "Catalogue") -> Iterator[_Lack]:
    for line in lines:
        there = catalogue.streams.get(line.module, ())
        if not there:
            known = ", ".join(sorted(catalogue.streams))
            message = f"no repository has the module {line.module}"
            yield _Lack("MODULE-MISSING", message, line.location, f"there are: {known}")
        elif line.stream and line.stream not in there:
            message = f"the module {line.module} has no stream {line.stream}"
            yield _Lack("MODULE-MISSING", message, line.location, f"it has: {', '.join(there)}")


def _tell(found: Iterable[tuple[PackageList, tuple[_Lack, ...]]]) -> Iterator[Finding]:
    """One finding for each place, with all the appliances that come by there."""
    appliances: dict[tuple[str, str, Location, str], dict[str, None]] = {}
    severities: dict[tuple[str, str, Location, str], set[Severity]] = {}
    for packages, lacks in found:
        for lack in lacks:
            key = (lack.code, lack.message, lack.location, lack.hint)
            appliances.setdefault(key, {})[packages.appliance] = None
            severity = Severity.WARNING if packages.is_lenient else Severity.ERROR
            severities.setdefault(key, set()).add(Severity.NOTE if lack.is_note else severity)
    for (code, message, location, hint), names in appliances.items():
        severity = min(severities[code, message, location, hint], key=list(Severity).index)
        yield Finding(code, severity, f"{', '.join(sorted(names))}: {message}", location, hint)


def _tell_unknown_groups(lists: Iterable[PackageList], repositories: "Iterable[Repository]") -> Iterator[Finding]:
    if any(repository.has_groups for repository in repositories):
        return
    lines = {line for one in lists for line in one.lines if line.kind in ("group", "environment") and not line.excluded}
    if lines:
        names = ", ".join(sorted({str(line) for line in lines}))
        message = f"no repository given lists groups: whether there is {names} was not looked at"
        hint = "give the metadata of the release's BaseOS and AppStream, which list them (comps)"
        yield note("GROUP-UNKNOWN", message, min(line.location for line in lines), hint)
