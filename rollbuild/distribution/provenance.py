"""What a generation was made of: distribution.json, an SPDX document, and the list of digests."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from rollbuild import __version__
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location
from rollbuild.rolls import BuiltRoll, RollId

PROVENANCE = "distribution.json"
SBOM = "sbom.spdx.json"
SUMS = "SHA256SUMS"
ATTRIBUTES = "attributes.json"
_FORMAT = 1
_LIMIT = 64 * 1024 * 1024
_LATEST = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class UsedRoll:
    """A roll of a generation; `digest` is that of its roll.json."""

    id: RollId
    digest: str
    priority: int
    packages: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What distribution.json says.

    `repositories`: (name, path from the top, number of packages) of all, those of the OS first. `attributes` are the
    names of those that were given; the digests of their values lie beside the Kickstarts, which are private.
    """

    name: str
    os_name: str
    os_digest: str
    os_release: str
    arch: str
    epoch: int
    rolls: tuple[UsedRoll, ...] = ()
    repositories: tuple[tuple[str, str, int], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    data: str = ""
    appliances: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The bytes of distribution.json; equal for equal inputs."""
        content = {
            "format": _FORMAT,
            "name": self.name,
            "os": {"name": self.os_name, "digest": self.os_digest, "release": self.os_release},
            "arch": self.arch,
            "epoch": self.epoch,
            "rolls": [
                {
                    "name": roll.id.name,
                    "version": roll.id.version,
                    "release": roll.id.release,
                    "arch": roll.id.arch,
                    "digest": roll.digest,
                    "priority": roll.priority,
                    "packages": roll.packages,
                }
                for roll in self.rolls
            ],
            "repositories": [
                {"name": name, "path": path, "packages": count} for name, path, count in self.repositories
            ],
            "options": dict(self.options),
            "attributes": sorted(self.attributes),
            "data": self.data,
            "appliances": sorted(self.appliances),
            "versions": dict(self.versions),
        }
        return to_json(content)


def to_json(content: object) -> bytes:
    """JSON that is the same for equal values."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_provenance(folder: Path) -> Provenance:
    """The distribution.json of a generation's folder. Raises RollbuildError when it is missing or damaged."""
    path = folder / PROVENANCE
    data = read_limited(path, _LIMIT)
    try:
        content = json.loads(data)
        if content["format"] != _FORMAT:
            raise RollbuildError(
                f"this generation has format {content['format']}, this rollbuild knows {_FORMAT}",
                location=Location(str(path)),
                hint="use a newer rollbuild",
            )
        return _from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        what = f"{problem} is missing" if isinstance(problem, KeyError) else " ".join(str(problem).split())
        hint = "make a new generation: rollbuild distro create"
        raise RollbuildError(f"this file is damaged: {what}", location=Location(str(path)), hint=hint) from None


def _from_json(content: Any) -> Provenance:
    rolls = tuple(
        UsedRoll(
            RollId(*(str(item[key]) for key in ("name", "version", "release", "arch"))),
            str(item["digest"]),
            int(item["priority"]),
            int(item["packages"]),
        )
        for item in content["rolls"]
    )
    repositories = tuple(
        (str(item["name"]), _inside(str(item["path"])), int(item["packages"])) for item in content["repositories"]
    )
    return Provenance(
        name=str(content["name"]),
        os_name=str(content["os"]["name"]),
        os_digest=str(content["os"]["digest"]),
        os_release=str(content["os"]["release"]),
        arch=str(content["arch"]),
        epoch=int(content["epoch"]),
        rolls=rolls,
        repositories=repositories,
        options=dict(content["options"]),
        attributes=tuple(map(str, content["attributes"])),
        data=str(content["data"]),
        appliances=tuple(map(str, content["appliances"])),
        versions={str(key): str(value) for key, value in content["versions"].items()},
    )


def _inside(path: str) -> str:
    if path != "." and any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} leads out of the generation")
    return path


