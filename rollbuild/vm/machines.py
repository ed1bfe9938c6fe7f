"""Machines: what the database intends with VMs, together with how their containers are reached."""

import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    INSTALLED,
    Host,
    Interface,
    VirtualMachine,
    VmDisk,
    find_host,
    find_ordered,
    find_vm,
    list_interfaces,
    list_vms,
    resolve_attributes,
    resolve_many,
    set_vm,
)
from rollbuild.errors import BUSY, RollbuildError
from rollbuild.files import locked, system_path
from rollbuild.vm.driver import Driver
from rollbuild.vm.drivers import ContainerSettings, make_driver, read_settings
from rollbuild.vm.values import DomainState, Guest, GuestDisk, GuestInterface, Installer, VirtType

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNKNOWN, INSTALLING, RUNNING, STOPPED, SAVED = "", "installing", "running", "stopped", "saved"
"""What was last intended with a VM, beside ADDED; UNKNOWN after `rocks load`, `rocks import`, `rocks set host vm`."""

_LOCKS = "/run/rollbuild"
_GB = 10**9
_READ_ONLY = re.compile(r"r(?!.*w)")


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM: `vm.state` and `host.boot_action` are what is intended, and what its container says is what is."""

    host: Host
    vm: VirtualMachine
    interfaces: tuple[Interface, ...]
    settings: ContainerSettings
    since: float = 0.0
    """When its install was ordered, in seconds since 1970; 0 for never."""
    is_reported: bool = False
    """Whether it told that its last install came to its end; another may be ordered since."""

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def container(self) -> str:
        return self.vm.container

    @property
    def disks(self) -> tuple[GuestDisk, ...]:
        return tuple(_guest_disk(disk) for disk in self.vm.disks)

    @property
    def saved_state(self) -> GuestDisk:
        """Where its memory is kept while it is saved."""
        return self.state_file(self.vm.saved)

    def state_file(self, path: str = "") -> GuestDisk:
        """Where its memory would be kept; without a path beside its first disk of a file."""
        folder = next(
            (str(PurePosixPath(disk.path).parent) for disk in self.vm.disks if disk.kind == "file"),
            self.settings.disk_folder,
        )
        return GuestDisk(path or f"{folder}/{self.name}.saved", "saved", self.vm.memory << 20)

    @property
    def installs(self) -> bool:
        """Whether it is to install when it starts."""
        return self.host.boot_action == "install"

    @property
    def may_be_installing(self) -> bool:
        """Whether it installs when it is on; of one of which nothing is known this cannot be told."""
        return self.installs and self.vm.state in (INSTALLING, UNKNOWN)

    def guest(self, virt_type: VirtType) -> Guest:
        """The machine as its container is told of it."""
        return Guest(
            name=self.name,
            virt_type=virt_type,
            memory=self.vm.memory,
            cpus=self.host.cpus,
            disks=self.disks,
            interfaces=tuple(
                GuestInterface(one.mac, self.settings.bridge_of(one.network, one.vlan))
                for one in self.interfaces
                if one.mac
            ),
            arch=self.host.arch,
            is_emulated=self.settings.is_emulated,
        )


def _guest_disk(disk: VmDisk) -> GuestDisk:
    # The path of a block device is from /dev on.
    path = disk.path if disk.kind == "file" or disk.path.startswith("/") else f"/dev/{disk.path}"
    return GuestDisk(path, disk.device, disk.size_gb * _GB, disk.kind, not _READ_ONLY.match(disk.mode))


def disks_of_others(c: "Connection", vm: VirtualMachine) -> dict[str, str]:
    """Disk -> another VM, for the disks of a VM that another one of its container has too, and one of them writes."""
    mine = {disk.path: disk for disk in map(_guest_disk, vm.disks)}
    return {
        disk.path: other.host
        for other in list_vms(c)
        if other.host != vm.host and other.container == vm.container
        for disk in map(_guest_disk, other.disks)
        if disk.path in mine and (disk.is_writable or mine[disk.path].is_writable)
    }


def disk_paths(vm: VirtualMachine) -> dict[str, VmDisk]:
    """The disks of a VM by their paths on its container."""
    return {_guest_disk(disk).path: disk for disk in vm.disks}


def files_there(c: "Connection", container: str) -> dict[str, str]:
    """Path -> VM, for the disks and saved states that VMs of a container have by this database."""
    found: dict[str, str] = {}
    for vm in list_vms(c):
        if vm.container == container:
            found.update(dict.fromkeys(disk_paths(vm), vm.host))
            if vm.saved:
                found[vm.saved] = vm.host
    return found


def check_own_disks(c: "Connection", vm: VirtualMachine) -> None:
    """Raises RollbuildError for a disk or saved state that is another VM's: one would overwrite what the other has."""
    if vm.saved and is_used_otherwise(c, vm, vm.saved):
        raise RollbuildError(f"{vm.saved} on {vm.container} is a disk, or of another VM: no saved state of {vm.host}")
    for path, other in disks_of_others(c, vm).items():
        raise RollbuildError(
            f"{path} on {vm.container} is the disk of {other}, and cannot be that of {vm.host} too",
            hint="disk= names another; those that are only read (mode r) may be shared",
        )


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the life of VMs needs from outside: the database's transactions, drivers, and installers.

    `writing` is for what is configuration (audited), `recording` for states of VMs. `make_installer` is given a host,
    the token of its Kickstart's URL and how it is virtualized; `find_release` the release that a host installs, ""
    where that is not known. All of them are called by several threads.
    """

    reading: "Callable[[], AbstractContextManager[Connection]]"
    writing: "Callable[[], AbstractContextManager[Connection]]"
    recording: "Callable[[], AbstractContextManager[Connection]]"
    make_installer: Callable[[str, str, VirtType], Installer]
    find_release: Callable[[str], str] = lambda host: ""
    make_driver: Callable[[ContainerSettings], Driver] = make_driver
    clock: Callable[[], float] = time.time

    def read(self, name: str) -> Machine:
        """The machine as the database has it now. Raises RollbuildError."""
        with self.reading() as c:
            return read_machine(c, name)

    def choose_virt_type(self, machine: Machine) -> VirtType:
        """How it is virtualized. Raises RollbuildError."""
        wanted = machine.vm.virt_type
        known = wanted or machine.settings.virt_type or not machine.settings.is_xen
        return machine.settings.choose_virt_type(wanted, "" if known else self.find_release(machine.name))

    def note(self, machine: Machine, state: str, saved: str = "") -> Machine:
        """Keep what is intended with it, and the file that has what is in its memory while it is saved."""
        if (machine.vm.state, machine.vm.saved) == (state, saved):
            return machine
        with self.recording() as c:
            return replace(machine, vm=set_vm(c, machine.name, state=state, saved=saved))


def read_machine(c: "Connection", name: str) -> Machine:
    """Raises RollbuildError for a host that is no VM, and for attributes of its container that cannot be."""
    vm, install = find_vm(c, name), find_ordered(c, name)
    return Machine(
        find_host(c, name),
        vm,
        list_interfaces(c, (name,)),
        container_settings(c, vm.container),
        install.created if install else 0.0,
        is_reported=install is not None and install.state == INSTALLED,
    )


def container_settings(c: "Connection", container: str) -> ContainerSettings:
    """The settings of a container. Raises RollbuildError."""
    return read_settings(container, {name: value for name, (value, _) in resolve_attributes(c, container).items()})


def many_settings(c: "Connection", containers: Collection[str]) -> dict[str, ContainerSettings]:
    """The same for several at once."""
    return {
        name: read_settings(name, {key: value for key, (value, _) in values.items()})
        for name, values in resolve_many(c, containers)
    }


@contextmanager
def held(name: str) -> Iterator[None]:
    """Keep other commands from the machine meanwhile. Raises RollbuildError, exit code BUSY."""
    folder = system_path(_LOCKS)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / f"vm-{name}.lock", f"working on {name}"):
            yield
    except RollbuildError as problem:
        if problem.exit_code == BUSY and problem.message.endswith(f"working on {name}"):
            raise RollbuildError(
                f"another command works on {name}", hint="try again when it is done", exit_code=BUSY
            ) from None
        raise


def drop_state(workplace: Workplace, driver: Driver, machine: Machine) -> None:
    """Remove its saved state from its container, unless that is a disk, or another one's, by this database."""
    with workplace.reading() as c:
        if is_used_otherwise(c, machine.vm, machine.saved_state.path):
            return
    driver.remove_disks((machine.saved_state,))


