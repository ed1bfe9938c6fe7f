"""What a hypervisor can be asked to do, whichever it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rollbuild.vm.values import BootPlace, DomainState, Guest, GuestDisk, Installer


class Driver(Protocol):
    """One VM container. Every call raises RollbuildError, exit code UNREACHABLE, when it does not answer.

    Each call may be repeated after a crash of the caller: what is there already is left, or brought to the same end.
    """

    def states(self) -> Mapping[str, DomainState]:
        """The machines that the container knows."""

    def free_memory(self) -> int:
        """MiB that a new machine could have."""

    def kept_memory(self) -> int:
        """MiB that the container keeps for itself: dom0's, with Xen."""

    def free_disk(self) -> int:
        """Bytes that are free where disks of files are."""

    def missing_disks(self, disks: Sequence[GuestDisk]) -> tuple[GuestDisk, ...]:
        """Those that are not there."""

    def make_disk(self, disk: GuestDisk) -> None:
        """Make the disk, empty and sparse, where it is not there."""

    def remove_disks(self, disks: Sequence[GuestDisk]) -> None:
        """Remove those that are there."""

    def fetch_disk(self, disk: GuestDisk, to: Path) -> None:
        """Copy it, or a saved state, into a file of this machine, which is sparse as it is."""

    def send_disk(self, disk: GuestDisk, source: Path) -> None:
        """Copy a file of this machine there, in the place of what has that name."""

    def put_installer(self, name: str, installer: Installer) -> BootPlace:
        """Bring kernel and initrd to the container for the machine `name`."""

    def start(self, guest: Guest, install: BootPlace | None = None) -> None:
        """Start the machine: an install, or as it is on its disk. Writes its file where its hypervisor has files."""

    def stop(self, name: str) -> None:
        """Cut its power; a machine that is off stays off."""

    def shut_down(self, name: str) -> None:
        """Ask its system to shut down."""

    def reboot(self, name: str) -> None:
        """Ask its system to boot again."""

    def pause(self, name: str) -> None:
        """Let it stand still in memory."""

    def resume(self, name: str) -> None:
        """Let it go on."""

    def save(self, name: str, path: str) -> None:
        """Write its memory into a file of the container and turn it off."""

    def restore(self, name: str, path: str) -> None:
        """Let it go on from such a file."""

    def is_at_work(self, name: str) -> bool:
        """Whether the container still saves or restores the machine, which is on."""

    def remove(self, name: str, disks: Sequence[GuestDisk] = ()) -> None:
        """Forget the machine, which is off, and remove these disks of it."""

    def console_argv(self, name: str) -> tuple[str, ...]:
        """The program, with arguments, that shows its console in this terminal."""
