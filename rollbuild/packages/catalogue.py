"""What a set of repositories offers a host: names looked up as an install looks them up."""

import difflib
import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rollbuild.packages.groups import Environment, Group
from rollbuild.packages.modules import ModuleStream, hidden_packages, streams_of
from rollbuild.packages.repository import AvailablePackage, Repository

_ARCHES = {
    "x86_64": ("x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "amd64", "i686", "i586", "i486", "i386"),
    "ppc64le": ("ppc64le",),
    "aarch64": ("aarch64",),
    "s390x": ("s390x",),
}
_ALL_ARCHES = frozenset(("noarch", "armv7hl", "riscv64", "ppc64", "src", *sum(_ARCHES.values(), ())))
_PATTERN = re.compile(r"[*?\[]")
_PRIMARY_FILE = re.compile(r"/etc/|.*bin/|/usr/lib/sendmail\Z")
"""Files that primary metadata has; of others only the file lists know the owners."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: the packages that an install would choose from.

    When there are none: `other_arches` that have it, or the module `streams` that hide it. `is_open`: it cannot be
    told from the metadata.
    """

    packages: tuple[AvailablePackage, ...] = ()
    other_arches: tuple[str, ...] = ()
    streams: tuple[ModuleStream, ...] = ()
    is_open: bool = False


class Catalogue:
    """Repositories as a host of one architecture sees them, with the module streams that it enables."""

    def __init__(self, repositories: Sequence[Repository], arch: str, enabled: Mapping[str, str] | None = None) -> None:
        self.repositories = tuple(repositories)
        self.arch = arch
        self.arches = frozenset((*_ARCHES.get(arch, (arch,)), "noarch", ""))
        self.hidden = hidden_packages(self.repositories, enabled or {})
        self.has_groups = any(repository.has_groups for repository in self.repositories)
        self.streams = streams_of(self.repositories)

    def find(self, name: str) -> Found:
        """The packages that a line of %packages may mean: by name, pattern, version, file, or what they provide."""
        matches = tuple(self._matches(name))
        if not matches:
            return Found(is_open=name.startswith("/") and not _PRIMARY_FILE.match(name))
        shown = tuple(package for package in matches if package not in self.hidden)
        fitting = tuple(package for package in shown if package.arch in self.arches)
        if fitting:
            return Found(fitting)
        if shown:
            return Found(other_arches=tuple(sorted({package.arch for package in shown})))
        streams = dict.fromkeys(self.hidden[package] for package in matches)
        return Found(streams=tuple(stream for stream in streams if stream))

    def _matches(self, name: str) -> Iterator[AvailablePackage]:
        found = False
        for package in self._by_name(name):
            found = True
            yield package
        if found:
            return
        if name.startswith("/"):
            yield from (package for one in self.repositories for package in one.owners.get(name, ()))
            return
        base, _, arch = name.rpartition(".")
        if base and arch in _ALL_ARCHES:
            matches = tuple(self._matches(base))
            exact = tuple(package for package in matches if package.arch in (arch, ""))
            yield from exact or (package for package in matches if package.arch not in self.arches)
            if matches:
                return
        for package in self._by_version(name):
            found = True
            yield package
        if not found:
            yield from (package for one in self.repositories for package in one.providers.get(name, ()))

    def _by_name(self, name: str) -> Iterator[AvailablePackage]:
        for repository in self.repositories:
            if not _PATTERN.search(name):
                yield from repository.packages.get(name, ())
                continue
            for other in fnmatch.filter(repository.packages, name):
                yield from repository.packages[other]

    def _by_version(self, name: str) -> Iterator[AvailablePackage]:
        for count in (1, 2):
            base, *rest = name.rsplit("-", count)
            wanted = "-".join(rest)
            for package in self._by_name(base) if len(rest) == count else ():
                plain = f"{package.version}-{package.release}"
                if wanted in (package.version, plain, f"{package.epoch or '0'}:{plain}"):
                    yield package

    def find_group(self, name: str) -> tuple[Group, ...]:
        """The groups of an id or, as dnf takes that too, of a name; one from each repository that has it."""
        found = [one.groups[name] for one in self.repositories if name in one.groups]
        if found:
            return tuple(found)
        groups = (group for one in self.repositories for group in one.groups.values())
        return tuple(group for group in groups if group.name.casefold() == name.casefold())

    def find_environment(self, name: str) -> tuple[Environment, ...]:
        """The environments of an id or a name."""
        found = [one.environments[name] for one in self.repositories if name in one.environments]
        if found:
            return tuple(found)
        every = (environment for one in self.repositories for environment in one.environments.values())
        return tuple(environment for environment in every if environment.name.casefold() == name.casefold())

    @cached_property
    def package_names(self) -> tuple[str, ...]:
        """Every package's name."""
        return tuple(sorted({name for repository in self.repositories for name in repository.packages}))

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """The ids of groups as `@id`, and of environments as `@^id`."""
        groups = {f"@{name}" for repository in self.repositories for name in repository.groups}
        return tuple(sorted(groups | {f"@^{name}" for one in self.repositories for name in one.environments}))

    def nearest_names(self, name: str) -> tuple[str, ...]:
        """Up to three names that are spelled much like a package's or, with its `@`, a group's."""
        known = self.group_names if name.startswith("@") else self.package_names
        start = name.lstrip("@^")[:1].casefold()
        # Comparing with all of 18,000 names takes a tenth of a second, and old rolls miss hundreds.
        alike = [other for other in known if other.lstrip("@^")[:1].casefold() == start]
        return tuple(difflib.get_close_matches(name, alike, 3, 0.75))
