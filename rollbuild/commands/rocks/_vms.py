"""What the commands for VMs have in common: which VMs are meant, what works on them, and how results are told."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Argument, Call, Parameter
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rollbuild.cluster import VirtualMachine
    from rollbuild.vm import Installer, Result, VirtType, Workplace

SOME_VMS = Argument(
    "host",
    "VMs: names, addresses, MACs, an appliance, a rack, a pattern (compute-0-0-%, compute-0-0-[0-9]), or a VM "
    "container: all VMs on it. Other hosts that these mean too are passed over.",
    is_repeated=True,
    completes="host",
)
VMS = Argument("host", f"{SOME_VMS.summary} All VMs when none is given.", is_required=False, is_repeated=True)
FORCE = Parameter("force", "Do it all the same; as --force.", kind="boolean", default="no")


def make_workplace(call: Call) -> "Workplace":
    """What the room vm works with: this call's transactions, and installers of this front end's distributions."""
    from rollbuild.vm import Workplace

    # Opened here: the threads share it.
    front_end = call.front_end

    def make_installer(host: str, token: str, virt_type: "VirtType") -> "Installer":
        from rollbuild.frontend import make_direct_boot
        from rollbuild.vm import Installer, VirtType

        console = "hvc0" if virt_type in (VirtType.PARA, VirtType.PVH) else "ttyS0"
        boot = make_direct_boot(front_end, host, token, console=console)
        return Installer(boot.kernel, boot.initrd, boot.arguments)

    def find_release(host: str) -> str:
        from rollbuild.frontend import installed_release

        return installed_release(front_end, host)

    return Workplace(
        reading=call.reading,
        writing=call.writing,
        recording=front_end.database.recording,
        make_installer=make_installer,
        find_release=find_release,
    )


def select_vms(
    call: Call, connection: "Connection", words: Sequence[str] | None = None
) -> "tuple[VirtualMachine, ...]":
    """The VMs that the arguments mean; those on a container where they name one. Raises RollbuildError for none."""
    from rollbuild.cluster import list_vms

    names = set(call.select_hosts(connection, words))
    vms = list_vms(connection)
    is_named = bool(call.arguments if words is None else words)
    containers = {vm.container for vm in vms} & names if is_named else set()
    # A word such as `%` or a rack means all its hosts, and the VMs in it by their own names.
    chosen = tuple(vm for vm in vms if vm.host in names or vm.container in containers)
    if not chosen and is_named:
        said = ", ".join(call.arguments if words is None else words)
        raise RollbuildError(f"{said} means no VM", hint="see what VMs there are: rocks list host vm")
    return chosen


def selected(call: Call) -> list[tuple[str, str]]:
    """(VM, container) of the VMs that the arguments mean."""
    with call.reading() as connection:
        return [(vm.host, vm.container) for vm in select_vms(call, connection)]


def select_one(call: Call) -> tuple[str, str]:
    """The only one. Raises RollbuildError where they are several."""
    found = selected(call)
    if len(found) != 1:
        raise RollbuildError("must supply only one VM host", hint=f"these words mean {len(found)}", exit_code=USAGE)
    return found[0]


def tell_results(call: Call, results: "Iterable[Result]", total: int, doing: str) -> int:
    """Print the lines and errors of results as they come; the worst exit code of all."""
    worst = done = 0
    told: set[str] = set()
    with call.console.progress(total, doing) as advance:
        for result in results:
            call.console.data("".join(f"{line}\n" for line in result.lines))
            for line in result.news:
                call.console.say(line)
            if result.error is None:
                done += 1
            else:
                _tell_error(call.console, result.name, result.error, told, names=total > 1)
                worst = max(worst, result.error.exit_code)
            advance()
    if total > 1 and worst:
        call.console.say(f"{done} of {total} are done")
    return worst


def _tell_error(console: Console, name: str, error: RollbuildError, told: set[str], *, names: bool) -> None:
    message = error.message if name in error.message or not names else f"{name}: {error.message}"
    # What is wrong with a container is explained once, and each of its VMs named.
    hint = "" if error.hint in told else error.hint
    told.add(error.hint)
    if isinstance(error, RollbuildError) and type(error) is RollbuildError:
        error = RollbuildError(message, location=error.location, hint=hint, exit_code=error.exit_code)
    console.print_error(error)


def confirm(question: str) -> bool:
    """Ask on a terminal; False where there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    return sys.stdin.readline().strip().lower() in ("y", "yes")
