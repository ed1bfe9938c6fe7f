"""Virtual machines: hosts that live in a slice of a container, with memory and disks."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from rollbuild.cluster import schema
from rollbuild.cluster.database import mark_changed
from rollbuild.cluster.hosts import find_host
from rollbuild.cluster.names import check_number, number_order
from rollbuild.errors import USAGE, RollbuildError

VIRT_TYPES = ("", "para", "pvh", "hvm")
"""How the guest sees its machine; "" leaves it to the container."""

ADDED = "added"
"""The state of a VM of which nothing was ever made on its container."""

DISK_KINDS = ("file", "phy")
MIN_MEMORY = 64
MAX_MEMORY = 16 * 1024 * 1024
MAX_SLICE = 9999
MAX_DISKS = 26
MAX_DISK_GB = 1024 * 1024

_vms = schema.vms
_disks = schema.vm_disks
_DEVICE = re.compile(r"[a-z][a-z0-9]{1,31}")
_MODE = re.compile(r"[a-z][a-z!]{0,15}")
_STATE = re.compile(r"[a-z-]{0,32}")
# In a specification commas and blanks separate; what a hypervisor's own file would quote is left out too.
_PATH = re.compile(r"[A-Za-z0-9_./:@+=-]+")
_SPEC = "it looks like file:/state/partition1/xen/disks/compute-0-0-0.hda,hda,w"


@dataclass(frozen=True, slots=True)
class VmDisk:
    """A disk: a `file` of the container, or a block device (`phy`), `path` from the root folder (phy: from /dev).

    `device` is its name in the guest (hda, xvda, vda), `mode` w or r, or a bus of KVM; `size_gb` in 10^9 bytes.
    """

    kind: str
    path: str
    device: str
    mode: str = "w"
    size_gb: int = 36

    @property
    def spec(self) -> str:
        """`KIND:PATH,DEVICE,MODE`, as `rocks set host vm` takes it and `rocks list host vm` shows it."""
        return f"{self.kind}:{self.path},{self.device},{self.mode}"


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A host that is a VM: `memory` in MiB; `virt_type` one of VIRT_TYPES.

    `state` is a word of its life cycle, "" where nothing is known of it, as after `rocks load`; `saved` is the file of
    the container that has what was in its memory when it was saved.
    """

    host: str
    container: str
    slice: int
    memory: int = 1024
    virt_type: str = ""
    state: str = ""
    disks: tuple[VmDisk, ...] = ()
    saved: str = ""

    @property
    def may_exist(self) -> bool:
        """Whether its container may know it, and have its disks: also where nothing is known of it."""
        return self.state != ADDED


def parse_disk(spec: str, size_gb: int = 36) -> VmDisk:
    """A disk of its specification. Raises RollbuildError, exit code USAGE."""
    parts = spec.split(",")
    kind, colon, path = parts[0].partition(":")
    if len(parts) != 3 or not colon:
        raise RollbuildError(f"{spec!r} is no disk", hint=_SPEC, exit_code=USAGE)
    return check_disk(VmDisk(kind, path, parts[1], parts[2], size_gb))


def check_disk(disk: VmDisk) -> VmDisk:
    """The disk, where a VM can have it. Raises RollbuildError, exit code USAGE."""
    if disk.kind not in DISK_KINDS:
        raise _no_disk(disk, f"its kind is none of {', '.join(DISK_KINDS)}")
    if not _PATH.fullmatch(disk.path) or len(disk.path) > 1024:
        raise _no_disk(disk, "its path has characters other than letters, digits and _./:@+=-")
    if ".." in disk.path.split("/") or disk.path.endswith("/") or disk.path.startswith("-"):
        raise _no_disk(disk, "its path is no plain path")
    if disk.kind == "file" and not disk.path.startswith("/"):
        raise _no_disk(disk, "its path does not begin with /")
    if not _DEVICE.fullmatch(disk.device):
        raise _no_disk(disk, f"{disk.device!r} is no device of a guest, as hda")
    if not _MODE.fullmatch(disk.mode):
        raise _no_disk(disk, f"{disk.mode!r} is no mode, as w")
    check_number(disk.size_gb, "the size of a disk in GB", 0, MAX_DISK_GB)
    return disk


def check_saved(path: str) -> str:
    """The file of a saved VM, where it can be one: absolute, and safe to name. Raises RollbuildError, USAGE."""
    why = ""
    if not path.startswith("/"):
        why = "it does not begin with /"
    elif not _PATH.fullmatch(path) or len(path) > 1024:
        why = "it has characters other than letters, digits and _./:@+=-"
    elif ".." in path.split("/") or "//" in path or path.endswith("/"):
        why = "it is no plain path"
    if why:
        raise RollbuildError(
            f"{path!r} cannot be the file of a saved VM: {why}",
            hint="an absolute path on the container, as /state/partition1/vm/saved/compute-0-0-1",
            exit_code=USAGE,
        )
    return path


def list_vms(c: Connection, hosts: Iterable[str] | None = None) -> tuple[VirtualMachine, ...]:
    """The VMs among some hosts (None: all), in the order of their names, compute-0-0-2 before compute-0-0-10."""
    wanted = None if hosts is None else set(hosts)
    disks: dict[str, list[VmDisk]] = {}
    for row in c.execute(select(_disks).order_by(_disks.c.position)):
        disks.setdefault(row.vm, []).append(VmDisk(row.kind, row.path, row.device, row.mode, row.size_gb))
    vms = [
        VirtualMachine(
            *(row.host, row.container, row.slice, row.memory, row.virt_type, row.state),
            disks=tuple(disks.get(row.host, ())),
            saved=row.saved,
        )
        for row in c.execute(select(_vms))
        if wanted is None or row.host in wanted
    ]
    return tuple(sorted(vms, key=lambda vm: number_order(vm.host)))


