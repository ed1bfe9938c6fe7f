"""What a virtual machine is to its hypervisor."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID, uuid5

_MACHINES = UUID("5f1d7f0e-3c5b-4d0a-9a53-6f0c2b9e84d7")


class VirtType(StrEnum):
    """How a machine is virtualized: Xen's three ways, and KVM.

    EL 5 to 7 boot as `para`; the kernels of EL 8 and later have drivers for Xen in `hvm` only.
    """

    PARA = "para"
    PVH = "pvh"
    HVM = "hvm"
    KVM = "kvm"


class DomainState(StrEnum):
    """What a hypervisor says of a machine.

    Not said by it: `saved`, of one that is off and whose memory is in a file; `unreachable`, when it cannot be asked.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    NOSTATE = "nostate"
    UNDEFINED = "undefined"
    SAVED = "saved"
    UNREACHABLE = "unreachable"

    @property
    def is_on(self) -> bool:
        """Whether the machine holds memory of its container."""
        return self in (DomainState.ACTIVE, DomainState.PAUSED, DomainState.SHUTDOWN, DomainState.CRASHED)


@dataclass(frozen=True, slots=True)
class GuestDisk:
    """A disk. `path` is an image (`kind` file) or a block device (`phy`) on the container; `size` is in bytes."""

    path: str
    device: str
    size: int
    kind: str = "file"
    is_writable: bool = True


@dataclass(frozen=True, slots=True)
class GuestInterface:
    """A network interface, and the bridge of the container that it is a port of."""

    mac: str
    bridge: str


@dataclass(frozen=True, slots=True)
class Installer:
    """What an install starts with: files of the front end, and the kernel's arguments."""

    kernel: Path
    initrd: Path
    arguments: tuple[str, ...]

    @property
    def command_line(self) -> str:
        return " ".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine as its container is told of it. `memory` is in MiB."""

    name: str
    virt_type: VirtType
    memory: int
    cpus: int
    disks: tuple[GuestDisk, ...]
    interfaces: tuple[GuestInterface, ...]
    arch: str = "x86_64"
    is_emulated: bool = False
    """Without help of the processor: KVM's machines run in QEMU alone, Xen's read the clock themselves."""

    @property
    def uuid(self) -> UUID:
        """The same in each life of the machine, on whichever container: of its name and its first MAC."""
        mac = self.interfaces[0].mac if self.interfaces else ""
        return uuid5(_MACHINES, f"{self.name} {mac}")


@dataclass(frozen=True, slots=True)
class BootPlace:
    """Where kernel and initrd of an install are on the container, and its arguments."""

    kernel: str
    initrd: str
    command_line: str
