"""`rocks remove host vm`, and VMs among the hosts of `rocks remove host`."""

from rollbuild.commands.rocks._command import Call, Parameter, RocksCommand
from rollbuild.commands.rocks._vms import FORCE, SOME_VMS, make_workplace, selected, tell_results

REMOVING = (
    FORCE,
    Parameter("purge", "Remove the disks of VMs too.", kind="boolean", default="no"),
    Parameter(
        "lost",
        "A VM container that does not answer is gone for good; its VMs are forgotten.",
        kind="boolean",
        default="no",
    ),
)
"""What is said of VMs that are removed."""


def _remove(call: Call) -> int:
    return remove_vms(call, selected(call))


def remove_vms(call: Call, found: list[tuple[str, str]]) -> int:
    """Remove VMs, given as (name, container); the exit code."""
    from rollbuild.vm import remove

    results = remove(
        make_workplace(call),
        found,
        is_forced=call.flag("force"),
        purges=call.flag("purge"),
        is_lost=call.flag("lost"),
    )
    return tell_results(call, results, len(found), "Removing VMs")


VM = RocksCommand(
    "remove host vm",
    _remove,
    arguments=(SOME_VMS,),
    parameters=REMOVING,
    description="Remove VMs, with their hosts, from their containers and from the database. One that runs stays, "
    "unless force=yes cuts its power. Disks stay on the container, unless purge=yes. Their MACs are not given to other "
    "VMs for a day.",
    examples=(
        ("rocks remove host vm compute-0-0-1", "It must be off; its disk stays."),
        ("rocks remove host vm vm-container-0-0 force=yes purge=yes", "All VMs of a container, whatever they do."),
    ),
    changes=True,
)
