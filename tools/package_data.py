"""Makes tests/data/packages anew from metadata of real repositories.

    .venv/bin/python tools/package_data.py METADATA [EL10-NAMES]

METADATA is a folder with the repositories of CentOS Stream 9 (folders that hold repodata/); EL10-NAMES a list with the
tab-separated columns repository and name. Written are

- el9.tsv, el10.tsv: the names of all packages, groups (@id) and environments (@^id) that users may install. The names
  that the shipped rolls use are looked up in these, so that a new <package> needs no new data;
- centos-stream-9/: an excerpt of the metadata, some 300 packages without what they require, and the groups of a
  minimal install, to read real metadata in tests.
"""

import sys
from pathlib import Path

from lxml import etree

from rollbuild.packages import AvailablePackage, Repository, open_repositories, parse_repository_name
from rollbuild.packages.native import load_createrepo

TARGET = Path(__file__).parents[1] / "tests" / "data" / "packages"
NOT_FOR_USERS = frozenset(("devel",))
KEPT_GROUPS = ("core", "standard", "guest-agents")
KEPT_ENVIRONMENTS = ("minimal-environment",)
EVERY = 40
"""Besides what groups name, each 40th package is kept."""


def main() -> None:
    metadata, *lists = sys.argv[1:]
    with open_repositories([parse_repository_name(metadata)]) as repositories:
        write_names("el9", repositories)
        for repository in repositories:
            write_excerpt(repository, TARGET / "centos-stream-9" / repository.name)
    if lists:
        with open_repositories([parse_repository_name(lists[0])]) as repositories:
            write_names("el10", [one for one in repositories if one.name not in NOT_FOR_USERS])


def write_names(release: str, repositories: "list[Repository] | tuple[Repository, ...]") -> None:
    rows = []
    for one in repositories:
        names = [
            *one.packages,
            *(f"@{name}" for name in one.groups),
            *(f"@^{name}" for name in one.environments),
        ]
        rows += [f"{one.name}\t{name}\n" for name in sorted(names)]
    (TARGET / f"{release}.tsv").write_text("repository\tname\n" + "".join(rows))


def write_excerpt(repository: Repository, folder: Path) -> None:
    members = {
        item.name for name in KEPT_GROUPS if name in repository.groups for item in repository.groups[name].packages
    }
    kept = [
        newest(packages)
        for number, (name, packages) in enumerate(sorted(repository.packages.items()))
        if name in members or number % EVERY == 0
    ]
    createrepo_c = load_createrepo()
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / "repodata").glob("*"):
        old.unlink()
    with createrepo_c.RepositoryWriter(str(folder), compression=createrepo_c.GZ_COMPRESSION) as writer:
        writer.repomd.set_revision("1")
        writer.set_num_of_pkgs(len(kept))
        for package in kept:
            record = package._record
            record.requires = record.recommends = record.suggests = record.changelogs = []
            record.description = ""
            record.time_file = 0
            writer.add_pkg(record)
        comps = folder / "repodata" / "comps.xml"
        comps.write_bytes(groups_of(repository))
        writer.add_repomd_metadata("group", comps, use_compression=False)


def newest(packages: tuple[AvailablePackage, ...]) -> AvailablePackage:
    native = [package for package in packages if package.arch in ("x86_64", "noarch")]
    return max(native or packages, key=lambda package: package.evr)


def groups_of(repository: Repository) -> bytes:
    root = etree.Element("comps")
    for name in KEPT_GROUPS:
        if name in repository.groups:
            element = etree.SubElement(root, "group")
            etree.SubElement(element, "id").text = name
            etree.SubElement(element, "name").text = repository.groups[name].name
            listed = etree.SubElement(element, "packagelist")
            for item in repository.groups[name].packages:
                etree.SubElement(listed, "packagereq", type=item.kind).text = item.name
    for name in KEPT_ENVIRONMENTS:
        if name in repository.environments:
            element = etree.SubElement(root, "environment")
            etree.SubElement(element, "id").text = name
            etree.SubElement(element, "name").text = repository.environments[name].name
            listed = etree.SubElement(element, "grouplist")
            for group in repository.environments[name].groups:
                etree.SubElement(listed, "groupid").text = group
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


if __name__ == "__main__":
    main()
