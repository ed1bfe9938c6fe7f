"""The menu of an install medium: what it installs, and what starts when nobody chooses."""

from collections.abc import Sequence

from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity, warning
from rollbuild.media.arguments import check_arguments, install_arguments
from rollbuild.media.bootmenu import LOCAL, BootMenu, MenuEntry, install_entries
from rollbuild.media.discsource import DiscSource
from rollbuild.media.kickstarts import DiscKickstart
from rollbuild.media.wanted import WantedDvd

_LONGEST_TITLE = 200


def make_menu(
    source: DiscSource, wanted: WantedDvd, label: str, kickstarts: Sequence[DiscKickstart]
) -> tuple[BootMenu, tuple[Finding, ...]]:
    """The menu of a medium with this volume id, and warnings. Raises RollbuildError for arguments that are wrong."""
    entries = _entries(source, wanted, label, kickstarts)
    findings = dict.fromkeys(
        finding for entry in entries for finding in check_arguments(source.release, entry.arguments, None)
    )
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    default = _default(wanted, entries)
    if default != LOCAL:
        message = f"a machine that starts from this medium installs {wanted.default} after {wanted.timeout} seconds"
        hint = "and again, if the medium stays in it and is the first that it starts from"
        findings[warning("DISC-INSTALLS", message, hint=hint)] = None
    return BootMenu(label, _title(source, wanted), entries, default, wanted.timeout), tuple(findings)


def _title(source: DiscSource, wanted: WantedDvd) -> str:
    info, host = source.info, wanted.host
    what = f"host {host.name}" if host else str(source.generation)
    # isolinux takes what is beyond a line's 4,095th character for another line.
    text = f"rollbuild: {what}, {info.family} {info.version}"[:_LONGEST_TITLE]
    return "".join(" " if char == "'" or not char.isprintable() else char for char in text)


def _entries(
    source: DiscSource, wanted: WantedDvd, label: str, kickstarts: Sequence[DiscKickstart]
) -> tuple[MenuEntry, ...]:
    host, extra = wanted.host, wanted.arguments
    release, medium = source.release, f"hd:LABEL={label}"
    chosen = []
    if host:
        arguments = install_arguments(
            release,
            stage2=host.stage2,
            kickstart=host.kickstart,
            hostname=host.name,
            mac=host.mac,
            network=host.network,
            extra=(*host.arguments, *extra),
        )
        chosen.append((host.name, arguments))
    for kickstart in kickstarts:
        path = f"{medium}:/ks/{kickstart.name}.ks"
        arguments = install_arguments(release, stage2=medium, kickstart=path, is_local=True, extra=extra)
        chosen.append((kickstart.name, arguments))
    rescue: tuple[str, ...] = ()
    if "rescue" in release.boot_options and not host:
        rescue = (*install_arguments(release, stage2=medium, is_local=True, extra=extra), "inst.rescue")
    return install_entries(chosen, rescue, source.kernel, source.initrd, checks=not host)


def _default(wanted: WantedDvd, entries: Sequence[MenuEntry]) -> str:
    if wanted.default == LOCAL:
        return LOCAL
    default = f"install-{wanted.default}"
    if default not in {entry.id for entry in entries}:
        known = [entry.id.removeprefix("install-") for entry in entries if entry.action == "install"]
        hint = f"there is: {LOCAL}, {', '.join(known)}"
        raise RollbuildError(f"the menu has no entry for {wanted.default}", hint=hint, exit_code=USAGE)
    return default
