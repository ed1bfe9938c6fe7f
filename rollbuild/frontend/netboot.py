"""What each host boots from the network: rows of the netboot tree, from boot actions and distributions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.cluster import BootAction as Label
from rollbuild.cluster import Host
from rollbuild.distribution import distribution_names
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited, system_path
from rollbuild.findings import Finding, Severity, warning
from rollbuild.frontend.authority import CODE, Trusted, check_options, read_trusted, uses_tls
from rollbuild.frontend.dhcp import DEFAULT_LOADERS, Reservation
from rollbuild.frontend.place import FrontEnd, Installer, choose_distribution
from rollbuild.frontend.serviceurls import kickstart_url
from rollbuild.frontend.site import FRONT_END, Site, find_front_end
from rollbuild.frontend.snapshot import Snapshot
from rollbuild.media import (
    BootAction,
    BootHost,
    ClusterTree,
    GrubVerbs,
    Loaders,
    check_arguments,
    check_length,
    find_loaders,
    fits_loaders,
    install_arguments,
)

TREE = "/export/install/netboot"
DISTRIBUTIONS = "/export/install/dist"
_DISTRIBUTION = "distribution"
_OPTIONS = "installer_options"
_FILE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*\Z")
_LOADER_LIMIT = 64 * 1024 * 1024
# Where a front end has no distribution any more, the loaders that are in its tree stay.
_LOADER_FILES = (
    *("pxelinux.0", "ldlinux.c32", "grubx64.efi", "mmx64.efi", "grub/i386-pc/core.0"),
    *(f"{folder}/{name}" for folder in ("grub", "EFI/BOOT") for name in ("grubx64.efi", "mmx64.efi")),
    *("grub/shimx64.efi", "EFI/BOOT/BOOTX64.EFI", "ipxe/undionly.kpxe", "ipxe/snponly.efi", "ipxe/ipxe.efi"),
)
_LOADER_FOLDERS = ("/usr/share/syslinux", "/usr/share/ipxe")  # Enterprise Linux: syslinux-nonlinux, ipxe-bootimgs
_SHOWN_HOSTS = 3


@dataclass(frozen=True, slots=True)
class Published:
    """The distributions of the store as hosts find them.

    `leading` is the one that loaders come from: that of the attribute for all, or the only one. `names` is, by
    distribution, its name below /export/install/dist: its release, or its own where another of that release comes
    before it. `problems` are those that cannot install.
    """

    leading: Installer | None
    names: Mapping[str, str]
    problems: tuple[Finding, ...]


def publish_distributions(front_end: FrontEnd, snapshot: Snapshot) -> Published:
    """Which distributions there are, and under which name each is served. Raises RollbuildError, exit code DISK."""
    store = front_end.store
    found: dict[str, Installer] = {}
    problems: list[Finding] = []
    for name in distribution_names(store):
        try:
            found[name] = front_end.installer(choose_distribution(store, name))
        except RollbuildError as problem:
            message = f"hosts cannot install from distribution {name}: {problem.message}"
            problems.append(warning("BOOT-DISTRIBUTION", message, problem.location, problem.hint))
    wanted = snapshot.values(find_front_end(snapshot)).get(_DISTRIBUTION, "")
    leading = found.get(wanted) or (found[min(found)] if found else None)
    names: dict[str, str] = {}
    taken: set[str] = set()
    first = [leading.generation.distribution] if leading is not None else []
    for name in dict.fromkeys((*first, *sorted(found))):
        release = found[name].boot.release.name
        names[name] = name if release in taken else release
        taken.add(release)
    return Published(leading, names, tuple(problems))


@dataclass(frozen=True, slots=True)
class BootTable:
    """Rows of the netboot tree, the generations that they name, and what a person should know.

    `extra` are the images besides kernels and initrds that rows name: path from the tree -> content.
    """

    hosts: tuple[BootHost, ...]
    installers: tuple[Installer, ...]
    findings: tuple[Finding, ...]
    extra: Mapping[str, bytes]


def make_boot_table(
    front_end: FrontEnd, snapshot: Snapshot, site: Site, reservations: Iterable[Reservation], published: Published
) -> BootTable:
    """A row for each MAC address that a host with a Kickstart may boot with, as its boot action says.

    A host that is held starts its local disk, and so does one that cannot boot otherwise: that is told.
    """
    maker = _RowMaker(front_end, snapshot, site, published)
    hosts = {host.name: host for host in snapshot.hosts}
    rows: list[BootHost] = []
    for reservation in reservations:
        host = hosts[reservation.name]
        appliance = snapshot.appliances.get(host.appliance)
        if appliance is None or not appliance.root or host.appliance == FRONT_END:
            continue
        rows += (maker.make(host, mac, reservation.address) for mac in reservation.macs)
    return BootTable(tuple(rows), tuple(maker.installers.values()), maker.findings(), maker.extra)


@dataclass(slots=True)
class _RowMaker:
    front_end: FrontEnd
    snapshot: Snapshot
    site: Site
    published: Published
    installers: dict[str, Installer] = field(default_factory=dict)
    extra: dict[str, bytes] = field(default_factory=dict)
    _trusted: Trusted | None = None
    _chosen: dict[str, Installer | RollbuildError] = field(default_factory=dict)
    _checked: dict[tuple[str, str, tuple[str, ...]], tuple[Finding, ...]] = field(default_factory=dict)
    _problems: dict[tuple[str, str, str, Severity], dict[str, None]] = field(default_factory=dict)
    _values: dict[tuple[str, str, str], Mapping[str, str]] = field(default_factory=dict)
    _with_own: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._with_own = frozenset(self.snapshot.attributes.keys_of("host"))

    def make(self, host: Host, mac: str, address: str) -> BootHost:
        local = BootHost(host.name, mac, address, BootAction.OS)
        word = "os" if host.held else host.boot_action
        label = {"install": host.install_action or "install", "rescue": "rescue"}.get(word, host.run_action or "os")
        row = self.snapshot.boot_actions.get(label)
        if row is None:
            self._tell(host, "BOOT-HOST", f"there is no boot action {label!r}", "rocks list bootaction")
            return local
        if row.kernel.split()[:1] == ["localboot"]:
            return local
        action = BootAction.RUN if word == "os" else BootAction(word)
        if row.kernel.strip():
            return self._own_kernel(host, local, action, row)
        return self._installer_kernel(host, local, action, row)

    def _own_kernel(self, host: Host, local: BootHost, action: BootAction, row: Label) -> BootHost:
        """A kernel that the site put into the tree."""
        arguments = tuple(row.args.split())
        paths = [row.kernel.strip().removeprefix("kernel ").strip().lstrip("/"), row.ramdisk.strip().lstrip("/")]
        for path in paths:
            if path and not _FILE.match(path):
                hint = f"it names a file below {TREE}"
                self._tell(host, "BOOT-HOST", f"boot action {row.label}: {path!r} is no file of the netboot tree", hint)
                return local
            if path and not system_path(f"{TREE}/{path}").is_file():
                message = f"boot action {row.label}: {TREE}/{path} is not there"
                self._tell(host, "BOOT-HOST", message, "put it there; images/ holds what distributions bring")
                return local
        if not self._fit(host, row, arguments):
            return local
        return BootHost(local.name, local.mac, local.address, action, paths[0], paths[1], arguments)

    def _installer_kernel(self, host: Host, local: BootHost, action: BootAction, row: Label) -> BootHost:
        values = self._values_of(host)
        installer = self._installer(values.get(_DISTRIBUTION, ""))
        if isinstance(installer, RollbuildError):
            self._tell(host, "BOOT-DISTRIBUTION", installer.message, installer.hint)
            return local
        extra = (*values.get(_OPTIONS, "").split(), *row.args.split())
        if not self._fit(host, row, extra, installer):
            return local
        trusted: Trusted | None = None
        if action is BootAction.INSTALL and uses_tls(values):
            try:
                trusted = self._trust(extra)
            except RollbuildError as problem:
                self._tell(host, CODE, problem.message, problem.hint)
                return local
        name = installer.generation.distribution
        url = kickstart_url(values, host.name, server=str(self.site.server))
        arguments = install_arguments(
            installer.boot.release,
            stage2=installer.url or f"http://{self.site.web}/{self.site.folder}/dist/{self.published.names[name]}",
            kickstart=url if action is BootAction.INSTALL else "",
            mac=local.mac,
            extra=extra,
        )
        if too_long := check_length(arguments):
            self._tell(host, "BOOT-ARGUMENT", too_long[0].message, too_long[0].hint)
            return local
        self.installers[name] = installer
        paths = (f"{installer.images}/vmlinuz", f"{installer.images}/initrd.img")
        second = ""
        if trusted is not None:
            second = f"{installer.images}/{trusted.name}"
            if second not in self.extra:
                self.extra[second] = trusted.make_image()
        return BootHost(local.name, local.mac, local.address, action, *paths, arguments, second)

    def _trust(self, options: tuple[str, ...]) -> Trusted:
        """What a host's installer trusts. Raises RollbuildError where its Kickstart cannot come over TLS."""
        check_options(options)
        if self._trusted is None:
            self._trusted = read_trusted()
        return self._trusted

    def _values_of(self, host: Host) -> Mapping[str, str]:
        if host.name in self._with_own:
            return self.snapshot.values(host)
        key = (host.os, host.appliance, str(host.rack))
        if (found := self._values.get(key)) is None:
            found = self._values[key] = self.snapshot.values(host)
        return found

    def _installer(self, named: str) -> Installer | RollbuildError:
        if (found := self._chosen.get(named)) is None:
            try:
                found = self.front_end.installer(choose_distribution(self.front_end.store, named))
                if found.boot.arch != "x86_64":
                    found = RollbuildError(f"{found.generation} is for {found.boot.arch}, netboot for x86_64 only")
            except RollbuildError as problem:
                found = problem
            self._chosen[named] = found
        return found

    def _fit(self, host: Host, row: Label, words: tuple[str, ...], installer: Installer | None = None) -> bool:
        """Whether all loaders take these arguments. Whether the installer knows them is only told."""
        key = (row.label, installer.boot.release.name if installer is not None else "", words)
        if (findings := self._checked.get(key)) is None:
            findings = check_arguments(installer.boot.release, words) if installer is not None else ()
            findings += tuple(
                Finding("BOOT-ARGUMENT", Severity.ERROR, f"{word!r} does not reach a kernel from every boot loader")
                for word in words
                if not fits_loaders(word)
            )
            self._checked[key] = findings
        for finding in findings:
            self._tell(host, finding.code, finding.message, finding.hint, finding.severity)
        return not any(finding.severity is Severity.ERROR for finding in findings)

    def _tell(self, host: Host, code: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self._problems.setdefault((code, message, hint, severity), {})[host.name] = None

    def findings(self) -> tuple[Finding, ...]:
        """What was told, once for all hosts that it is about."""
        found = []
        for (code, message, hint, severity), names in self._problems.items():
            shown = ", ".join([*names][:_SHOWN_HOSTS])
            who = f"{shown} and {len(names) - _SHOWN_HOSTS:,} more" if len(names) > _SHOWN_HOSTS else shown
            if severity is Severity.ERROR:
                verb = "starts from its local disk" if len(names) == 1 else "start from their local disks"
                # Nothing else waits for it, and the host is left as it is: so no error of the whole.
                severity, who = Severity.WARNING, f"{who} {verb}"
            found.append(Finding(code, severity, f"{who}: {message}", None, hint))
        return tuple(found)


def make_cluster_tree(
    table: BootTable, site: Site, published: Published
) -> tuple[ClusterTree, Loaders, tuple[Finding, ...]]:
    """The netboot tree's files; what each firmware fetches first; and warnings about loaders that are missing."""
    folder = system_path(TREE)
    leading = published.leading
    files: Mapping[str, bytes]
    if leading is not None:
        packages = [path for path in map(system_path, _LOADER_FOLDERS) if path.is_dir()]
        found = find_loaders(leading.generation.folder, packages)
        files, loaders = found.files, found.loaders
    else:
        paths = {name: folder / name for name in _LOADER_FILES}
        files = {name: read_limited(path, _LOADER_LIMIT) for name, path in paths.items() if path.is_file()}
        loaders = DEFAULT_LOADERS
    is_there = {name: name in files or (folder / name).is_file() for name in ("pxelinux.0", "grub/shimx64.efi")}
    findings = []
    bios = loaders.bios or ("pxelinux.0" if is_there["pxelinux.0"] else "")
    if leading is not None and not bios:
        hint = "dnf install syslinux-nonlinux"
        findings.append(warning("BOOT-LOADER", "BIOS machines cannot boot: there is no loader for them", hint=hint))
    has_uefi = bool(loaders.uefi) or is_there["grub/shimx64.efi"]
    if leading is not None and not has_uefi:
        message = "UEFI machines cannot boot: there is no loader for them"
        hint = f"put shimx64.efi and grubx64.efi into {TREE}/grub"
        findings.append(warning("BOOT-LOADER", message, hint=hint))
    first = Loaders(
        bios=bios,
        uefi=DEFAULT_LOADERS.uefi if has_uefi else "",
        uefi_http=DEFAULT_LOADERS.uefi_http if has_uefi else "",
    )
    images: dict[str, dict[str, Path | bytes]] = {
        installer.images: {"vmlinuz": installer.boot.kernel, "initrd.img": installer.boot.initrd}
        for installer in (*((leading,) if leading is not None else ()), *table.installers)
    }
    for path, content in table.extra.items():
        inside, _, base = path.rpartition("/")
        images[inside][base] = content
    verbs = leading.verbs if leading is not None else GrubVerbs()
    return ClusterTree(folder, table.hosts, site.boot_network, verbs, files, images), first, tuple(findings)


def link_targets(front_end: FrontEnd, published: Published) -> dict[Path, Path]:
    """Links below /export/install/dist and what each leads to: the generation in use of a distribution."""
    return {
        system_path(f"{DISTRIBUTIONS}/{name}"): front_end.store.distributions_folder / distribution / "current"
        for distribution, name in published.names.items()
    }
