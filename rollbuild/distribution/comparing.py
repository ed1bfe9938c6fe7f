"""What differs between two generations: packages, the description, Kickstarts, attributes, the OS tree."""

import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.distribution.creating import KICKSTARTS
from rollbuild.distribution.generation import Generation
from rollbuild.distribution.provenance import ATTRIBUTES, SUMS, Provenance, read_provenance
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location
from rollbuild.packages import AvailablePackage, RepositoryName, compare_evr, open_repositories

_SUMS_LIMIT = 256 * 1024 * 1024
_TEXT_LIMIT = 64 * 1024 * 1024
_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)\Z", re.DOTALL)
_Evr = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that differs in one repository.

    `action` is added, removed, upgraded, downgraded or rebuilt (the same version with other contents); `before` and
    `after` are `[epoch:]version-release`, empty where there is none.
    """

    action: str
    name: str
    arch: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs; `action` is added, removed or changed, `diff` a unified diff without file names."""

    path: str
    action: str
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationDiff:
    """What differs from `before` to `after`.

    `packages` is by repository, without those that do not differ. `kickstarts` holds both texts by appliance, None
    where there is none. `rolls` and `os` are texts before and after, empty for none. `hidden` says in words what
    could not be looked at.
    """

    before: Generation
    after: Generation
    os: tuple[str, str] | None
    rolls: Mapping[str, tuple[str, str]]
    packages: Mapping[str, tuple[PackageChange, ...]]
    description: tuple[FileChange, ...]
    attributes: tuple[tuple[str, str], ...]
    kickstarts: Mapping[str, tuple[str | None, str | None]] = field(repr=False)
    secrets: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()), repr=False)
    hidden: str = ""

    def __bool__(self) -> bool:
        return any((self.os, self.rolls, self.packages, self.description, self.attributes, self.kickstarts))


def compare_generations(before: Generation, after: Generation) -> GenerationDiff:
    """Compare two generations, of one distribution or of two. Raises RollbuildError for one that is damaged."""
    facts = read_provenance(before.folder), read_provenance(after.folder)
    sums = read_sums(before.folder / SUMS), read_sums(after.folder / SUMS)
    rolls = tuple({roll.id.name: f"{roll.id} {roll.digest}" for roll in fact.rolls} for fact in facts)
    systems = tuple(f"{fact.os_name} ({fact.os_release}) {fact.os_digest}" for fact in facts)
    kickstarts, secrets, attributes, hidden = _compare_private(before, after)
    return GenerationDiff(
        before=before,
        after=after,
        os=(_shortened(systems[0]), _shortened(systems[1])) if systems[0] != systems[1] else None,
        rolls={
            name: (_shortened(rolls[0].get(name, "")), _shortened(rolls[1].get(name, "")))
            for name in sorted({*rolls[0], *rolls[1]})
            if rolls[0].get(name) != rolls[1].get(name)
        },
        packages=_compare_packages((before, after), facts, sums),
        description=_compare_description((before, after), sums),
        attributes=attributes,
        kickstarts=kickstarts,
        secrets=secrets,
        hidden=hidden,
    )


def _shortened(text: str) -> str:
    """A thing and the first digits of its digest."""
    name, _, digest = text.rpartition(" ")
    return f"{name} {digest[:12]}" if name else text


def read_sums(path: Path) -> dict[str, str]:
    """Path -> SHA-256, of a list that `write_sums` or sha256sum wrote. Raises RollbuildError."""
    text = read_limited(path, _SUMS_LIMIT).decode(errors="surrogateescape")
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _LINE.match(line)
        if match is not None:
            name = match[3]
            if match[1]:
                name = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), name)
            found[name] = match[2]
        elif line:
            raise RollbuildError("this line is no digest and path", location=Location(os.fspath(path), number))
    return found


def _compare_packages(
    sides: tuple[Generation, Generation],
    facts: tuple[Provenance, Provenance],
    sums: tuple[Mapping[str, str], Mapping[str, str]],
) -> dict[str, tuple[PackageChange, ...]]:
    paths = tuple({name: path for name, path, _ in fact.repositories} for fact in facts)
    changes = {}
    for name in sorted({*paths[0], *paths[1]}):
        metadata = [
            None if name not in known else _below(side, _repodata(known[name]))
            for known, side in zip(paths, sums, strict=True)
        ]
        if metadata[0] == metadata[1]:
            continue
        packages = [
            _read_packages(side.folder, known[name], digests) if name in known else {}
            for side, known, digests in zip(sides, paths, sums, strict=True)
        ]
        if found := tuple(_changes_of(packages[0], packages[1])):
            changes[name] = found
    return changes


def _repodata(path: str) -> str:
    return "repodata/" if path == "." else f"{path}/repodata/"


def _below(sums: Mapping[str, str], folder: str) -> dict[str, str]:
    return {path.removeprefix(folder): digest for path, digest in sums.items() if path.startswith(folder)}


