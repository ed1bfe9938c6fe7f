"""`rocks add host vm`: VMs in the database, on a container that is named or found."""

from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._vms import make_workplace
from rollbuild.commands.rocks.add_host import read_vlan
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.vm import WantedVm

_CONTAINER = "vm-container"
_ONE_ONLY = ("name", "ip", "slice", "mac")


def _add(call: Call) -> None:
    from rollbuild.vm import add

    wanted = _read_wanted(call)
    containers = _choose_containers(call, wanted)
    release = _find_release(call, wanted.membership)
    lines = []
    with call.writing() as connection:
        for container in containers:
            vm = add(connection, container, wanted, release)
            lines.append(f'Added VM on node "{container}" slice "{vm.slice}" with vm_name "{vm.host}"\n')
    call.write("".join(lines))
    if not call.flag("sync-config"):
        call.has_written = False
        call.console.say("the front end's files do not have it yet: rocks sync config")


def _read_wanted(call: Call) -> "WantedVm":
    from rollbuild.vm import WantedVm

    given = call.parameters
    if not given["membership"]:
        raise RollbuildError(
            "must supply a membership",
            hint='as membership="Compute"; rocks list membership shows them',
            exit_code=USAGE,
        )
    return WantedVm(
        membership=given["membership"],
        name=given["name"],
        slice=call.number("slice") if "slice" in call.given else None,
        address=given["ip"],
        network=given["subnet"],
        memory=call.number("mem"),
        cpus=call.number("cpus"),
        disk_size=call.number("disksize"),
        disk=given["disk"],
        mac=given["mac"],
        macs=call.number("num-macs"),
        vlans=tuple(read_vlan(text.strip()) for text in given["vlan"].split(",")) if given["vlan"] else (),
        virt_type=given["virt-type"],
    )


def _choose_containers(call: Call, wanted: "WantedVm") -> tuple[str, ...]:
    from rollbuild.cluster import find_appliance, list_hosts

    with call.reading() as connection:
        try:
            find_appliance(connection, wanted.membership)
        except RollbuildError as problem:
            if not call.arguments and "membership" in call.given and _is_host(connection, call, wanted.membership):
                hint = f'as: rocks add host vm {wanted.membership} membership="Compute"'
                raise RollbuildError("must supply a membership", hint=hint, exit_code=USAGE) from None
            raise RollbuildError(f'membership "{wanted.membership}" is not valid', hint=problem.hint) from None
        if call.arguments:
            hosts = call.select_hosts(connection)
        elif call.flag("place"):
            hosts = tuple(host.name for host in list_hosts(connection) if host.appliance == _CONTAINER)
        else:
            hint = "name a VM container, or place=yes takes the one with the most free memory"
            raise RollbuildError("must supply at least one host", hint=hint, exit_code=USAGE)
    if call.flag("place"):
        from rollbuild.vm import find_roomiest

        best, problems = find_roomiest(make_workplace(call), hosts, wanted.memory, wanted.cpus)
        for problem_text in problems:
            call.console.say(f"warning: {problem_text}")
        return (best,)
    if len(hosts) > 1:
        for name in _ONE_ONLY:
            if name in call.given:
                raise RollbuildError(f"can't supply the '{name}' parameter with more than one host", exit_code=USAGE)
    return hosts


def _is_host(connection: "Connection", call: Call, word: str) -> bool:
    try:
        return bool(call.select_hosts(connection, (word,)))
    except RollbuildError:
        return False


def _find_release(call: Call, membership: str) -> str:
    """What hosts of a membership install, as far as anything says it before they are there."""
    from rollbuild.cluster import attribute_set, find_appliance
    from rollbuild.frontend import choose_distribution

    front_end = call.front_end
    with call.reading() as connection:
        appliance = find_appliance(connection, membership)
        attributes = attribute_set(connection)
    values = attributes.resolve_texts(os=appliance.os, appliance=appliance.name, rack="", host="")
    try:
        generation = choose_distribution(front_end.store, values.get("distribution", ""))
        return front_end.installer(generation).boot.release.name
    except RollbuildError:
        return ""


VM = RocksCommand(
    "add host vm",
    _add,
    arguments=(
        Argument(
            "host",
            "VM containers, as `rocks list host` selects them: one VM on each. With place=yes the one with the most "
            "room of them, or of all.",
            is_required=False,
            is_repeated=True,
            completes="host",
        ),
        Argument(
            "membership",
            "What the VM is, as Compute.",
            is_required=False,
            is_named=True,
            completes="appliance",
        ),
    ),
    parameters=(
        Parameter("name", "Its name.  [APPLIANCE-RACK-RANK-SLICE, rack and rank those of the container]"),
        Parameter(
            "slice",
            "Its number on the container.  [the first free one, from attribute vm_first_slice on]",
            kind="integer",
        ),
        Parameter("ip", "Its address.  [the highest free one of the network; Hosted VM: none]"),
        Parameter("subnet", "Its network.  [Hosted VM: none]", default="private", completes="network"),
        Parameter("mem", "MiB of memory.", kind="integer", default="1024"),
        Parameter("cpus", "How many processors it has.", kind="integer", default="1"),
        Parameter("disksize", "GB of its disk.", kind="integer", default="36"),
        Parameter(
            "disk",
            "Its disk, file:PATH,DEVICE,MODE or phy:VG/VOLUME,DEVICE,MODE.  [a file in the attribute vm_disk_dir]",
        ),
        Parameter("mac", "MAC of its first interface.  [the next free one of the front end's range]"),
        Parameter(
            "num-macs",
            "How many interfaces it has; those after the first are on no network.",
            kind="integer",
            default="1",
        ),
        Parameter("vlan", "VLANs of the interfaces, with commas between; none for none."),
        Parameter(
            "virt-type",
            "How it is virtualized.  [attribute vm_virt_type; with Xen hvm from el8 on, else para; with KVM hvm]",
            choices=("", "para", "pvh", "hvm"),
        ),
        Parameter(
            "place",
            "Take the container with the most free memory; VMs that are off count as if they ran. As --place.",
            kind="boolean",
            default="no",
        ),
        Parameter("sync-config", "Have DHCP and DNS know it at once.", kind="boolean", default="yes"),
    ),
    description="Add VMs to the database; their containers are not told. `rocks create host vm` installs them.",
    examples=(
        ('rocks add host vm vm-container-0-0 membership="Compute"', "A compute node, with 1,024 MiB."),
        ("rocks add host vm vm-container-0-0 vm-container-0-1 compute mem=4096 disksize=100", "One on each of two."),
        ("rocks add host vm --place membership=Compute mem=8192", "Where there is most room."),
    ),
    changes=True,
)
