"""roll.lock: exactly which packages a roll takes from repositories, so that it is built again with the same.

```text
format: 1
el9.x86_64:
  repositories:
    epel: "https://dl.example.org/epel/9/Everything/x86_64"
  wanted:
  - "munge"
  packages:
  - {nevra: "munge-0:0.5.13-13.el9.x86_64", sha256: "...", size: 124567, repository: "epel", href: "Packages/m/..."}
```
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.errors import REFUSED, RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.language import YamlMapping, YamlNode, YamlScalar, YamlSequence, read_yaml
from rollbuild.location import Location
from rollbuild.packages import Offer, RpmFile, fetch_packages
from rollbuild.releases import RELEASES
from rollbuild.rolls.built import is_outside

LOCK = "roll.lock"
_FORMAT = "1"
_LIMIT = 64 * 1024 * 1024
ALGORITHMS = ("sha256", "sha384", "sha512", "sha224", "sha1", "md5")
_HEAD = "# The packages that this roll takes from repositories. Written by: rollbuild roll build --update-lock\n"
UPDATE_HINT = "choose the packages anew: rollbuild roll build --update-lock"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package that was chosen; `href` is its file from the place of `repository`, `checksum` (algorithm, digits)."""

    nevra: str
    repository: str
    href: str
    size: int
    checksum: tuple[str, str]
    location: Location | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LockEntry:
    """What was chosen for one release and architecture. `repositories`: name -> place as it was given."""

    release: str
    arch: str
    repositories: Mapping[str, str]
    wanted: tuple[str, ...]
    packages: tuple[LockedPackage, ...]
    location: Location | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RollLock:
    """What a roll.lock holds; one entry per release and architecture."""

    entries: tuple[LockEntry, ...] = ()

    def entry_for(self, release: str, arch: str) -> LockEntry | None:
        return next((entry for entry in self.entries if (entry.release, entry.arch) == (release, arch)), None)

    def with_entry(self, entry: LockEntry) -> "RollLock":
        """The same with this entry in its place."""
        others = [one for one in self.entries if (one.release, one.arch) != (entry.release, entry.arch)]
        return RollLock(tuple(sorted([*others, entry], key=lambda one: (one.release, one.arch))))

    def to_text(self) -> str:
        """The file; equal for equal locks, one line for each package."""
        lines = [_HEAD, f"format: {_FORMAT}\n"]
        for entry in sorted(self.entries, key=lambda one: (one.release, one.arch)):
            lines.append(f"{entry.release}.{entry.arch}:\n")
            lines += _block(
                "repositories", [f"    {_text(k)}: {_text(v)}" for k, v in entry.repositories.items()], "{}"
            )
            lines += _block("wanted", [f"  - {_text(name)}" for name in entry.wanted], "[]")
            lines += _block("packages", map(_package_line, entry.packages), "[]")
        return "".join(lines)


def _block(key: str, lines: Iterable[str], empty: str) -> list[str]:
    content = sorted(set(lines))
    return [f"  {key}:\n", *(f"{line}\n" for line in content)] if content else [f"  {key}: {empty}\n"]


def _text(text: str) -> str:
    # JSON's strings are YAML's, but for its pairs of escapes and what YAML holds for unprintable.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _package_line(package: LockedPackage) -> str:
    algorithm, digits = package.checksum
    parts = (
        f"nevra: {_text(package.nevra)}",
        f"{algorithm}: {_text(digits)}",
        f"size: {package.size}",
        f"repository: {_text(package.repository)}",
        f"href: {_text(package.href)}",
    )
    return f"  - {{{', '.join(parts)}}}"


def write_lock(path: Path, lock: RollLock) -> None:
    """Write a roll.lock, atomically. Raises RollbuildError, exit code DISK."""
    write_atomically(path, lock.to_text().encode())


def read_lock(path: Path) -> RollLock:
    """Read a roll.lock; an empty lock where there is none.

    Raises RollbuildError: REFUSED for a file that is no such lock, DISK when it cannot be read.
    """
    if not os.path.lexists(path):
        return RollLock()
    shown = os.fspath(path)
    try:
        text = read_limited(path, _LIMIT).decode()
    except UnicodeDecodeError:
        raise RollbuildError("this file is not text in UTF-8", location=Location(shown), hint=UPDATE_HINT) from None
    top = _mapping(read_yaml(text, shown), "this file")
    if "format" not in top or _scalar(top["format"], "format") != _FORMAT:
        place = top["format"].location if "format" in top else Location(shown)
        raise RollbuildError(f"this roll.lock is not of format {_FORMAT}", location=place, hint=UPDATE_HINT)
    return RollLock(tuple(_read_entry(key, node) for key, node in top.items() if key != "format"))


def _refuse(node: YamlNode, message: str) -> RollbuildError:
    return RollbuildError(message, location=node.location, hint=UPDATE_HINT)


def _mapping(node: YamlNode, what: str) -> dict[str, YamlNode]:
    if not isinstance(node, YamlMapping):
        raise _refuse(node, f"{what} should be KEY: VALUE lines")
    return {key.text: value for key, value in node.items}


