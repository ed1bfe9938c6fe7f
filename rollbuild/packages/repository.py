"""A repository as its metadata describes it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location
from rollbuild.packages.groups import Environment, Group, read_groups
from rollbuild.packages.modules import ModuleStream, read_modules
from rollbuild.packages.native import damaged, load_createrepo, read_compressed, silent_library
from rollbuild.packages.repomd import REPOMD, Record, read_repomd

COMPS_LIMIT = 64 * 1024 * 1024
MODULES_LIMIT = 256 * 1024 * 1024
NAMES_LIMIT = 64 * 1024 * 1024
MOST_PACKAGES = 1_000_000
"""Fedora's updates hold some 60,000; what has more than this is made to fill the memory."""

_GROUPS = ("group_gz", "group_xz", "group_zst", "group")
_MODULES = ("modules", "modules_gz", "modules_xz", "modules_zst")

Fetch = Callable[[Record], str | None]
"""Gives the path of a metadata file, verified; None where the repository's folder lacks it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A name that a package provides or requires, with the versions: `sign` is <, <=, =, >=, > or empty."""

    name: str
    sign: str = ""
    evr: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.evr}" if self.sign else self.name


@dataclass(frozen=True, slots=True, eq=False)
class AvailablePackage:
    """A package that a repository offers; `arch` and version are empty where only its name is known.

    `href` is its file, named from the repository. What it provides and requires is looked up when it is asked for.
    """

    name: str
    epoch: str = ""
    version: str = ""
    release: str = ""
    arch: str = ""
    href: str = ""
    _record: Any = field(default=None, repr=False)

    @property
    def evr(self) -> str:
        """`version-release`, after `epoch:` where that is not 0."""
        text = f"{self.version}-{self.release}" if self.version else ""
        return f"{self.epoch}:{text}" if self.epoch not in ("", "0") else text

    @property
    def label(self) -> str:
        """`name-version-release.arch`, for people."""
        return f"{self.name}-{self.evr}.{self.arch}" if self.version else self.name

    @property
    def full_label(self) -> str:
        """`name-epoch:version-release.arch`, as module streams name their packages."""
        return f"{self.name}-{self.epoch or '0'}:{self.version}-{self.release}.{self.arch}"

    @property
    def size(self) -> int:
        """The bytes of its file; 0 where only its name is known."""
        return int(self._record.size_package or 0) if self._record else 0

    @property
    def checksum(self) -> tuple[str, str]:
        """(algorithm, hexadecimal digits) of its file; both empty where only its name is known."""
        if not self._record:
            return "", ""
        algorithm = (self._record.checksum_type or "").lower()
        return "sha1" if algorithm == "sha" else algorithm, (self._record.pkgId or "").lower()

    @property
    def sha256(self) -> str:
        """The SHA-256 of its file; empty where the repository has another checksum."""
        algorithm, digits = self.checksum
        return digits if algorithm == "sha256" else ""

    @property
    def base_url(self) -> str:
        """Where its file lies, where that is not its repository (`xml:base`); empty as a rule."""
        return (self._record.location_base or "") if self._record else ""

    @property
    def provides(self) -> tuple[Relation, ...]:
        """What it provides, itself too."""
        return _relations(self._record.provides) if self._record else (Relation(self.name),)

    @property
    def requires(self) -> tuple[Relation, ...]:
        """What it requires."""
        return _relations(self._record.requires) if self._record else ()

    @property
    def files(self) -> tuple[str, ...]:
        """Those of its files that primary metadata has: programs and what is below /etc."""
        return tuple(f"{folder}{name}" for _, folder, name, *_ in self._record.files) if self._record else ()


_SIGNS = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


def _relations(found: Any) -> tuple[Relation, ...]:
    relations = []
    for name, flags, epoch, version, release, *_ in found:
        evr = "" if not version else f"{version}-{release}" if release else version
        evr = f"{epoch}:{evr}" if evr and epoch not in (None, "", "0") else evr
        relations.append(Relation(name, _SIGNS.get(flags or "", ""), evr))
    return tuple(relations)


@dataclass(frozen=True)
class Repository:
    """What a repository holds. `place` is how the user named it; `packages` are by name, in the metadata's order.

    `only_names`: nothing but the names is known. `has_groups`: it has a list of groups, be it empty.
    """

    name: str
    place: str
    packages: Mapping[str, tuple[AvailablePackage, ...]] = field(repr=False)
    groups: Mapping[str, Group] = field(default_factory=dict, repr=False)
    environments: Mapping[str, Environment] = field(default_factory=dict, repr=False)
    categories: tuple[str, ...] = ()
    streams: tuple[ModuleStream, ...] = field(default=(), repr=False)
    has_groups: bool = False
    only_names: bool = False
    primary: str = field(default="", repr=False)
    """The file of its primary metadata, for those who read that themselves."""
    fetch_filelists: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(map(len, self.packages.values()))

    @cached_property
    def providers(self) -> Mapping[str, Sequence[AvailablePackage]]:
        """The packages by each name that they provide."""
        found: dict[str, list[AvailablePackage]] = {}
        for packages in self.packages.values():
            for package in packages:
                # The records' own tuples: making Relations of 300,000 would take seconds.
                for name, *_ in package._record.provides if package._record else ((package.name,),):
                    known = found.get(name)
                    if known is None:
                        found[name] = [package]
                    elif known[-1] is not package:
                        known.append(package)
        return found

    @cached_property
    def owners(self) -> Mapping[str, Sequence[AvailablePackage]]:
        """The packages by each file that primary metadata has of them."""
        found: dict[str, list[AvailablePackage]] = {}
        for packages in self.packages.values():
            for package in packages:
                for file in package.files:
                    found.setdefault(file, []).append(package)
        return found


