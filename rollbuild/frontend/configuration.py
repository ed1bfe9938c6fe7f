"""All configuration of a front end as values, from one generation of its database; and how it differs from files."""

import difflib
import os
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rollbuild.errors import FindingsError
from rollbuild.files import read_limited, system_path
from rollbuild.findings import Finding, warning
from rollbuild.frontend.dhcp import (
    dnsmasq_dhcp,
    dnsmasq_hosts,
    dnsmasq_names,
    dnsmasq_tftp,
    kea_dhcp,
    make_reservations,
)
from rollbuild.frontend.names import hosts_file
from rollbuild.frontend.netboot import (
    link_targets,
    make_boot_table,
    make_cluster_tree,
    publish_distributions,
)
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.site import Site, read_site
from rollbuild.frontend.snapshot import Snapshot, read_snapshot
from rollbuild.media import ClusterTree, differing_files

HOSTS_LOCAL = "/etc/rollbuild/hosts.local"
DHCP_CONF = "/etc/dnsmasq.d/rollbuild-dhcp.conf"
DHCP_HOSTS = "/etc/rollbuild/dhcp-hosts"
KEA_CONF = "/etc/kea/kea-dhcp4.conf"
FILE_LIMIT = 256 * 1024 * 1024
_LOCAL_LIMIT = 16 * 1024 * 1024
_CONTEXT_LINES = 2


