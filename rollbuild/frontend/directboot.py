"""What installs a virtual machine without its firmware: kernel, initrd and arguments, as netboot would give them."""

from rollbuild.cluster import find_primary_interfaces, list_hosts
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.frontend.netboot import TREE, publish_distributions
from rollbuild.frontend.place import FrontEnd, choose_distribution
from rollbuild.frontend.site import FRONT_END, read_site
from rollbuild.frontend.snapshot import read_snapshot
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
    if not any(word.partition("=")[0] == "console" for word in extra):
        extra.append(f"console={console}")
    primary = find_primary_interfaces(snapshot.interfaces_of(found)).get(host)
    boot = direct_boot(
        installer.generation,
        stage2=installer.url or f"http://{site.web}/{site.folder}/dist/{published.names[name]}",
        kickstart=f"http://{site.server}/ks/t/{url_token}",
        mac=primary.mac if primary is not None else "",
        extra=tuple(extra),
    )
    kernel, initrd = label.kernel.strip().lstrip("/"), label.ramdisk.strip().lstrip("/")
    if not kernel or ":" in kernel or kernel.split()[0] == "localboot":
        # Those of Rocks for VMs (file:///boot/...) are files of the container that it does not have.
        return boot
    paths = [system_path(f"{TREE}/{path}") for path in (kernel, initrd)]
    for path in paths:
        if not path.is_file() or ".." in path.parts:
            raise RollbuildError(
                f"boot action {label.label}: {path} is not there",
                hint="put it there, or correct it: rocks add bootaction",
            )
    return DirectBoot(paths[0], paths[1], boot.arguments)


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
