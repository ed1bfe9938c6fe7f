"""What installs a virtual machine without its firmware: kernel, initrd and arguments, as netboot would give them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rollbuild.cluster import find_primary_interfaces, list_hosts
from rollbuild.errors import RollbuildError
from rollbuild.files import explained, system_path, write_atomically
from rollbuild.frontend.authority import Trusted, check_options, read_trusted, uses_tls
from rollbuild.frontend.netboot import TREE, publish_distributions
from rollbuild.frontend.place import FrontEnd, Installer, choose_distribution
from rollbuild.frontend.record import make_folders
from rollbuild.frontend.serviceurls import kickstart_url
from rollbuild.frontend.site import FRONT_END, read_site
from rollbuild.frontend.snapshot import read_snapshot
from rollbuild.images import append_to_initrd
from rollbuild.media import DirectBoot, direct_boot

_DISTRIBUTION = "distribution"
_OPTIONS = "installer_options"


def make_direct_boot(front_end: FrontEnd, host: str, url_token: str, *, console: str) -> DirectBoot:
    """What installs a host from the distribution that its attributes name, with the Kickstart of a URL token.

    `console` is the device that the installer talks on, as hvc0. Raises RollbuildError where there is no distribution,
    the network is not described, or an argument is none that the installer takes.
    """
    with front_end.database.reading() as c:
        own = [one.name for one in list_hosts(c) if one.appliance == FRONT_END and not one.is_vm]
        snapshot = read_snapshot(c, (host, *own))
    found = next(one for one in snapshot.hosts if one.name == host)
    values = snapshot.values(found)
    site, _ = read_site(snapshot)
    published = publish_distributions(front_end, snapshot)
    installer = front_end.installer(choose_distribution(front_end.store, values.get(_DISTRIBUTION, "")))
    name = installer.generation.distribution
    label = snapshot.boot_actions.get(found.install_action or "install")
    if label is None:
        raise RollbuildError(
            f"{host} installs by a boot action that is not there: {found.install_action}", hint="rocks list bootaction"
        )
    extra = [*values.get(_OPTIONS, "").split(), *label.args.split()]
    trusted = _trust(host, extra) if uses_tls(values) else None
    if not any(word.partition("=")[0] == "console" for word in extra):
        extra.append(f"console={console}")
    primary = find_primary_interfaces(snapshot.interfaces_of(found)).get(host)
    boot = direct_boot(
        installer.generation,
        stage2=installer.url or f"http://{site.web}/{site.folder}/dist/{published.names[name]}",
        kickstart=kickstart_url(values, f"t/{url_token}", server=str(site.server)),
        mac=primary.mac if primary is not None else "",
        extra=tuple(extra),
    )
    kernel, initrd = label.kernel.strip().lstrip("/"), label.ramdisk.strip().lstrip("/")
    if not kernel or ":" in kernel or kernel.split()[0] == "localboot":
        # Those of Rocks for VMs (file:///boot/...) are files of the container that it does not have.
        return boot if trusted is None else replace(boot, initrd=_add_trust(boot.initrd, trusted, installer))
    paths = [system_path(f"{TREE}/{path}") for path in (kernel, initrd)]
    for path in paths:
        if not path.is_file() or ".." in path.parts:
            raise RollbuildError(
                f"boot action {label.label}: {path} is not there",
                hint="put it there, or correct it: rocks add bootaction",
            )
    with_trust = paths[1] if trusted is None else _add_trust(paths[1], trusted, installer)
    return DirectBoot(paths[0], with_trust, boot.arguments)


def _trust(host: str, options: Sequence[str]) -> Trusted:
    try:
        check_options(options)
        return read_trusted()
    except RollbuildError as problem:
        raise RollbuildError(f"{host} cannot be installed: {problem.message}", hint=problem.hint) from None


def _add_trust(initrd: Path, trusted: Trusted, installer: Installer) -> Path:
    """A copy of an initrd with the authorities in it, as hypervisors load one only. It lies with the generation's
    images, and goes with them; of earlier ones the newest stays, which a machine may be starting with."""
    folder = system_path(TREE) / installer.images
    make_folders(folder)
    with explained("cannot read", initrd):
        status = initrd.stat()
    origin = f"{trusted.digest} {initrd} {status.st_size} {status.st_mtime_ns}"
    path = folder / f"initrd-{hashlib.sha256(origin.encode()).hexdigest()[:16]}.img"
    if not path.is_file():
        write_atomically(path, append_to_initrd(initrd, trusted.files))
        with explained("cannot write", path):
            os.chmod(path, 0o644)  # a hypervisor is not always root
    with explained("cannot remove an earlier initrd from", folder):
        others = [(one.stat().st_mtime_ns, one) for one in folder.glob("initrd-*.img") if one != path]
        for _, one in sorted(others)[:-1]:
            one.unlink(missing_ok=True)
    return path


def installed_release(front_end: FrontEnd, host: str) -> str:
    """The release that a host installs, as el9; "" where no distribution says."""
    with front_end.database.reading() as c:
        snapshot = read_snapshot(c, (host,))
    found = next((one for one in snapshot.hosts if one.name == host), None)
    named = snapshot.values(found).get(_DISTRIBUTION, "")
    try:
        return front_end.installer(choose_distribution(front_end.store, named)).boot.release.name
    except RollbuildError:
        return ""