def is_used_otherwise(c: "Connection", vm: VirtualMachine, path: str) -> bool:
    """Whether a path on a VM's container is that of a disk, or of another VM's saved state."""
    return any(
        path in disk_paths(other) or (other.host != vm.host and other.saved == path)
        for other in list_vms(c)
        if other.container == vm.container
    )


def settle(workplace: Workplace, driver: Driver, machine: Machine, state: DomainState) -> Machine:
    """Bring a command that was cut off to its end, and learn what was not known, as far as it can be seen.

    A machine that runs has no saved state, whatever is in a file: it would bring back what its disk is not any more.
    """
    # One that is to install stays unknown: that it runs does not tell whether its disk is to be kept.
    is_unknown = machine.vm.state == UNKNOWN and not machine.installs
    if state.is_on and (machine.vm.state == SAVED or is_unknown):
        if driver.is_at_work(machine.name):
            # The command was cut off, and the container goes on with it: the file is in use.
            raise RollbuildError(
                f"{machine.name} is still being saved or restored on {machine.container}",
                hint="try again when that is done: rocks list host vm status=yes",
                exit_code=BUSY,
            )
        drop_state(workplace, driver, machine)
        return workplace.note(machine, RUNNING)
    if is_unknown and not driver.missing_disks((machine.saved_state,)):
        return workplace.note(machine, SAVED, machine.saved_state.path)
    return machine


def show_time(seconds: float) -> str:
    """The time of day here, as 14:02."""
    return time.strftime("%H:%M", time.localtime(seconds))
