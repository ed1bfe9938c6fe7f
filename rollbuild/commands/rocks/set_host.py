"""`rocks set host name|membership|rack|rank|cpus|arch|os|comment`."""

from typing import Any

from rollbuild.commands.rocks._changing import NOTHING, ONE_HOST, find_one_host, refuse_second_front_end
from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, RocksCommand
from rollbuild.errors import USAGE, RollbuildError


def _setter(word: str, summary: str, example: str, *, field: str = "", is_number: bool = False) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import set_host

        text = call.parameters[word]
        if is_number and not (text.isdecimal() and len(text) <= 9):
            raise RollbuildError(f'{word} must be a number, not "{text}"', exit_code=USAGE)
        value: Any = int(text) if is_number else "" if text == NOTHING else text
        with call.writing() as connection:
            for host in call.select_hosts(connection):
                set_host(connection, host, **{field or word: value})
            if field == "appliance":
                refuse_second_front_end(call, connection)

    return RocksCommand(
        f"set host {word}",
        run,
        arguments=(SOME_HOSTS, Argument(word, summary, is_named=True)),
        description=f"Set the {word} of hosts.",
        examples=((f"rocks set host {word} {example}", ""),),
        changes=True,
    )


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