def _read_packages(
    folder: Path, path: str, digests: Mapping[str, str]
) -> dict[tuple[str, str], dict[_Evr, tuple[str, str]]]:
    """(name, arch) -> version -> (text of the version, digest)."""
    found: dict[tuple[str, str], dict[_Evr, tuple[str, str]]] = {}
    place = os.path.normpath(folder / path)
    with open_repositories([RepositoryName(place, path)]) as repositories:
        for repository in repositories:
            for packages in repository.packages.values():
                for package in packages:
                    file = os.path.normpath(os.path.join(path, package.href))
                    versions = found.setdefault((package.name, package.arch), {})
                    versions[_evr_of(package)] = package.evr, digests.get(file, "")
    return found


def _evr_of(package: AvailablePackage) -> _Evr:
    return package.epoch or "0", package.version, package.release


def _changes_of(
    before: Mapping[tuple[str, str], Mapping[_Evr, tuple[str, str]]],
    after: Mapping[tuple[str, str], Mapping[_Evr, tuple[str, str]]],
) -> Iterable[PackageChange]:
    for name, arch in sorted({*before, *after}):
        old, new = before.get((name, arch), {}), after.get((name, arch), {})
        for evr in sorted(old.keys() & new.keys()):
            if old[evr][1] != new[evr][1]:
                yield PackageChange("rebuilt", name, arch, old[evr][0], new[evr][0])
        gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
        if len(gone) == 1 and len(come) == 1:
            action = "upgraded" if compare_evr(gone[0], come[0]) < 0 else "downgraded"
            yield PackageChange(action, name, arch, old[gone[0]][0], new[come[0]][0])
            continue
        for evr in gone:
            yield PackageChange("removed", name, arch, before=old[evr][0])
        for evr in come:
            yield PackageChange("added", name, arch, after=new[evr][0])


def _compare_description(
    sides: tuple[Generation, Generation], sums: tuple[Mapping[str, str], Mapping[str, str]]
) -> tuple[FileChange, ...]:
    known = tuple(_below(side, "description/") for side in sums)
    changes = []
    for path in sorted({*known[0], *known[1]}):
        if known[0].get(path) == known[1].get(path):
            continue
        texts = [
            _read_text(side.folder / "description" / path) if path in names else ""
            for side, names in zip(sides, known, strict=True)
        ]
        action = "added" if path not in known[0] else "removed" if path not in known[1] else "changed"
        changes.append(FileChange(path, action, unified_diff(texts[0], texts[1])))
    return tuple(changes)


def _read_text(path: Path) -> str:
    data = read_limited(path, _TEXT_LIMIT)
    return f"({len(data):,} bytes that are no text)\n" if b"\0" in data else data.decode("utf-8", "replace")


def unified_diff(before: str, after: str) -> tuple[str, ...]:
    """A unified diff without the lines that name files."""
    return tuple(difflib.unified_diff(before.splitlines(), after.splitlines(), n=2, lineterm=""))[2:]


def _compare_private(
    before: Generation, after: Generation
) -> tuple[
    dict[str, tuple[str | None, str | None]],
    tuple[tuple[str, ...], tuple[str, ...]],
    tuple[tuple[str, str], ...],
    str,
]:
    """Kickstarts that differ, secrets of both sides, and attributes by name with added, removed or changed."""
    folders = before.folder / KICKSTARTS, after.folder / KICKSTARTS
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            return {}, ((), ()), (), f"the Kickstarts in {folder} may not be read: they can be seen by their owner only"
    texts = tuple(_read_kickstarts(folder) for folder in folders)
    different = {
        name: (texts[0].get(name), texts[1].get(name))
        for name in sorted({*texts[0], *texts[1]})
        if texts[0].get(name) != texts[1].get(name)
    }
    given = tuple(_read_attributes(folder) for folder in folders)
    attributes = tuple(
        (name, "added" if name not in given[0][0] else "removed" if name not in given[1][0] else "changed")
        for name in sorted({*given[0][0], *given[1][0]})
        if given[0][0].get(name) != given[1][0].get(name)
    )
    return different, (given[0][1], given[1][1]), attributes, ""


def _read_kickstarts(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {path.stem: _read_text(path) for path in sorted(folder.glob("*.ks"))}


def _read_attributes(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    path = folder / ATTRIBUTES
    if not path.is_file():
        return {}, ()
    try:
        content = json.loads(read_limited(path, _TEXT_LIMIT))
        digests = {str(name): str(digest) for name, digest in content["digests"].items()}
        return digests, tuple(str(value) for value in content["secrets"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        what = " ".join(str(problem).split())
        raise RollbuildError(f"this file is damaged: {what}", location=Location(os.fspath(path))) from None


def make_masks(diff: GenerationDiff) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """What hides the secrets in the Kickstarts of both sides, so that one that changed still shows as changed."""
    before, after = (frozenset(side) for side in diff.secrets)

    def masking(word: str) -> Callable[[str], str]:
        marks = [
            (value, "(hidden)" if value in before and value in after else f"(hidden, {word})")
            for value in sorted(before | after, key=lambda value: (-len(value), value))
        ]

        def mask(text: str) -> str:
            for value, mark in marks:
                text = text.replace(value, mark)
            return text

        return mask

    return masking("before"), masking("after")
