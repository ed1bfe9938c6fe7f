"""`rocks add|remove route`, and the same for an os, appliance, rack or host."""

import ipaddress
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEYS = {
    "os": Argument("os", "An operating system, as linux."),
    "appliance": Argument("appliance", "An appliance.", completes="appliance"),
    "rack": Argument("rack", "The number of a rack."),
    "host": SOME_HOSTS,
}
_ADDRESS = Argument("address", "Where it leads to: an address, also with bits: 10.2.0.0/16.", is_named=True)
_NETMASK = Parameter("netmask", "The mask of the address.  [255.255.255.255]")


def _add(scope: str) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import Route, add_route

        with call.writing() as connection:
            to = _destination(call)
            gateway, network = _way(connection, call.parameters["gateway"])
            for key in _keys(call, connection, scope):
                add_route(connection, Route(scope, key, to, gateway, network))

    gateway = Argument("gateway", "The address of the next machine, or the name of a network.", is_named=True)
    return RocksCommand(
        _words("add", scope),
        run,
        arguments=(*_scoped(scope), _ADDRESS, gateway),
        parameters=(_NETMASK,),
        description="Add a route, through a gateway or out to a network.",
        examples=((f"rocks {_words('add', scope)} {_EXAMPLES[scope]}10.2.0.0 10.1.1.1 netmask=255.255.0.0", ""),),
        changes=True,
    )


def _remove(scope: str) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import check_scope, remove_route

        with call.writing() as connection:
            to = _destination(call)
            for key in _keys(call, connection, scope):
                remove_route(connection, scope, check_scope(connection, scope, key), to)

    return RocksCommand(
        _words("remove", scope),
        run,
        arguments=(*_scoped(scope), _ADDRESS),
        parameters=(_NETMASK,),
        description="Remove a route.",
        examples=((f"rocks {_words('remove', scope)} {_EXAMPLES[scope]}10.2.0.0/16", ""),),
        changes=True,
    )


_EXAMPLES = {"global": "", "os": "linux ", "appliance": "login ", "rack": "0 ", "host": "compute-0-0 "}


def _words(verb: str, scope: str) -> str:
    return f"{verb} route" if scope == "global" else f"{verb} {scope} route"


def _scoped(scope: str) -> tuple[Argument, ...]:
    return (_KEYS[scope],) if scope in _KEYS else ()


def _keys(call: Call, connection: "Connection", scope: str) -> tuple[str, ...]:
    return call.select_hosts(connection) if scope == "host" else (call.argument,)


def _destination(call: Call) -> str:
    """The address with its bits: of a host alone 32, unless it says them or a mask is given."""
    address, netmask = call.parameters["address"], call.parameters["netmask"]
    if "/" in address and netmask:
        raise RollbuildError(f"{address} says its bits: netmask= is too much", exit_code=USAGE)
    return address if "/" in address else f"{address}/{netmask or '255.255.255.255'}"


def _way(connection: "Connection", gateway: str) -> tuple[str, str]:
    """The gateway and the network of a route: one of the two."""
    from rollbuild.cluster import find_network

    try:
        return str(ipaddress.IPv4Address(gateway)), ""
    except ValueError:
        return "", find_network(connection, gateway).name


ADD, REMOVE = _add("global"), _remove("global")
ADD_OS, REMOVE_OS = _add("os"), _remove("os")
ADD_APPLIANCE, REMOVE_APPLIANCE = _add("appliance"), _remove("appliance")
ADD_RACK, REMOVE_RACK = _add("rack"), _remove("rack")
ADD_HOST, REMOVE_HOST = _add("host"), _remove("host")