def find_vm(c: Connection, host: str) -> VirtualMachine:
    """Raises RollbuildError for a host that is no VM, or is not there."""
    for vm in list_vms(c, (host,)):
        return vm
    find_host(c, host)
    raise RollbuildError(f'host "{host}" is no VM', hint="see what VMs there are: rocks list host vm")


def add_vm(c: Connection, vm: VirtualMachine) -> VirtualMachine:
    """Make a host that is there a VM.

    Raises RollbuildError: USAGE for wrong values; REFUSED where the host is a VM or holds VMs already, the container is
    none that can be, or its slice is taken.
    """
    vm = _checked(c, vm)
    check_memory(vm.memory)
    if vm.host in c.execute(select(_vms.c.host)).scalars().all():
        raise RollbuildError(f'host "{vm.host}" is a VM already', hint=f"change it: rocks set host vm {vm.host}")
    c.execute(insert(_vms).values(_columns(vm)))
    _put_disks(c, vm)
    mark_changed(c, vm.host)
    return vm


def set_vm(c: Connection, host: str, **fields: Any) -> VirtualMachine:
    """Change fields of a VM: container, slice, memory (MiB), virt_type, state, disks, saved. Raises as `add_vm`."""
    former = find_vm(c, host)
    vm = _checked(c, replace(former, **fields))
    if vm == former:
        return vm
    if vm.memory != former.memory:
        check_memory(vm.memory)
    c.execute(update(_vms).where(_vms.c.host == host).values(_columns(vm)))
    if vm.disks != former.disks:
        c.execute(delete(_disks).where(_disks.c.vm == host))
        _put_disks(c, vm)
    if replace(vm, state=former.state, saved=former.saved) != former:
        mark_changed(c, host)
    return vm


def remove_vm(c: Connection, host: str) -> None:
    """The host stays, and is a VM no more. Raises RollbuildError where it is none."""
    find_vm(c, host)
    c.execute(delete(_vms).where(_vms.c.host == host))
    mark_changed(c, host)


def next_slice(c: Connection, container: str, first: int = 0) -> int:
    """The smallest unused slice of a container, counted from `first`."""
    used = set(c.execute(select(_vms.c.slice).where(_vms.c.container == container)).scalars())
    return next(number for number in range(first, first + len(used) + 1) if number not in used)


def _checked(c: Connection, vm: VirtualMachine) -> VirtualMachine:
    check_vm(vm)
    for name in (vm.host, vm.container):
        find_host(c, name)
    for row in c.execute(select(_vms.c.host, _vms.c.container, _vms.c.slice)):
        if row.host == vm.container:
            raise RollbuildError(
                f'host "{vm.container}" is a VM and holds no others', hint=f"its own container is {row.container}"
            )
        if row.container == vm.host:
            raise RollbuildError(f'host "{vm.host}" holds VMs, as {row.host}, and can be none')
        if row.container == vm.container and row.slice == vm.slice and row.host != vm.host:
            raise RollbuildError(
                f'slice {vm.slice} of "{vm.container}" is that of {row.host}',
                hint=f"the next free one is {next_slice(c, vm.container)}",
            )
    return vm


def check_vm(vm: VirtualMachine) -> None:
    """Raises RollbuildError, exit code USAGE, unless there can be such a VM, whatever else there is."""
    if vm.host == vm.container:
        raise RollbuildError(f'host "{vm.host}" cannot be the container of itself', exit_code=USAGE)
    check_number(vm.slice, "the slice", 0, MAX_SLICE)
    if vm.virt_type not in VIRT_TYPES:
        kinds = ", ".join(VIRT_TYPES[1:])
        raise RollbuildError(f"{vm.virt_type!r} is no virt-type", hint=f"there are {kinds}", exit_code=USAGE)
    if not _STATE.fullmatch(vm.state):
        raise RollbuildError(f"{vm.state!r} is no state of a VM", exit_code=USAGE)
    if vm.saved:
        check_saved(vm.saved)
    if len(vm.disks) > MAX_DISKS:
        raise RollbuildError(f"a VM has at most {MAX_DISKS} disks, not {len(vm.disks)}", exit_code=USAGE)
    devices: set[str] = set()
    for disk in vm.disks:
        check_disk(disk)
        if disk.device in devices:
            raise _no_disk(disk, "another disk of the VM is this device")
        devices.add(disk.device)


def check_memory(memory: int) -> int:
    """The memory, in MiB, that a VM can be given: from 64 MiB to 16 TiB. Raises RollbuildError, exit code USAGE."""
    return check_number(memory, "the memory of a VM in MiB", MIN_MEMORY, MAX_MEMORY)


def _put_disks(c: Connection, vm: VirtualMachine) -> None:
    rows = [{"vm": vm.host, "position": number, **asdict(disk)} for number, disk in enumerate(vm.disks)]
    if rows:
        c.execute(insert(_disks), rows)


def _columns(vm: VirtualMachine) -> dict[str, object]:
    return {name: value for name, value in asdict(vm).items() if name != "disks"}


def _no_disk(disk: VmDisk, why: str) -> RollbuildError:
    return RollbuildError(f"{disk.spec!r} is no disk: {why}", hint=_SPEC, exit_code=USAGE)
