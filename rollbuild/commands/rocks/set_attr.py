"""`rocks add|set|remove attr`, and the same for an os, appliance, rack or host."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, RocksCommand

if TYPE_CHECKING:
    from sqlalchemy import Connection

_Change = Callable[["Connection", str, str, Call], object]

_KEYS = {
    "os": Argument("os", "An operating system, as linux."),
    "appliance": Argument("appliance", "An appliance.", completes="appliance"),
    "rack": Argument("rack", "The number of a rack."),
    "host": SOME_HOSTS,
}
_ATTR = Argument("attr", "The attribute's name.", is_named=True)
_VALUE = Argument("value", "Its value; `value=` before one with an = in it.", is_named=True)


def _command(verb: str, scope: str, change: _Change, description: str, value: str = "") -> RocksCommand:
    def run(call: Call) -> None:
        with call.writing() as connection:
            for key in _keys(call, connection, scope):
                change(connection, scope, key, call)

    words = " ".join([verb, *([scope] if scope != "global" else []), "attr"])
    key = {"global": "", "os": "linux ", "appliance": "compute ", "rack": "0 ", "host": "compute-0-0 "}[scope]
    whose = {"global": "all hosts", "os": "the hosts of an OS", "rack": "the hosts of a rack"}.get(scope, f"{scope}s")
    return RocksCommand(
        words,
        run,
        arguments=(
            *((_KEYS[scope],) if scope in _KEYS else ()),
            _ATTR,
            *((_VALUE,) if value else ()),
        ),
        description=f"{description} of {whose}.",
        examples=((f"rocks {words} {key}Kickstart_Timezone {value}".rstrip(), ""),),
        changes=True,
    )


def _keys(call: Call, connection: "Connection", scope: str) -> tuple[str, ...]:
    if scope == "host":
        return call.select_hosts(connection)
    if scope == "appliance":
        from rollbuild.cluster import find_appliance

        return (find_appliance(connection, call.argument).name,)
    return (call.argument,)


def _set(connection: "Connection", scope: str, key: str, call: Call) -> None:
    from rollbuild.cluster import set_attribute

    set_attribute(connection, scope, key, call.parameters["attr"], call.parameters["value"])


def _add(connection: "Connection", scope: str, key: str, call: Call) -> None:
    from rollbuild.cluster import add_attribute

    add_attribute(connection, scope, key, call.parameters["attr"], call.parameters["value"])


def _remove(connection: "Connection", scope: str, key: str, call: Call) -> None:
    from rollbuild.cluster import remove_attribute

    remove_attribute(connection, scope, key, call.parameters["attr"])


def _three(scope: str) -> tuple[RocksCommand, RocksCommand, RocksCommand]:
    return (
        _command("add", scope, _add, "Add an attribute that is not set yet", "Europe/Berlin"),
        _command("set", scope, _set, "Set an attribute", "Europe/Berlin"),
        _command("remove", scope, _remove, "Forget an attribute"),
    )


ADD, SET, REMOVE = _three("global")
ADD_OS, SET_OS, REMOVE_OS = _three("os")
ADD_APPLIANCE, SET_APPLIANCE, REMOVE_APPLIANCE = _three("appliance")
ADD_RACK, SET_RACK, REMOVE_RACK = _three("rack")
ADD_HOST, SET_HOST, REMOVE_HOST = _three("host")
