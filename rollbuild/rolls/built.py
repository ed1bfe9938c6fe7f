"""A built roll: the folder that holds its packages, its description, and what says so exactly.

```text
NAME/VERSION/ARCH/          below NAME-VERSION-RELEASE.ARCH/, at the top of an ISO, or as one roll of several on it
    roll.json               everything below, with digests; its own SHA-256 is the roll's digest
    roll-NAME.xml           for the tools of Rocks 5-7
    profile/                the description: roll.yaml, attributes.yaml, nodes/, graphs/, include/, ...
    RPMS/*.rpm  SRPMS/*.rpm  repodata/  RPM-GPG-KEY-*  SHA256SUMS
```
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import DEFAULT_PRIORITY
from rollbuild.location import Location
from rollbuild.releases import RELEASES
from rollbuild.rolls.identity import Requirement, RollId, parse_requirement

MANIFEST = "roll.json"
PROFILE = "profile"
PACKAGES = "RPMS"
SOURCES = "SRPMS"
FORMAT = 1
_LIMIT = 256 * 1024 * 1024
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: what makes dates of seconds goes no further."""


@dataclass(frozen=True, slots=True)
class RollPackage:
    """A package of a roll. `file` is its path from the roll's folder; `signed_by` are ids of keys, 16 hex digits each.

    `header_sha256` is the digest of its header without the signature: a package signed anew keeps it.
    """

    file: str
    name: str
    epoch: str
    version: str
    release: str
    arch: str
    sha256: str
    size: int
    header_sha256: str = ""
    signed_by: tuple[str, ...] = ()

    @property
    def nevra(self) -> str:
        """`name-epoch:version-release.arch`."""
        return f"{self.name}-{self.epoch}:{self.version}-{self.release}.{self.arch}"


@dataclass(frozen=True, slots=True)
class BuiltRoll:
    """What roll.json says.

    `releases`: those that it can be installed on, empty for any. `files`: path from the roll's folder -> (SHA-256,
    bytes), for every file but roll.json and SHA256SUMS. `keys`: the files of the public keys its packages are signed
    with. `epoch`: the newest of what went into it, in seconds since 1970. `read_digest`: the SHA-256 of the roll.json
    that this was read from, which another rollbuild may have written otherwise.
    """

    id: RollId
    summary: str = ""
    releases: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    conflicts: tuple[Requirement, ...] = ()
    priority: int = DEFAULT_PRIORITY
    epoch: int = 0
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    packages: tuple[RollPackage, ...] = field(default=(), repr=False)
    keys: tuple[str, ...] = ()
    read_digest: str = field(default="", repr=False, compare=False)

    def to_json(self) -> bytes:
        """The bytes of roll.json; equal for equal rolls."""
        content = {
            "format": FORMAT,
            "name": self.id.name,
            "version": self.id.version,
            "release": self.id.release,
            "arch": self.id.arch,
            "summary": self.summary,
            "releases": list(self.releases),
            "requires": [str(requirement) for requirement in self.requires],
            "conflicts": [str(requirement) for requirement in self.conflicts],
            "priority": self.priority,
            "epoch": self.epoch,
            "files": {name: {"sha256": digest, "size": size} for name, (digest, size) in self.files.items()},
            "packages": [
                {
                    "file": package.file,
                    "name": package.name,
                    "epoch": package.epoch,
                    "version": package.version,
                    "release": package.release,
                    "arch": package.arch,
                    "sha256": package.sha256,
                    "size": package.size,
                    "header_sha256": package.header_sha256,
                    "signed_by": list(package.signed_by),
                }
                for package in sorted(self.packages, key=lambda package: package.file)
            ],
            "keys": sorted(self.keys),
        }
        return _write_json(content)

    @property
    def digest(self) -> str:
        """The SHA-256 of its roll.json, and so of everything in it."""
        return self.read_digest or hashlib.sha256(self.to_json()).hexdigest()