class Service(StrEnum):
    """What reads the files, by the names of their units."""

    DNSMASQ = "dnsmasq"
    KEA = "kea-dhcp4"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the running system (`path` begins with `/`); `content` None: it must not be there."""

    path: str
    content: bytes | None
    service: Service

    @property
    def place(self) -> Path:
        return system_path(self.path)

    def found(self) -> bytes | None:
        """What is there now. Raises RollbuildError, exit code DISK."""
        return read_limited(self.place, FILE_LIMIT) if os.path.lexists(self.place) else None


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link and what it leads to, relative where both are below the same prefix."""

    path: Path
    target: str

    @property
    def is_right(self) -> bool:
        return self.path.is_symlink() and os.readlink(self.path) == self.target

    @property
    def may_change(self) -> bool:
        """Whether nothing is there, or a link of ours: folders and other links are somebody's own."""
        if not os.path.lexists(self.path):
            return True
        words = os.readlink(self.path).split("/") if self.path.is_symlink() else []
        return words[-1:] == ["current"] and words[-3:-2] == ["distributions"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Every file, from one generation. `tree` is None where nothing says which network hosts boot on."""

    generation: int
    files: tuple[PlannedFile, ...]
    links: tuple[Link, ...]
    tree: ClusterTree | None
    findings: tuple[Finding, ...]


def plan_configuration(front_end: FrontEnd) -> Configuration:
    """All files as values; nothing is written.

    A database that lacks what all files need gives no files, and findings of severity error. Raises RollbuildError for
    a database or store that cannot be read, and for templates of the site that are wrong.
    """
    with front_end.database.reading() as connection:
        snapshot = read_snapshot(connection)
    try:
        site, findings = read_site(snapshot)
    except FindingsError as problem:
        return Configuration(snapshot.generation, (), (), None, problem.findings)
    return _plan(front_end, snapshot, site, findings)


def _plan(front_end: FrontEnd, snapshot: Snapshot, site: Site, findings: tuple[Finding, ...]) -> Configuration:
    local = system_path(HOSTS_LOCAL)
    text = read_limited(local, _LOCAL_LIMIT) if local.is_file() else b""
    names, wrong_names = hosts_file(snapshot, site, text)
    reservations, wrong_hosts = make_reservations(snapshot, site)
    published = publish_distributions(front_end, snapshot)
    table = make_boot_table(front_end, snapshot, site, reservations, published)
    tree, loaders, missing = make_cluster_tree(table, site, published)
    links = tuple(_link(path, target) for path, target in link_targets(front_end, published).items())
    is_kea = site.dhcp_server == "kea"
    files = [
        PlannedFile("/etc/rollbuild/hosts", names, Service.DNSMASQ),
        PlannedFile("/etc/dnsmasq.d/rollbuild.conf", dnsmasq_names(site), Service.DNSMASQ),
        PlannedFile("/etc/dnsmasq.d/rollbuild-tftp.conf", dnsmasq_tftp(), Service.DNSMASQ),
        # Two servers that answer would fight: the one that is not wanted loses its file.
        PlannedFile(DHCP_HOSTS, None if is_kea else dnsmasq_hosts(reservations), Service.DNSMASQ),
        PlannedFile(DHCP_CONF, None if is_kea else dnsmasq_dhcp(site, loaders), Service.DNSMASQ),
    ]
    if is_kea:
        files.append(PlannedFile(KEA_CONF, kea_dhcp(reservations, site, loaders), Service.KEA))
    foreign = tuple(
        warning(
            "BOOT-DISTRIBUTION",
            f"{link.path} is not the distribution that the store has for it, and hosts install from it",
            hint=f"move it away to have them install from {link.target}",
        )
        for link in links
        if not link.may_change
    )
    # Half of a host's names or addresses is worse than none of the rest: what was left out is told.
    told = (*findings, *wrong_names, *wrong_hosts, *published.problems, *missing, *table.findings, *foreign)
    return Configuration(snapshot.generation, tuple(files), links, tree, told)


def _link(path: Path, target: Path) -> Link:
    root = os.path.abspath(system_path("/"))
    inside = os.path.abspath(target)
    if os.path.commonpath((root, inside)) == root:
        return Link(path, os.path.relpath(inside, os.path.abspath(path.parent)))
    return Link(path, inside)


def read_partly(front_end: FrontEnd, hosts: Collection[str]) -> tuple[Snapshot, Site]:
    """The database with only some of its hosts, and the site's facts. Raises RollbuildError, FindingsError."""
    with front_end.database.reading() as connection:
        snapshot = read_snapshot(connection, hosts)
        try:
            return snapshot, read_site(snapshot)[0]
        except FindingsError:
            # The host of the front end itself may say what attributes do not.
            snapshot = read_snapshot(connection)
            return snapshot, read_site(snapshot)[0]


def diff_configuration(front_end: FrontEnd) -> str:
    """What `apply_configuration` would change, as a unified diff; empty where that is nothing. Nothing is written.

    Files that are no text are told in a line. Raises as `plan_configuration` does.
    """
    plan = plan_configuration(front_end)
    if plan.tree is None:
        raise FindingsError(plan.findings)
    parts: list[str] = []
    for file in plan.files:
        found = file.found()
        if found != file.content:
            parts.append(_diff(file.path, found, file.content))
    for link in plan.links:
        if not link.is_right and link.may_change:
            parts.append(f"Link {link.path} will lead to {link.target}\n")
    for folder, images in plan.tree.images.items():
        if not (plan.tree.folder / folder).is_dir():
            parts.append(f"Folder {plan.tree.folder / folder} will be made, with kernel and initrd\n")
            continue
        missing = [name for name in images if not (plan.tree.folder / folder / name).is_file()]
        parts += (f"File {plan.tree.folder / folder / name} will be made\n" for name in missing)
    for name, found, wanted in differing_files(plan.tree, front_end.menus()):
        parts.append(_diff(f"/export/install/netboot/{name}", found or None, wanted or None))
    return "".join(parts)


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    try:
        one, other = [(content or b"").decode().splitlines(keepends=True) for content in (before, after)]
    except UnicodeDecodeError:
        return f"Binary file {path} will be {'written' if after is not None else 'removed'}\n"
    names = [path if content is not None else os.devnull for content in (before, after)]
    lines = difflib.unified_diff(one, other, names[0], names[1], n=_CONTEXT_LINES)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
