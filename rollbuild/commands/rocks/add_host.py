"""`rocks add host`, `add host interface`, `add host alias`."""

import re
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._changing import ONE_HOST, find_one_host, refuse_second_front_end
from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_THREE_PARTS = re.compile(r"(?P<appliance>.+)-(?P<rack>\d{1,6})-(?P<rank>\d{1,6})\Z")
_MAC_LIKE = re.compile(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2}){5,}\Z")


def _add_host(call: Call) -> None:
    from rollbuild.cluster import add_host

    name = call.argument
    with call.writing() as connection:
        appliance, rack, rank = _place(call, connection, name)
        add_host(
            connection,
            name,
            appliance=appliance,
            rack=rack,
            rank=rank,
            cpus=call.number("cpus"),
            os=call.parameters["os"],
            arch=call.parameters["arch"],
            comment=call.parameters["comment"],
            is_vm=call.flag("vm"),
        )
        if not call.flag("vm"):
            refuse_second_front_end(call, connection)


def _place(call: Call, connection: "Connection", name: str) -> tuple[str, int, int]:
    """Appliance, rack and rank: as given, else out of a name such as compute-0-3."""
    from rollbuild.cluster import find_appliance

    guessed: dict[str, str] = {}
    if parts := _THREE_PARTS.match(name):
        try:
            find_appliance(connection, parts["appliance"])
            guessed = parts.groupdict()
        except RollbuildError:
            guessed = {}
    given = call.parameters
    appliance = given["membership"] or guessed.get("appliance", "")
    if not appliance:
        raise _unspecified("membership", name)
    places = []
    for part in ("rack", "rank"):
        if part not in call.given and part not in guessed:
            raise _unspecified(part, name)
        places.append(int(given[part] if part in call.given else guessed[part]))
    try:
        find_appliance(connection, appliance)
    except RollbuildError as problem:
        raise RollbuildError(f'membership "{appliance}" is not valid', hint=problem.hint) from None
    return appliance, places[0], places[1]


def _unspecified(what: str, name: str) -> RollbuildError:
    hint = f'{what}=... says it; a name such as compute-0-3 would too, and "{name}" does not'
    return RollbuildError(f"{what} not specified", hint=hint, exit_code=USAGE)


def _add_interface(call: Call) -> None:
    from rollbuild.cluster import Interface, add_interface

    given = call.parameters
    with call.writing() as connection:
        host = find_one_host(call, connection)
        device, mac = given["iface"], given["mac"]
        if _MAC_LIKE.match(device):
            device, mac = _free_device(connection, host), device
        network = given["subnet"] or find_network_of(connection, given["ip"])
        interface = Interface(
            host=host,
            device=device,
            mac=mac,
            address=given["ip"],
            network=network,
            name=given["name"],
            module=given["module"],
            vlan=read_vlan(given["vlan"]),
            options=given["options"],
            channel=given["channel"],
        )
        add_interface(connection, interface)


def _free_device(connection: "Connection", host: str) -> str:
    """eth0, or the first of its kind that the host does not have."""
    from rollbuild.cluster import list_interfaces

    taken = {interface.device for interface in list_interfaces(connection, [host])}
    return next(f"eth{number}" for number in range(len(taken) + 1) if f"eth{number}" not in taken)


def find_network_of(connection: "Connection", address: str) -> str:
    """The name of the network that an address lies in; "" without an address. Raises RollbuildError for none."""
    from rollbuild.cluster import lies_in, list_networks, spell_address

    if not address:
        return ""
    address = spell_address(address)
    networks = list_networks(connection)
    found = next((network.name for network in networks if lies_in(address, network)), "")
    if not found:
        known = ", ".join(f"{network.name} ({network.network})" for network in networks)
        hint = f"there are: {known}" if known else "rocks add network makes one"
        raise RollbuildError(f"the address {address} lies in no network", hint=hint)
    return found


def read_vlan(text: str) -> int | None:
    """The number of a VLAN; None for none."""
    if text in ("", "NULL", "none"):
        return None
    if not text.isdecimal() or len(text) > 6:
        raise RollbuildError(f"{text!r} is no VLAN", hint="a VLAN is a number from 1 to 4094", exit_code=USAGE)
    return int(text)


def _add_alias(call: Call) -> None:
    from rollbuild.cluster import add_alias

    with call.writing() as connection:
        add_alias(connection, find_one_host(call, connection), call.parameters["name"])


HOST = RocksCommand(
    "add host",
    _add_host,
    arguments=(Argument("host", "The new host's name: one word, without its domain."),),
    parameters=(
        Parameter(
            "membership", "Its membership or appliance.  [from a name such as compute-0-3]", completes="appliance"
        ),
        Parameter("rack", "Number of its rack.  [from such a name]", kind="integer"),
        Parameter("rank", "Its place in the rack.  [from such a name]", kind="integer"),
        Parameter("cpus", "How many processors it has.", kind="integer", default="1"),
        Parameter("os", "Its operating system.", default="linux"),
        Parameter("arch", "Its architecture.", default="x86_64"),
        Parameter("comment", "A remark, for people."),
        Parameter("vm", "Whether it may have the name of a VM, as compute-0-0-0.", kind="boolean", default="no"),
    ),
    description="Add a host. It gets no interface and does not install: see `add host interface`, `set host boot`.",
    examples=(
        ("rocks add host compute-0-3", "A compute node, in rack 0 with rank 3."),
        ("rocks add host profile membership=Login rack=0 rank=1", "A host with a name of its own."),
    ),
    changes=True,
)

INTERFACE = RocksCommand(
    "add host interface",
    _add_interface,
    arguments=(
        ONE_HOST,
        Argument("iface", "The interface's device, as eth0; or its MAC: the next free ethN.", is_named=True),
    ),
    parameters=(
        Parameter("ip", "Its address."),
        Parameter("subnet", "The network that it is on.  [the one that the address lies in]", completes="network"),
        Parameter("mac", "Its MAC."),
        Parameter("name", "A name of its own, other than the host's."),
        Parameter("module", "The kernel module that drives it."),
        Parameter("vlan", "Number of its VLAN."),
        Parameter("options", "Options of the module, or of a bond."),
        Parameter("channel", "The channel of the module, or the bond that it belongs to."),
    ),
    description="Add an interface to a host. MACs and addresses are of one interface only.",
    examples=(
        (
            "rocks add host interface compute-0-3 eth0 ip=10.1.255.250 mac=52:54:00:aa:10:00",
            "Its network is the one that the address lies in.",
        ),
    ),
    changes=True,
)

ALIAS = RocksCommand(
    "add host alias",
    _add_alias,
    arguments=(ONE_HOST, Argument("name", "Its further name.", is_named=True)),
    description="Give a host another name.",
    examples=(("rocks add host alias login-0-0 gateway", "login-0-0 is called gateway too."),),
    changes=True,
)
