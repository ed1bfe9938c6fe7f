"""Which packages the Kickstarts of a medium need: those they name, those the installer adds, and what these require."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import MISSING_PROGRAM, RollbuildError
from rollbuild.media.discsource import DiscSource
from rollbuild.media.kickstarts import DiscKickstart
from rollbuild.packages import (
    EXCLUDE,
    INSTALL,
    PREFER,
    Catalogue,
    RepositoryName,
    Resolver,
    Wanted,
    has_solver,
    open_repositories,
)

INSTALLER_ADDS = (
    *("kernel", "grubby", "efibootmgr", "shim-x64", "grub2-efi-x64", "grub2-efi-x64-modules", "grub2-pc"),
    *("grub2-pc-modules", "grub2-tools", "grub2-tools-extra", "grub2-common", "dracut-config-generic"),
    *("xfsprogs", "e2fsprogs", "dosfstools", "lvm2", "mdadm", "cryptsetup", "device-mapper-multipath"),
    *("NetworkManager", "chrony", "firewalld", "authselect", "glibc-langpack-en", "langpacks-en"),
    *("iscsi-initiator-utils", "fcoe-utils", "open-vm-tools", "qemu-guest-agent", "hyperv-daemons"),
)
"""What Anaconda asks for beyond %packages, by the machine and the Kickstart: kernel, boot loaders, tools of file
systems, services of `timezone`, `firewall` and `authselect`. Those that a release does not have are passed over."""

_LINE = re.compile(r"(-?)(@\^|@)?\s*(.+)\Z")


@dataclass(frozen=True, slots=True)
class PackageLines:
    """%packages of a Kickstart: its lines without comments, and its options."""

    lines: tuple[str, ...]
    options: frozenset[str]
    modules: Mapping[str, str]


def read_package_lines(kickstart: DiscKickstart) -> PackageLines:
    """%packages of a Kickstart, and the module streams that it enables."""
    lines, options, modules = [], frozenset[str](), {}
    section = ""
    for raw in kickstart.content.decode("utf-8", "replace").splitlines():
        line = raw.split("#", 1)[0].strip()
        words = line.split()
        if line.startswith("%"):
            section = "" if words[0] in ("%end", "%include", "%ksappend") else words[0]
            if section == "%packages":
                options |= frozenset(words[1:])
        elif section == "%packages" and line:
            lines.append(line)
        elif not section and words[:1] == ["module"]:
            given = dict(re.findall(r"--(name|stream)[= ](\S+)", line))
            modules[given.get("name", "")] = given.get("stream", "")
    return PackageLines(tuple(lines), options, modules)


def find_needed(source: DiscSource, kickstarts: Sequence[DiscKickstart]) -> frozenset[str]:
    """The packages, as paths of the generation, that installing these Kickstarts takes, each for itself.

    Packages that are only recommended are not among them. Raises RollbuildError for what cannot be installed, and
    without libsolv.
    """
    if not has_solver():
        raise RollbuildError(
            "which packages are needed cannot be found out: libsolv is missing",
            hint="pip install 'rollbuild[resolve]', or the package python3-solv; --scope full does without",
            exit_code=MISSING_PROGRAM,
        )
    paths = {one.uid: one.path for one in source.repositories}
    names = [RepositoryName(str(source.folder / path), uid) for uid, path in paths.items()]
    chosen: set[str] = set()
    with open_repositories(names) as repositories:
        for kickstart in kickstarts:
            asked = read_package_lines(kickstart)
            catalogue = Catalogue(repositories, source.provenance.arch, {**asked.modules, **_streams(asked.lines)})
            resolver = Resolver(repositories, source.provenance.arch, tuple(catalogue.hidden))
            wanted = tuple(_wanted(asked, catalogue))
            closure = resolver.find_closure(wanted)
            if closure.problems:
                shown = "; ".join(problem.message for problem in closure.problems[:3])
                more = f" and {len(closure.problems) - 3} more" if len(closure.problems) > 3 else ""
                raise RollbuildError(
                    f"the packages of {kickstart.name} do not resolve: {shown}{more}",
                    hint=f"rollbuild check {kickstart.name} --repo {source.folder} says where they are asked for",
                )
            for choice in closure.packages:
                chosen.add(_path_of(paths[choice.repository.name], choice.package.href))
    return frozenset(chosen)


def _path_of(repository: str, href: str) -> str:
    return str(Path(repository, href))


def _streams(lines: Iterable[str]) -> dict[str, str]:
    found = (re.match(r"@([^:/\s^]+):([^/\s]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _wanted(asked: PackageLines, catalogue: Catalogue) -> Iterator[Wanted]:
    is_lenient = "--ignoremissing" in asked.options
    parsed = [match.groups() for line in asked.lines if (match := _LINE.match(line))]
    left_out = {name.split()[0] for minus, sign, name in parsed if minus and sign}
    lines = list(parsed)
    if "--nocore" not in asked.options:
        lines.append(("", "@", "core"))
    for minus, sign, text in lines:
        name, *options = text.split()
        if not sign:
            if minus:
                yield Wanted(name, EXCLUDE)
            elif catalogue.find(name).packages or not is_lenient:
                yield Wanted(name)
        elif not minus and ":" not in name:
            yield from _members(sign + name, frozenset(options), catalogue, left_out)
    for name in INSTALLER_ADDS:
        if catalogue.find(name).packages:
            yield Wanted(name, PREFER)


def _members(name: str, options: frozenset[str], catalogue: Catalogue, left_out: set[str]) -> Iterator[Wanted]:
    kinds = {"mandatory"} if "--nodefaults" in options else {"mandatory", "default"}
    kinds |= {"optional"} if "--optional" in options else set()
    groups = list(catalogue.find_group(name[1:])) if not name.startswith("@^") else []
    if not groups:
        ids = [one for environment in catalogue.find_environment(name.lstrip("@^")) for one in environment.groups]
        groups = [group for one in ids for group in catalogue.find_group(one)]
    for group in groups:
        for package in group.packages if group.id not in left_out else ():
            if package.kind in kinds and catalogue.find(package.name).packages:
                yield Wanted(package.name, INSTALL if package.kind == "mandatory" else PREFER)
