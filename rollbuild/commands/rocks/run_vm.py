"""`rocks create|start|stop|pause|resume|save|restore host vm`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Call, Parameter, RocksCommand
from rollbuild.commands.rocks._vms import FORCE, SOME_VMS, confirm, make_workplace, selected, tell_results

if TYPE_CHECKING:
    from rollbuild.vm import Result, Workplace

    Work = Callable[[Workplace, Sequence[tuple[str, str]], Call], Iterator[Result]]


def _create(call: Call) -> int:
    from rollbuild.vm import create, is_installed, read_machine

    found = selected(call)
    is_forced = call.flag("force")
    if not is_forced:
        with call.reading() as connection:
            finished = [name for name, _ in found if is_installed(read_machine(connection, name))]
        if finished:
            shown = ", ".join(finished)
            is_forced = confirm(f"{shown}: installed already; the disk will be overwritten. Install anew?")
    results = create(make_workplace(call), found, is_forced=is_forced, overcommits=call.flag("overcommit"))
    return tell_results(call, results, len(found), "Creating VMs")


def _runner(doing: str, work: "Work") -> Callable[[Call], int]:
    def run(call: Call) -> int:
        found = selected(call)
        return tell_results(call, work(make_workplace(call), found, call), len(found), doing)

    return run


def _start(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import start

    return start(workplace, found, is_forced=call.flag("force"))


def _stop(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import stop

    return stop(workplace, found, call.parameters["action"])


def _pause(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import pause

    return pause(workplace, found)


def _resume(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import resume

    return resume(workplace, found)


def _save(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import save

    return save(workplace, found, call.parameters["file"])


def _restore(workplace: "Workplace", found: Sequence[tuple[str, str]], call: Call) -> "Iterator[Result]":
    from rollbuild.vm import restore

    return restore(workplace, found, call.parameters["file"], is_forced=call.flag("force"))


CREATE = RocksCommand(
    "create host vm",
    _create,
    arguments=(SOME_VMS,),
    parameters=(
        FORCE,
        Parameter(
            "overcommit",
            "Make disks also where not all of them would fit when they are full.",
            kind="boolean",
            default="no",
        ),
    ),
    description="Their containers start the installer, with a Kickstart for each VM. Memory and disk "
    "space are looked at before anything is made. An install ends with the VM off: `rocks start host vm` starts it "
    "from its disk. What is installed already wants a word, force=yes: its disk is overwritten. Several VMs on several "
    "containers are made at the same time, each with its own result; the exit code is the worst.",
    examples=(
        ("rocks create host vm compute-0-0-1", "Install one; `rocks-console compute-0-0-1` shows how."),
        ("rocks create host vm vm-container-0-0", "All VMs of a container."),
        ("rocks create host vm compute-0-0-1 force=yes", "Install it anew."),
    ),
    changes=True,
)
START = RocksCommand(
    "start host vm",
    _runner("Starting VMs", _start),
    arguments=(SOME_VMS,),
    parameters=(FORCE,),
    description="Start VMs from their disks; or, where an install did not come to its end, install them again. "
    "force=yes: whatever the container says of its memory, and without what was saved.",
    examples=(("rocks start host vm compute-0-0-1", ""),),
    changes=True,
)
STOP = RocksCommand(
    "stop host vm",
    _runner("Stopping VMs", _stop),
    arguments=(SOME_VMS,),
    parameters=(
        Parameter(
            "action",
            "poweroff and reset cut the power; shutdown and reboot ask the VM's own system.",
            default="poweroff",
            choices=("poweroff", "shutdown", "reset", "reboot"),
        ),
    ),
    description="Stop VMs. One that is off stays off; one whose container does not answer is an error.",
    examples=(
        ("rocks stop host vm compute-0-0-1", "Cut its power."),
        ("rocks stop host vm compute action=shutdown", "Ask the VMs among the compute hosts to shut down."),
    ),
    changes=True,
)
PAUSE = RocksCommand(
    "pause host vm",
    _runner("Pausing VMs", _pause),
    arguments=(SOME_VMS,),
    description="Let VMs stand still in memory.",
    examples=(("rocks pause host vm compute-0-0-1", ""),),
)
RESUME = RocksCommand(
    "resume host vm",
    _runner("Resuming VMs", _resume),
    arguments=(SOME_VMS,),
    description="Let VMs go on that were paused.",
    examples=(("rocks resume host vm compute-0-0-1", ""),),
)
SAVE = RocksCommand(
    "save host vm",
    _runner("Saving VMs", _save),
    arguments=(SOME_VMS,),
    parameters=(
        Parameter("file", "The file on its container, an absolute path; one VM only.  [beside its disk, NAME.saved]"),
    ),
    description="Write what VMs have in memory into a file on their container, and turn them off. The database "
    "remembers where it is.",
    examples=(
        ("rocks save host vm compute-0-0-1", ""),
        ("rocks save host vm compute-0-0-1 file=/state/partition2/compute-0-0-1", "Where there is more room."),
    ),
)
RESTORE = RocksCommand(
    "restore host vm",
    _runner("Restoring VMs", _restore),
    arguments=(SOME_VMS,),
    parameters=(
        FORCE,
        Parameter("file", "The file, where it is not where it was saved; one VM only.  [as it was saved]"),
    ),
    description="Let VMs go on that were saved; the file is removed, as it fits to their disks only once.",
    examples=(("rocks restore host vm compute-0-0-1", ""),),
)