def _write_json(content: Mapping[str, Any]) -> bytes:
    """JSON with a line for each file and package; `indent` of the library takes ten times as long."""
    encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
    members = []
    for key in sorted(content):
        value = content[key]
        if isinstance(value, dict) and value:
            rows = ",\n".join(f"  {encode(name)}: {encode(value[name])}" for name in sorted(value))
            members.append(f" {encode(key)}: {{\n{rows}\n }}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join(f"  {encode(item)}" for item in value)
            members.append(f" {encode(key)}: [\n{rows}\n ]")
        else:
            members.append(f" {encode(key)}: {encode(value)}")
    return ("{\n" + ",\n".join(members) + "\n}\n").encode()


def roll_folder(top: Path, roll: RollId) -> Path:
    """Where a roll lies on a medium or in a built roll's folder: `NAME/VERSION/ARCH`."""
    return top / roll.name / roll.version / roll.arch


def read_built_roll(folder: Path) -> BuiltRoll:
    """Read a built roll's roll.json; `folder` is the one that holds it. Its files are not looked at.

    Raises RollbuildError: REFUSED for a roll.json that is damaged, newer than this rollbuild, or names files
    elsewhere, DISK when it cannot be read.
    """
    return parse_built_roll(read_limited(folder / MANIFEST, _LIMIT), os.fspath(folder / MANIFEST))


def parse_built_roll(data: bytes, shown: str) -> BuiltRoll:
    """The same from the bytes of a roll.json; `shown` names it in errors. Raises RollbuildError."""
    place = Location(shown)
    try:
        content = json.loads(data.decode())
        if content["format"] != FORMAT:
            raise RollbuildError(
                f"this roll.json has format {content['format']}, this rollbuild knows {FORMAT}",
                location=place,
                hint="use a newer rollbuild, or build the roll again",
            )
        built = _from_json(content, place, hashlib.sha256(data).hexdigest())
        if _HALVES.search(data):
            built.to_json()  # halves of characters cannot be written again
        return built
    except RollbuildError as problem:
        if problem.location is not None:
            raise
        raise RollbuildError(problem.message, location=place, hint=problem.hint) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as problem:
        what = f"{problem} is missing" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        raise RollbuildError(
            f"this roll.json is damaged: {what}", location=place, hint="copy or build the roll again"
        ) from None


def _from_json(content: Any, place: Location, digest: str) -> BuiltRoll:
    files = {str(name): (str(file["sha256"]), int(file["size"])) for name, file in content["files"].items()}
    for name in files:
        if is_outside(name):
            raise RollbuildError(f"this roll.json names a file outside of its roll: {name}", location=place)
        if _UNPRINTABLE.search(name):  # it would break lists of files, such as SHA256SUMS
            raise RollbuildError(f"this roll.json names a file with control characters: {name!r}", location=place)
        if files[name][1] < 0:
            raise ValueError(f"the file {name} has {files[name][1]} bytes")
    packages = tuple(
        RollPackage(
            **{key: str(item[key]) for key in ("file", "name", "epoch", "version", "release", "arch", "sha256")},
            size=int(item["size"]),
            header_sha256=str(item.get("header_sha256", "")),
            signed_by=tuple(map(str, item.get("signed_by", ()))),
        )
        for item in content["packages"]
    )
    named = (*(package.file for package in packages), *map(str, content.get("keys", ())))
    for name in named:
        if name not in files:
            raise RollbuildError(f"this roll.json does not list its file {name}", location=place)
    releases = tuple(map(str, content.get("releases", ())))
    for release in releases:
        if release not in RELEASES:
            raise RollbuildError(f"release {release} is not known", location=place, hint=", ".join(RELEASES))
    epoch = int(content.get("epoch", 0))
    if not 0 <= epoch <= _LAST_SECOND:
        raise ValueError(f"its epoch is {epoch}")
    return BuiltRoll(
        id=RollId(*(str(content[key]) for key in ("name", "version", "release", "arch"))),
        summary=str(content.get("summary", "")),
        releases=releases,
        requires=tuple(map(parse_requirement, content.get("requires", ()))),
        conflicts=tuple(map(parse_requirement, content.get("conflicts", ()))),
        priority=int(content.get("priority", DEFAULT_PRIORITY)),
        epoch=epoch,
        files=files,
        packages=packages,
        keys=tuple(map(str, content.get("keys", ()))),
        read_digest=digest,
    )


def is_outside(name: str) -> bool:
    """Whether a file's name, meant from a folder, is absolute, climbs out of it, or is not a plain one."""
    parts = name.split("/")
    return name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in parts)
