"""`rocks set host vm`: where a VM is, and what it has."""

from dataclasses import replace
from typing import Any

from rollbuild.commands.rocks._changing import ONE_HOST, find_one_host
from rollbuild.commands.rocks._command import Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

_DISK_GB = 36


def _set_vm(call: Call) -> None:
    from rollbuild.cluster import VirtualMachine, add_vm, list_vms, next_slice, set_vm
    from rollbuild.vm import check_own_disks, tell_changes

    given = call.parameters
    news: tuple[str, ...] = ()
    with call.writing() as connection:
        host = find_one_host(call, connection)
        former = next(iter(list_vms(connection, [host])), None)
        fields: dict[str, Any] = {}
        if given["physnode"]:
            fields["container"] = find_one_host(call, connection, [given["physnode"]])
        if "slice" in call.given:
            fields["slice"] = call.number("slice")
        if "mem" in call.given:
            fields["memory"] = call.number("mem")
        if "virt-type" in call.given:
            fields["virt_type"] = given["virt-type"]
        if "disk" in call.given:
            fields["disks"] = _read_disks(given["disk"], given["disksize"])
        elif "disksize" in call.given:
            specs = " ".join(disk.spec for disk in former.disks) if former else ""
            sizes = given["disksize"].split()
            kept = [str(disk.size_gb) for disk in former.disks[len(sizes) :]] if former else []
            fields["disks"] = _read_disks(specs, " ".join([*sizes, *kept]))
        if "saved" in call.given:
            fields["saved"] = given["saved"]
        if former is not None:
            if fields.get("container", former.container) != former.container and former.may_exist:
                hint = f"rocks move host vm {host} {fields['container']} takes its disks along"
                raise RollbuildError(f'"{host}" has its disks on {former.container}', hint=hint)
            if "saved" in fields and former.state:
                hint = f"rocks restore host vm {host} file=PATH, where its file was brought elsewhere"
                raise RollbuildError(f'where "{host}" is saved is known already, or that it is not', hint=hint)
            vm = set_vm(connection, host, **fields)
            if replace(former, memory=vm.memory, slice=vm.slice, virt_type=vm.virt_type) != vm:
                check_own_disks(connection, vm)
            news = tell_changes(connection, former, vm)
        elif "container" not in fields:
            hint = "physnode= names the VM container that it is on"
            raise RollbuildError(f'host "{host}" is no VM yet', hint=hint, exit_code=USAGE)
        else:
            fields.setdefault("slice", next_slice(connection, fields["container"]))
            check_own_disks(connection, add_vm(connection, VirtualMachine(host, **fields)))
    for line in news:
        call.console.say(line)


def _read_disks(specs: str, sizes: str) -> tuple[Any, ...]:
    from rollbuild.cluster import parse_disk

    disks, wanted = specs.split(), sizes.split()
    if len(wanted) > len(disks):
        raise RollbuildError(f"{len(disks)} disks and {len(wanted)} sizes do not go together", exit_code=USAGE)
    if wrong := next((size for size in wanted if not (size.isdecimal() and len(size) < 10)), ""):
        raise RollbuildError(f'"{wrong}" is no size of a disk in GB', exit_code=USAGE)
    numbers = [*map(int, wanted), *[_DISK_GB] * (len(disks) - len(wanted))]
    return tuple(parse_disk(spec, size) for spec, size in zip(disks, numbers, strict=True))


VM = RocksCommand(
    "set host vm",
    _set_vm,
    arguments=(ONE_HOST,),
    parameters=(
        Parameter("physnode", "The VM container that it is on.", completes="host"),
        Parameter("slice", "Its number there.  [the first free one]", kind="integer"),
        Parameter("mem", "MiB of memory.", kind="integer"),
        Parameter("disk", "Its disks, TYPE:PATH,DEVICE,MODE, with blanks between them; they replace those it has."),
        Parameter("disksize", "Their sizes in GB, with blanks between them.  [with disk= 36 each, else as they are]"),
        Parameter("virt-type", "How it is run.", choices=("", "para", "pvh", "hvm")),
        Parameter("saved", "The file on its container that has what was in its memory when it was saved."),
    ),
    description="Change a VM; or make one of a host, with physnode=. Its container is not asked: "
    "what runs has its memory until its next start, and disks that it has no more stay there, which is said.",
    examples=(("rocks set host vm compute-0-0-0 mem=4096", ""),),
    changes=True,
)