def tool_versions() -> Mapping[str, str]:
    """The versions of what wrote the outputs."""
    found = {"rollbuild": __version__}
    for name in ("createrepo_c", "pykickstart"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # installed as a distribution's own package, without Python metadata
            found[name] = "unknown"
    return found


def write_sums(digests: Mapping[str, str]) -> bytes:
    """The text that `sha256sum -c` reads, for paths with their SHA-256; sorted by path.

    A path with a backslash or a line end is written as sha256sum writes it.
    """
    lines = []
    for path, digest in sorted(digests.items()):
        if "\\" not in path and path.isprintable():
            lines.append(f"{digest}  {path}\n")
            continue
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{chr(92) if escaped != path else ''}{digest}  {escaped}\n")
    return "".join(lines).encode(errors="surrogateescape")


def digest_attributes(attributes: Mapping[str, str], secrets: Iterable[str]) -> bytes:
    """attributes.json: the SHA-256 of each value by name, and the secrets that the Kickstarts beside it hold.

    A digest of a password can be tried out, so this is as private as the Kickstarts are. With the secrets, two
    generations can be compared without showing them.
    """
    digests = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in attributes.items()}
    return to_json({"digests": digests, "secrets": sorted(set(secrets))})


def write_sbom(provenance: Provenance, rolls: Iterable[BuiltRoll]) -> bytes:
    """A software bill of materials: SPDX 2.3 as JSON, with each package of the rolls; the OS is one entry."""
    digests = {roll.id: roll.digest for roll in provenance.rolls}
    distribution_id = "SPDXRef-Distribution"
    packages: list[dict[str, object]] = [
        _spdx_package(distribution_id, provenance.name, comment=f"made of {provenance.os_name} and rolls"),
        {
            **_spdx_package("SPDXRef-OS", provenance.os_name, comment=f"OS tree with digest {provenance.os_digest}"),
            "primaryPackagePurpose": "OPERATING-SYSTEM",
        },
    ]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", distribution_id), (distribution_id, "CONTAINS", "SPDXRef-OS")]
    for roll in sorted(rolls, key=lambda roll: roll.id):
        roll_id = f"SPDXRef-Roll-{_spdx_name(str(roll.id))}"
        entry = _spdx_package(roll_id, roll.id.name, version=f"{roll.id.version}-{roll.id.release}")
        entry["comment"] = f"roll with digest {digests[roll.id]}"
        packages.append(entry)
        relations.append((distribution_id, "CONTAINS", roll_id))
        for item in sorted(roll.packages, key=lambda item: item.file):
            if item.arch in ("src", "nosrc"):
                continue
            evr = f"{item.version}-{item.release}"
            own = f"SPDXRef-Package-{item.sha256[:16]}-{_spdx_name(f'{roll.id.name}-{item.name}-{evr}.{item.arch}')}"
            package = _spdx_package(own, item.name, version=evr if item.epoch in ("", "0") else f"{item.epoch}:{evr}")
            package["packageFileName"] = f"rolls/{roll.id.name}/{item.file}"
            package["checksums"] = [{"algorithm": "SHA256", "checksumValue": item.sha256}]
            epoch = "" if item.epoch in ("", "0") else f"&epoch={item.epoch}"
            locator = f"pkg:rpm/{quote(item.name)}@{quote(evr)}?arch={item.arch}{epoch}"
            package["externalRefs"] = [
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}
            ]
            packages.append(package)
            relations.append((roll_id, "CONTAINS", own))
    created = datetime.fromtimestamp(min(max(provenance.epoch, 0), _LATEST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = hashlib.sha256(provenance.to_json()).digest()[:16]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": provenance.name,
        "documentNamespace": f"urn:uuid:{UUID(bytes=identity, version=5)}",
        "creationInfo": {"created": created, "creators": [f"Tool: rollbuild-{__version__}"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    # On one line: with an indent, Python's encoder takes ten times as long, and this has an entry for every package.
    return (json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _spdx_package(own: str, name: str, *, version: str = "", comment: str = "") -> dict[str, object]:
    entry: dict[str, object] = {
        "SPDXID": own,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }
    if version:
        entry["versionInfo"] = version
    if comment:
        entry["comment"] = comment
    return entry


def _spdx_name(text: str) -> str:
    """A text as a part of an SPDX id: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)
