"""What the installer of a generation boots with: its kernel and initrd, and all three values for a virtual machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollbuild.distribution import Generation, read_provenance, read_treeinfo
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Severity
from rollbuild.location import Location
from rollbuild.media.arguments import StaticNetwork, check_arguments, install_arguments
from rollbuild.releases import Release, load_release


@dataclass(frozen=True, slots=True)
class BootFiles:
    """Kernel and initrd of the installer in a generation's tree, and which release and architecture they are of."""

    release: Release
    arch: str
    kernel: Path
    initrd: Path


@dataclass(frozen=True, slots=True)
class DirectBoot:
    """What a hypervisor starts a machine with, without firmware or boot loader."""

    kernel: Path
    initrd: Path
    arguments: tuple[str, ...]


def find_boot_files(generation: Generation) -> BootFiles:
    """The installer's kernel and initrd, as the tree's .treeinfo names them.

    Raises RollbuildError when it names none, or they are not there.
    """
    provenance = read_provenance(generation.folder)
    images = read_treeinfo(generation.folder / ".treeinfo").images.get(provenance.arch, {})
    found = []
    for what in ("kernel", "initrd"):
        path = generation.folder / images[what] if what in images else None
        if path is None or not path.is_file() or not path.stat().st_size:
            place = Location(os.fspath(path if path is not None else generation.folder / ".treeinfo"))
            raise RollbuildError(
                f"{generation} has no {what} of the installer for {provenance.arch}",
                location=place,
                hint="import an install DVD, or the tree of a mirror that has images/pxeboot, and make a generation",
            )
        found.append(path)
    return BootFiles(load_release(provenance.os_release), provenance.arch, *found)


def direct_boot(
    generation: Generation,
    *,
    stage2: str,
    kickstart: str = "",
    hostname: str = "",
    mac: str = "",
    network: StaticNetwork | None = None,
    extra: Sequence[str] = (),
) -> DirectBoot:
    """Kernel, initrd and arguments that install a virtual machine from a generation; see `install_arguments`.

    Raises RollbuildError without kernel or initrd, FindingsError for arguments that the release's installer does not
    take.
    """
    files = find_boot_files(generation)
    arguments = install_arguments(
        files.release,
        stage2=stage2,
        kickstart=kickstart,
        hostname=hostname,
        mac=mac,
        network=network,
        extra=extra,
    )
    findings = check_arguments(files.release, arguments)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise FindingsError(findings)
    return DirectBoot(files.kernel, files.initrd, arguments)
