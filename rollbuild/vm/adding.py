"""Adding machines to the database, and finding the container with the most room for them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    ADDED,
    Interface,
    VirtualMachine,
    VmDisk,
    add_host,
    add_interface,
    add_vm,
    find_appliance,
    find_host,
    list_hosts,
    list_vms,
    next_address,
    next_mac,
    next_slice,
    number_order,
    parse_disk,
    set_host,
    spell_mac,
)
from rollbuild.errors import UNREACHABLE, USAGE, RollbuildError
from rollbuild.vm.drivers import ContainerSettings
from rollbuild.vm.machines import Workplace, check_own_disks, many_settings
from rollbuild.vm.parallel import MOST_CONTAINERS
from rollbuild.vm.room import xen_memory
from rollbuild.vm.values import DomainState, VirtType

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_MACS = 16
_WITHOUT_ADDRESS = "hosted-vm"


@dataclass(frozen=True, slots=True)
class WantedVm:
    """A VM as it is asked for; "" and None leave it to the rules of names, slices, MACs and addresses.

    `memory` in MiB, `disk_size` in GB; `disk` a specification as `parse_disk` reads; `vlans` one for each interface,
    None for none.
    """

    membership: str
    name: str = ""
    slice: int | None = None
    address: str = ""
    network: str = "private"
    memory: int = 1024
    cpus: int = 1
    disk_size: int = 36
    disk: str = ""
    mac: str = ""
    macs: int = 1
    vlans: tuple[int | None, ...] = ()
    virt_type: str = ""


def add(c: "Connection", container: str, wanted: WantedVm, release: str = "") -> VirtualMachine:
    """Add a VM on a container: host, interfaces and disk. Nothing is asked of the container.

    `release` is what such hosts install, "" where that is not known. Raises RollbuildError.
    """
    settings = many_settings(c, (container,))[container]
    place = find_host(c, container)
    appliance = find_appliance(c, wanted.membership)
    if not 1 <= wanted.macs <= MOST_MACS:
        raise RollbuildError(f"num-macs must be from 1 to {MOST_MACS}, not {wanted.macs}", exit_code=USAGE)
    if len(wanted.vlans) > wanted.macs:
        raise RollbuildError(
            f"{len(wanted.vlans)} VLANs and {wanted.macs} interfaces do not go together",
            hint=f"num-macs={len(wanted.vlans)} gives it as many",
            exit_code=USAGE,
        )
    number, name = _choose_name(c, container, appliance.name, wanted, settings)
    virt_type = settings.choose_virt_type(wanted.virt_type, release)
    # Without a release the choice for Xen waits until it installs.
    is_known = bool(wanted.virt_type or settings.virt_type or release)
    shown = "hvm" if virt_type is VirtType.KVM else str(virt_type) if is_known else ""
    add_host(c, name, appliance=appliance.name, rack=place.rack, rank=place.rank, cpus=wanted.cpus, is_vm=True)
    if appliance.name == _WITHOUT_ADDRESS:
        set_host(c, name, run_action="")
    disk = _disk(name, wanted, settings)
    vm = add_vm(c, VirtualMachine(name, container, number, wanted.memory, shown, ADDED, (disk,)))
    check_own_disks(c, vm)
    _add_interfaces(c, name, wanted, settings, has_address=appliance.name != _WITHOUT_ADDRESS)
    return vm


def _choose_name(
    c: "Connection", container: str, appliance: str, wanted: WantedVm, settings: ContainerSettings
) -> tuple[int, str]:
    place = find_host(c, container)
    if wanted.slice is not None:
        return wanted.slice, wanted.name or f"{appliance}-{place.rack}-{place.rank}-{wanted.slice}"
    number = next_slice(c, container, settings.first_slice)
    taken = {host.name for host in list_hosts(c)}
    used = {vm.slice for vm in list_vms(c) if vm.container == container}
    # Containers of two appliances may have the same rack and rank.
    while number in used or (not wanted.name and f"{appliance}-{place.rack}-{place.rank}-{number}" in taken):
        number += 1
    return number, wanted.name or f"{appliance}-{place.rack}-{place.rank}-{number}"


def _disk(name: str, wanted: WantedVm, settings: ContainerSettings) -> VmDisk:
    device = settings.disk_device
    spec = wanted.disk or f"file:{settings.disk_folder}/{name}.{device},{device},w"
    if len(spec.split()) != 1:
        raise RollbuildError("a VM is added with one disk", hint="rocks set host vm gives it more", exit_code=USAGE)
    disk = parse_disk(spec, wanted.disk_size)
    if disk.kind == "file" and not disk.size_gb:
        raise RollbuildError("a disk of 0 GB holds nothing", hint="disksize=36, as an example", exit_code=USAGE)
    return disk


def _add_interfaces(
    c: "Connection", name: str, wanted: WantedVm, settings: ContainerSettings, *, has_address: bool
) -> None:
    for number in range(wanted.macs):
        vlan = wanted.vlans[number] if number < len(wanted.vlans) else None
        is_first = number == 0
        network = wanted.network if is_first and has_address else ""
        settings.bridge_of(network, vlan)
        address = ""
        if network:
            address = wanted.address or next_address(c, network)
        mac = spell_mac(wanted.mac) if is_first and wanted.mac else next_mac(c)
        add_interface(c, Interface(name, f"eth{number}", mac, address, network, vlan=vlan))


def find_roomiest(
    workplace: Workplace, containers: Sequence[str], memory: int, cpus: int = 1
) -> tuple[str, tuple[str, ...]]:
    """The container with the most memory free, less that of its VMs which are off; and why others were not asked.

    Raises RollbuildError where none has room for a VM of `memory` MiB and so many processors, UNREACHABLE where none
    answers.
    """
    if not containers:
        raise RollbuildError("there is no VM container", hint="insert-ethers --membership='VM Container' inserts one")
    with workplace.reading() as c:
        settings = many_settings(c, containers)
        processors = {host.name: host.cpus for host in list_hosts(c)}
        promised: dict[str, dict[str, int]] = {}
        for vm in list_vms(c):
            if vm.container in settings:
                need = _need(settings[vm.container], vm.memory, processors[vm.host], vm.virt_type)
                promised.setdefault(vm.container, {})[vm.host] = need

    def ask(container: str) -> int | RollbuildError:
        driver = workplace.make_driver(settings[container])
        try:
            states = driver.states()
            free = driver.free_memory()
        except RollbuildError as problem:
            return problem
        return free - _off(promised.get(container, {}), states)

    names = sorted(settings, key=number_order)
    with ThreadPoolExecutor(min(len(names), MOST_CONTAINERS)) as pool:
        answers = dict(zip(names, pool.map(ask, names), strict=True))
    rooms = {name: answer for name, answer in answers.items() if isinstance(answer, int)}
    problems = tuple(answer.message for answer in answers.values() if isinstance(answer, RollbuildError))
    if not rooms:
        first = next(answer for answer in answers.values() if isinstance(answer, RollbuildError))
        raise RollbuildError("no VM container answers: " + "; ".join(problems), hint=first.hint, exit_code=UNREACHABLE)
    # The first of those that have as much.
    best = max(rooms, key=lambda name: rooms[name])
    if rooms[best] < (need := _need(settings[best], memory, cpus)):
        besides = f"; Xen needs {need - memory} MiB more for it" if rooms[best] >= memory else ""
        shown = ", ".join(f"{name} {max(room, 0)} MiB" for name, room in rooms.items())
        raise RollbuildError(
            f"no VM container has {memory} MiB free: {shown}{besides}",
            hint="VMs that are off count too; give it less (mem=), or name a container to add it all the same",
        )
    return best, problems


def _need(settings: ContainerSettings, memory: int, cpus: int, virt_type: str = "") -> int:
    return xen_memory(memory, cpus, virt_type or settings.virt_type) if settings.is_xen else memory


def _off(memory: Mapping[str, int], states: Mapping[str, DomainState]) -> int:
    return sum(amount for name, amount in memory.items() if not states.get(name, DomainState.UNDEFINED).is_on)