def _items(node: YamlNode, what: str) -> tuple[YamlNode, ...]:
    if not isinstance(node, YamlSequence):
        raise _refuse(node, f"{what} should be a list")
    return node.items


def _scalar(node: YamlNode, what: str) -> str:
    if not isinstance(node, YamlScalar) or node.null:
        raise _refuse(node, f"{what} should be one value")
    return node.text


def _part(mapping: Mapping[str, YamlNode], key: str, node: YamlNode) -> YamlNode:
    if key not in mapping:
        raise _refuse(node, f"{key} is missing")
    return mapping[key]


def _read_entry(key: str, node: YamlNode) -> LockEntry:
    release, _, arch = key.partition(".")
    content = _mapping(node, key)
    if release not in RELEASES or not arch:
        raise _refuse(node, f"{key!r} is no release and architecture, as el9.x86_64 is")
    repositories = _mapping(_part(content, "repositories", node), "repositories")
    return LockEntry(
        release=release,
        arch=arch,
        repositories={name: _scalar(place, name) for name, place in repositories.items()},
        wanted=tuple(_scalar(item, "a wanted name") for item in _items(_part(content, "wanted", node), "wanted")),
        packages=tuple(
            _read_package(item, repositories) for item in _items(_part(content, "packages", node), "packages")
        ),
        location=node.location,
    )


def _read_package(node: YamlNode, repositories: Mapping[str, object]) -> LockedPackage:
    content = _mapping(node, "a package")
    texts = {key: _scalar(value, key) for key, value in content.items()}
    for key in ("nevra", "size", "repository", "href"):
        _part(content, key, node)
    algorithm = next((name for name in ALGORITHMS if name in texts), "")
    if not algorithm:
        raise _refuse(node, "sha256 is missing")
    if not (texts["size"].isascii() and texts["size"].isdigit()):
        raise _refuse(content["size"], f"size should be a number of bytes, not {texts['size']!r}")
    if texts["repository"] not in repositories:
        raise _refuse(content["repository"], f"there is no repository {texts['repository']} above")
    if is_outside(texts["href"]):
        raise _refuse(content["href"], f"{texts['href']!r} lies outside of its repository")
    return LockedPackage(
        texts["nevra"],
        texts["repository"],
        texts["href"],
        int(texts["size"]),
        (algorithm, texts[algorithm].lower()),
        node.location,
    )


def check_lock(
    entry: LockEntry | None, wanted: Iterable[str], repositories: Mapping[str, str], *, location: Location
) -> LockEntry:
    """The entry, if it is one for these wanted names and repositories (name -> place as given).

    `location`: of what asks for them. Raises RollbuildError that says what differs.
    """
    if entry is None:
        raise RollbuildError(
            "roll.lock has nothing for this release and architecture", location=location, hint=UPDATE_HINT
        )
    differences = [
        *_difference("packages", sorted(set(wanted)), entry.wanted),
        *_difference("repositories", sorted(repositories), sorted(entry.repositories)),
        *(
            f"{name} is {place} and was {entry.repositories[name]}"
            for name, place in sorted(repositories.items())
            if entry.repositories.get(name, place) != place
        ),
    ]
    if differences:
        raise RollbuildError(
            f"roll.lock does not fit the roll: {'; '.join(differences)}",
            location=entry.location or location,
            hint=UPDATE_HINT,
        )
    return entry


def _difference(what: str, now: Sequence[str], before: Sequence[str]) -> list[str]:
    new = [name for name in now if name not in before]
    gone = [name for name in before if name not in now]
    return [f"new {what} {_some(new)}"] * bool(new) + [f"{what} no longer wanted: {_some(gone)}"] * bool(gone)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def fetch_locked(
    entry: LockEntry,
    places: Mapping[str, str],
    destination: Path,
    *,
    cache: Path | None = None,
    advance: Callable[[int], object] | None = None,
    timeout: float = 30.0,
) -> tuple[RpmFile, ...]:
    """Have exactly the pinned packages in `destination`, whatever else their repositories have by now.

    `places`: name of a repository -> folder or URL that stands in for the entry's, as a mirror does. Otherwise as
    `fetch_packages`. Raises RollbuildError: REFUSED, at the package's line, where one is gone or has other contents.
    """
    offers = [
        Offer(
            package.nevra,
            places.get(package.repository, entry.repositories[package.repository]),
            package.href,
            package.size,
            package.checksum,
            package.repository,
            package.location,
        )
        for package in entry.packages
    ]
    try:
        return fetch_packages(offers, destination, cache=cache, release=entry.release, advance=advance, timeout=timeout)
    except RollbuildError as problem:
        if problem.exit_code != REFUSED:
            raise
        hint = f"{problem.hint}; or {UPDATE_HINT}" if problem.hint else UPDATE_HINT
        raise RollbuildError(
            f"a package that roll.lock pins is gone or another: {problem.message}", location=problem.location, hint=hint
        ) from None
