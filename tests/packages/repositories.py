"""Small repositories, written by createrepo_c itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbuild.packages.native import load_createrepo

SIGNS = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package; relations are written as in spec files, `name` or `name >= 1.0`."""

    name: str
    version: str = "1.0"
    release: str = "1.el9"
    arch: str = "x86_64"
    epoch: str = "0"
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def relation(text: str) -> tuple[Any, ...]:
    name, sign, evr = (*text.split(), "", "")[:3]
    version, _, release = evr.partition("-")
    return (name, SIGNS.get(sign), "0" if sign else None, version or None, release or None, False)


def write_repository(
    folder: Path,
    packages: Sequence[Rpm],
    *,
    comps: str = "",
    modules: str = "",
    compression: str = "GZ_COMPRESSION",
) -> Path:
    """A folder with the metadata of packages whose files nobody needs."""
    library = load_createrepo()
    folder.mkdir(parents=True, exist_ok=True)
    with library.RepositoryWriter(str(folder), compression=getattr(library, compression)) as writer:
        writer.set_num_of_pkgs(len(packages))
        for number, rpm in enumerate(packages):
            writer.add_pkg(make_record(library, rpm, number))
        for kind, text in (("group", comps), ("modules", modules)):
            if text:
                path = folder / "repodata" / f"{kind}.txt"
                path.write_text(text)
                writer.add_repomd_metadata(kind, str(path))
                path.unlink()
    return folder


def make_record(library: Any, rpm: Rpm, number: int) -> Any:
    record = library.Package()
    record.name, record.version, record.release = rpm.name, rpm.version, rpm.release
    record.epoch, record.arch, record.summary = rpm.epoch, rpm.arch, rpm.name
    record.pkgId, record.checksum_type = f"{number:064x}", "sha256"
    record.location_href = f"{rpm.name}-{rpm.version}-{rpm.release}.{rpm.arch}.rpm"
    itself = (rpm.name, "EQ", rpm.epoch, rpm.version, rpm.release, False)
    record.provides = [itself, *map(relation, rpm.provides)]
    record.requires = [relation(text) for text in rpm.requires]
    record.conflicts = [relation(text) for text in rpm.conflicts]
    record.files = [("", path.rpartition("/")[0] + "/", path.rpartition("/")[2]) for path in rpm.files]
    return record


COMPS = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE comps PUBLIC '-//Red Hat, Inc.//DTD Comps info//EN' 'comps.dtd'>
<comps>
  <group><id>core</id><name xml:lang="de">Kern</name><name>Core</name><packagelist>
    <packagereq type="mandatory">bash</packagereq><packagereq type="default">curl</packagereq>
    <packagereq type="optional">zsh</packagereq><packagereq>not-there</packagereq>
  </packagelist></group>
  <environment><id>minimal-environment</id><name>Minimal Install</name>
    <grouplist><groupid>core</groupid></grouplist><optionlist><groupid>extra</groupid></optionlist>
  </environment>
  <category><id>servers</id><name>Servers</name></category>
</comps>
"""

MODULES = """---
document: modulemd
version: 2
data:
  name: web
  stream: "1"
  artifacts: {rpms: ["web-0:1.0-1.el9.x86_64", "web-tools-0:1.0-1.el9.noarch"]}
---
document: modulemd
version: 2
data:
  name: web
  stream: 2.10
  artifacts: {rpms: ["web-0:2.0-1.el9.x86_64"]}
---
document: modulemd-defaults
version: 1
data: {module: web, profiles: {}}
"""
