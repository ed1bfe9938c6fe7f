"""`rocks set host name|membership|rack|rank|cpus|arch|os|comment`."""

from typing import TYPE_CHECKING, Any

from rollbuild.commands.rocks._changing import NOTHING, ONE_HOST, find_one_host, refuse_second_front_end
from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from rollbuild.cluster import VirtualMachine


def _setter(word: str, summary: str, example: str, *, field: str = "", is_number: bool = False) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import find_host, list_vms, set_host

        text = call.parameters[word]
        if is_number and not (text.isdecimal() and len(text) <= 9):
            raise RollbuildError(f'{word} must be a number, not "{text}"', exit_code=USAGE)
        value: Any = int(text) if is_number else "" if text == NOTHING else text
        news: list[str] = []
        with call.writing() as connection:
            hosts = call.select_hosts(connection)
            for vm in list_vms(connection, hosts) if word == "cpus" else ():
                news += _tell_processors(vm, find_host(connection, vm.host).cpus, value)
            for host in hosts:
                set_host(connection, host, **{field or word: value})
            if field == "appliance":
                refuse_second_front_end(call, connection)
        for line in news:
            call.console.say(line)

    return RocksCommand(
        f"set host {word}",
        run,
        arguments=(SOME_HOSTS, Argument(word, summary, is_named=True)),
        description=f"Set the {word} of hosts.",
        examples=((f"rocks set host {word} {example}", ""),),
        changes=True,
    )


def _tell_processors(vm: "VirtualMachine", former: int, cpus: int) -> tuple[str, ...]:
    from rollbuild.vm import tell_next_start

    return tell_next_start(vm, f"{former} processor{'s' * (former != 1)}") if cpus != former else ()


def _rename(call: Call) -> None:
    from rollbuild.cluster import set_host

    with call.writing() as connection:
        set_host(connection, find_one_host(call, connection), name=call.parameters["name"])


NAME = RocksCommand(
    "set host name",
    _rename,
    arguments=(ONE_HOST, Argument("name", "The new name, without its domain.", is_named=True)),
    description="Give a host another name. Its interfaces, attributes and VMs stay its own.",
    examples=(("rocks set host name compute-0-3 compute-1-0", ""),),
    changes=True,
)
MEMBERSHIP = _setter("membership", "The membership or appliance.", "compute-0-3 Login", field="appliance")
RACK = _setter("rack", "The number of the rack.", "compute-0-3 1", is_number=True)
RANK = _setter("rank", "The place in the rack.", "compute-0-3 4", is_number=True)
CPUS = _setter("cpus", "How many processors it has.", "compute 16", is_number=True)
ARCH = _setter("arch", "The architecture.", "compute-0-3 x86_64")
OS = _setter("os", "The operating system.", "compute-0-3 linux")
COMMENT = _setter("comment", "A remark, for people.", '"compute-0-3" "waits for a new disk"')
