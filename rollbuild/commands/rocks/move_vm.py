"""`rocks move host vm`: to another container."""

from rollbuild.commands.rocks._changing import find_one_host
from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._vms import FORCE, make_workplace, select_one, tell_results


def _move(call: Call) -> int:
    from rollbuild.vm import move

    found, file = select_one(call), call.parameters["file"]
    with call.reading() as connection:
        to = find_one_host(call, connection, [call.parameters["container"]])
    results = move(
        make_workplace(call), found, to, file, overcommits=call.flag("overcommit"), is_forced=call.flag("force")
    )
    return tell_results(call, results, 1, "Moving a VM")


MOVE = RocksCommand(
    "move host vm",
    _move,
    arguments=(
        Argument("host", "The VM.", completes="host"),
        Argument("container", "The VM container that it goes to.", is_named=True, completes="host"),
    ),
    parameters=(
        FORCE,
        Parameter(
            "file", "Where what it has in memory is saved, an absolute path on both containers.  [beside its disks]"
        ),
        Parameter("overcommit", "Also where its disks would not fit when they are full.", kind="boolean", default="no"),
    ),
    description="Move a VM to another container. One that runs is saved, and goes on there. Its disks are copied "
    "through the front end, which needs room for one of them in /var/lib/rollbuild; they are removed from the old "
    "container when all is there.",
    examples=(("rocks move host vm compute-0-0-1 vm-container-0-1", ""),),
    changes=True,
)