def read_repository(name: str, place: str, index: str, fetch: Fetch) -> Repository:
    """Read a repository's metadata; `index` is the path of its repomd.xml, `fetch` gives the files it lists.

    Raises RollbuildError for metadata that is absent, damaged, or not what repomd.xml says.
    """
    records = read_repomd(index, f"{place}/{REPOMD}")
    primary = fetch(records["primary"])
    if primary is None:
        href = records["primary"].href
        raise RollbuildError(
            f"the list of packages is missing: {href}",
            location=Location(f"{place}/{REPOMD}"),
            hint="copy the whole repodata folder",
        )
    packages = _read_primary(primary)
    comps = next((path for path in map(fetch, _chosen(records, _GROUPS)) if path), None)
    modules = next((path for path in map(fetch, _chosen(records, _MODULES)) if path), None)
    groups, environments, categories = (
        read_groups(read_compressed(comps, COMPS_LIMIT), comps) if comps else ({}, {}, ())
    )
    filelists = records.get("filelists")
    return Repository(
        name=name,
        place=place,
        packages=packages,
        groups=groups,
        environments=environments,
        categories=categories,
        streams=read_modules(read_compressed(modules, MODULES_LIMIT), modules) if modules else (),
        has_groups=comps is not None,
        primary=primary,
        fetch_filelists=(lambda: fetch(filelists)) if filelists else None,
    )


def _chosen(records: Mapping[str, Record], kinds: tuple[str, ...]) -> list[Record]:
    return [records[kind] for kind in kinds if kind in records]


def _read_primary(path: str) -> Mapping[str, tuple[AvailablePackage, ...]]:
    library = load_createrepo()
    found: dict[str, list[AvailablePackage]] = {}
    count = 0

    def keep(record: Any) -> None:
        nonlocal count
        count += 1
        if count > MOST_PACKAGES:
            raise RollbuildError(f"more than {MOST_PACKAGES:,} packages", location=Location(path))
        if record.arch not in ("src", "nosrc"):
            found.setdefault(record.name, []).append(
                AvailablePackage(
                    record.name,
                    record.epoch or "",
                    record.version or "",
                    record.release or "",
                    record.arch or "",
                    record.location_href or "",
                    record,
                )
            )

    try:
        with silent_library():
            library.xml_parse_primary(path, None, keep, None, 1)
    except (library.CreaterepoCError, OSError, ValueError, TypeError) as problem:
        raise damaged(path, str(problem)) from None
    return {name: tuple(packages) for name, packages in found.items()}


def read_names(path: str) -> tuple[Repository, ...]:
    """The repositories of a list of names: lines of tab-separated columns, among them `repository` and `name`.

    `@id` is the name of a group, `@^id` that of an environment.

    Raises RollbuildError when it is no such list.
    """
    try:
        lines = read_limited(path, NAMES_LIMIT).decode().splitlines()
    except UnicodeDecodeError:
        lines = []
    rows = ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line and not line.startswith("#"))
    _, header = next(rows, (0, []))
    if "name" not in header or "repository" not in header:
        raise RollbuildError(
            "neither a repository nor a list of names",
            location=Location(path),
            hint="a list of names is text with tabs, and a first line with the columns repository and name",
        )
    columns = header.index("repository"), header.index("name")
    found: dict[str, dict[str, None]] = {}
    for number, row in rows:
        if len(row) <= max(columns) or not row[columns[1]]:
            raise RollbuildError("this line lacks a column", location=Location(path, number))
        found.setdefault(row[columns[0]], {})[row[columns[1]]] = None
    return tuple(_list_of_names(name, path, names) for name, names in found.items())


def _list_of_names(repository: str, path: str, names: Iterable[str]) -> Repository:
    groups = [name[1:] for name in names if name[0] == "@" and name[1:2] != "^"]
    environments = [name[2:] for name in names if name.startswith("@^")]
    return Repository(
        name=repository,
        place=path,
        packages={name: (AvailablePackage(name),) for name in names if name[0] != "@"},
        groups={name: Group(name, name) for name in groups},
        environments={name: Environment(name, name) for name in environments},
        has_groups=bool(groups or environments),
        only_names=True,
    )
