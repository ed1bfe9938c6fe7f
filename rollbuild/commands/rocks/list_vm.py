"""`rocks list host vm`, `rocks report host vm`, `rocks dump host vm`."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._vms import VMS, make_workplace, select_one, select_vms

if TYPE_CHECKING:
    from rollbuild.cluster import Host, VirtualMachine


def _list(call: Call) -> None:
    from rollbuild.cluster import list_hosts, list_interfaces

    with call.reading() as connection:
        vms = select_vms(call, connection)
        names = [vm.host for vm in vms]
        hosts = {host.name: host for host in list_hosts(connection, names)}
        macs: dict[str, list[str]] = {}
        for interface in list_interfaces(connection, names):
            if interface.mac:
                macs.setdefault(interface.host, []).append(interface.mac)
    headers = ["vm-host", "slice", "mem", "cpus", "mac", "host", "virt-type"]
    states: Mapping[str, object] = {}
    if call.flag("status"):
        from rollbuild.vm import look

        headers.append("status")
        seen = look(make_workplace(call), vms)
        states = seen.states
        for problem in seen.problems.values():
            call.console.say(f"warning: {problem.message}")
    if call.flag("showdisks"):
        headers += ["disk", "disksize"]
    rows = [
        row
        for vm in vms
        for row in _rows(
            vm,
            hosts[vm.host],
            macs.get(vm.host, []),
            (states[vm.host],) if states else (),
            shows_disks=call.flag("showdisks"),
        )
    ]
    call.table(headers, rows, group="vm")


def _rows(
    vm: "VirtualMachine", host: "Host", macs: list[str], status: tuple[object, ...], *, shows_disks: bool
) -> list[tuple[object, ...]]:
    """A row, and further ones for further MACs (they end at the column HOST) and disks."""
    disks = [(disk.spec, disk.size_gb) for disk in vm.disks] if shows_disks else []
    rows: list[tuple[object, ...]] = []
    for number, (mac, disk) in enumerate(zip_longest(macs or [""], disks)):
        if number == 0:
            first = (vm.host, vm.slice, vm.memory, host.cpus, mac, vm.container, vm.virt_type, *status)
            rows.append((*first, *(disk or (("", "") if shows_disks else ()))))
        elif disk:
            rows.append((vm.host, None, None, None, mac, None, None, *(None for _ in status), *disk))
        else:
            rows.append((vm.host, None, None, None, mac, None))
    return rows


def _report(call: Call) -> None:
    from rollbuild.vm import VirtType, domain_document, read_machine, xl_file

    name, _ = select_one(call)
    workplace = make_workplace(call)
    with call.reading() as connection:
        machine = read_machine(connection, name)
    guest = machine.guest(workplace.choose_virt_type(machine))
    if guest.virt_type is VirtType.KVM or call.command.words.endswith("config"):
        call.write(domain_document(guest))
    else:
        call.write(xl_file(guest))


def _dump(call: Call) -> None:
    from rollbuild.cluster import dump_vms

    with call.reading() as connection:
        names = [vm.host for vm in select_vms(call, connection)]
        text = "".join(f"{line}\n" for line in dump_vms(connection, names))
    call.write(text)


_ONE_VM = Argument("host", "The VM.", completes="host")

VM = RocksCommand(
    "list host vm",
    _list,
    arguments=(VMS,),
    parameters=(
        Parameter("status", "Ask the containers how their VMs are.", kind="boolean", default="no"),
        Parameter("showdisks", "Show their disks.", kind="boolean", default="no"),
    ),
    lists=True,
    description="MEM is in MiB, DISKSIZE in GB. STATUS: active, paused, shutdown (it is shutting down), shutoff, "
    "crashed, nostate; undefined: its container does not have it now, as before and after its install; saved: it is "
    "off, and what it had in memory is in a file; unreachable: its container does not answer.",
    examples=(
        ("rocks list host vm", "all VMs"),
        ("rocks list host vm status=yes", "how they are"),
        ("rocks list host vm compute-0-0-1 showdisks=yes", "the disks of one"),
    ),
)
REPORT = RocksCommand(
    "report host vm",
    _report,
    arguments=(_ONE_VM,),
    description="The file as it is on a Xen container in /etc/xen/rocks when the VM starts from its disk; on one with "
    "KVM, which has no such files, the document that libvirt reads.",
    examples=(("rocks report host vm compute-0-0-1", ""),),
)
REPORT_CONFIG = RocksCommand(
    "report host vm config",
    _report,
    arguments=(_ONE_VM,),
    description="The document that the VM starts from its disk with.",
    examples=(("rocks report host vm config compute-0-0-1", ""),),
)
DUMP = RocksCommand(
    "dump host vm",
    _dump,
    arguments=(VMS,),
    description="`rocks dump` writes them too, after those that make the hosts.",
    examples=(("rocks dump host vm", "all VMs"),),
)
