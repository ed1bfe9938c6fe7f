"""The rows of a netboot tree's table: hosts of the hosts file, with the arguments of their kernel."""

from collections.abc import Iterable, Sequence

from rollbuild.commands._hosts import HostEntry as FileEntry
from rollbuild.commands._hosts import read_hosts
from rollbuild.commands._report import Report
from rollbuild.commands.netboot._site import Site, Urls
from rollbuild.findings import Finding
from rollbuild.location import Location
from rollbuild.media import (
    BootAction,
    BootHost,
    BootNetwork,
    HostEntry,
    check_arguments,
    check_hosts,
    check_length,
    install_arguments,
)
from rollbuild.releases import Release

_OPTIONS = "installer_options"
# The first is this command's own word; the others are what rolls call the same.
_MAC = ("mac", "ksmac")
_ADDRESS = ("address", "ip", "hostaddr")


def read_rows(
    path: str | None, site: Site, network: BootNetwork, urls: Urls, release: Release, images: str, report: Report
) -> tuple[BootHost, ...]:
    """The table's rows, in the order of the file. Findings on arguments go to `report`.

    Raises FindingsError with all that is wrong in the rows, RollbuildError for a file that cannot be read.
    """
    if path is None:
        return ()
    entries = read_hosts(path)
    options = _Options(site)
    checked = check_hosts((_entry(entry, options) for entry in entries), network)
    hosts = []
    for entry in checked.values():
        action = BootAction(entry.action)
        if action is BootAction.OS:
            hosts.append(BootHost(entry.name, entry.mac, entry.address, action))
            continue
        is_install = action is BootAction.INSTALL
        own = install_arguments(
            release,
            stage2=urls.tree,
            kickstart=_fill(urls.kickstart, entry) if is_install else "",
            mac=entry.mac,
            extra=entry.arguments,
        )
        arguments = own if is_install else (*own, "inst.rescue")
        report.add(_check(release, arguments, entry, options.place_of(entry)))
        kernel, initrd = f"{images}/vmlinuz", f"{images}/initrd.img"
        hosts.append(BootHost(entry.name, entry.mac, entry.address, action, kernel, initrd, arguments))
    return tuple(hosts)


def _fill(url: str, entry: HostEntry) -> str:
    return url.replace("{host}", entry.name).replace("{mac}", entry.mac).replace("{address}", entry.address)


def _entry(entry: FileEntry, options: "_Options") -> HostEntry:
    return HostEntry(
        name=entry.name,
        mac=_first(entry, _MAC),
        address=_first(entry, _ADDRESS).strip(),
        action=entry.attributes.get("boot_action", "").strip() or BootAction.OS,
        location=entry.location,
        arguments=options.of(entry),
    )


def _first(entry: FileEntry, names: Iterable[str]) -> str:
    return next((entry.attributes[name] for name in names if entry.attributes.get(name)), "")


class _Options:
    """Further arguments of the installer's kernel: of the host itself, else as attributes have them for it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._with_own = frozenset(site.attributes.keys_of("host"))
        self._found: dict[tuple[str, str, str], tuple[tuple[str, ...], Location | None]] = {}
        self._places: dict[str, Location | None] = {}

    def of(self, entry: FileEntry) -> tuple[str, ...]:
        if _OPTIONS in entry.attributes and _OPTIONS not in self._site.fixed:
            self._places[entry.name] = entry.location
            return tuple(entry.attributes[_OPTIONS].split())
        host = entry.name if entry.name in self._with_own else ""
        key = (entry.appliance, entry.attributes.get("rack", "0"), host)
        if key not in self._found:
            values = self._site.attributes.resolve(os="linux", appliance=key[0], rack=key[1], host=key[2])
            found = values.get(_OPTIONS)
            self._found[key] = (tuple(found.value.split()), found.location) if found else ((), None)
        words, self._places[entry.name] = self._found[key]
        return words

    def place_of(self, entry: HostEntry) -> Location | None:
        """Where the further arguments of a host were written."""
        return self._places.get(entry.name)


def _check(release: Release, arguments: Sequence[str], entry: HostEntry, place: Location | None) -> Iterable[Finding]:
    extra = set(entry.arguments)
    own = tuple(word for word in arguments if word not in extra)
    # Those of the site are told at their own place: once, however many hosts have them.
    return (
        *check_arguments(release, entry.arguments, place),
        *check_arguments(release, own, entry.location),
        *check_length(arguments, entry.location),
    )
