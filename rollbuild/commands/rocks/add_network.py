"""`rocks add network`, `rocks set network ...`, `rocks add appliance`."""

import ipaddress
from typing import Any

from rollbuild.commands.rocks._command import TRUE, Argument, Call, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

_NETWORK = Argument("network", "The network's name.", completes="network")


def _add_network(call: Call) -> None:
    from rollbuild.cluster import Network, add_network

    given = call.parameters
    address, netmask = given["subnet"], given["netmask"]
    if not address:
        raise RollbuildError("subnet not specified", hint="as 10.1.0.0 255.255.0.0, or 10.1.0.0/16", exit_code=USAGE)
    if "/" in address and not netmask:
        try:
            whole = ipaddress.IPv4Network(address)
        except ValueError as problem:
            raise RollbuildError(f"{address!r} is no network: {problem}", exit_code=USAGE) from None
        address, netmask = str(whole.network_address), str(whole.netmask)
    if not netmask:
        raise RollbuildError("netmask not specified", hint=f"as {address} 255.255.255.0", exit_code=USAGE)
    zone = given["dnszone"] if "dnszone" in call.given else call.argument
    with call.writing() as connection:
        network = Network(call.argument, address, netmask, call.number("mtu"), zone, call.flag("servedns"))
        add_network(connection, network)


def _setter(word: str, field: str, summary: str, example: str) -> RocksCommand:
    def run(call: Call) -> None:
        from rollbuild.cluster import set_network

        value: Any = call.parameters[word]
        if field == "mtu":
            if not (value.isdecimal() and len(value) < 7):
                raise RollbuildError(f'mtu must be a number, not "{value}"', exit_code=USAGE)
            value = int(value)
        elif field == "serves_dns":
            value = value.lower() in TRUE
        with call.writing() as connection:
            set_network(connection, call.argument, **{field: value})

    choices = ("yes", "no", "true", "false") if field == "serves_dns" else ()
    return RocksCommand(
        f"set network {word}",
        run,
        arguments=(_NETWORK, Argument(word, summary, is_named=True, choices=choices)),
        description=f"Change a network: {summary[0].lower()}{summary[1:]}",
        examples=((f"rocks set network {word} {example}", ""),),
        changes=True,
    )


def _add_appliance(call: Call) -> None:
    from rollbuild.cluster import Appliance, add_appliance

    given = call.parameters
    appliance = Appliance(
        name=call.argument,
        membership=given["membership"] or call.argument.replace("-", " ").title(),
        graph=given["graph"],
        root=given["node"],
        is_public=call.flag("public"),
        os=given["os"],
    )
    with call.writing() as connection:
        add_appliance(connection, appliance)


_FIELDS: tuple[str, ...] = ("membership", "graph", "public", "os")


def _set_appliance(call: Call) -> None:
    from rollbuild.cluster import apply_import, find_appliance, plan_import

    given: dict[str, str] = {name: call.parameters[name] for name in _FIELDS if name in call.given}
    for word in ("node", "root"):
        if word in call.given:
            given["root"] = call.parameters[word]
    if not given:
        raise RollbuildError("nothing says what to set", hint="as: node=gpu public=no", exit_code=USAGE)
    with call.writing() as connection:
        name = find_appliance(connection, call.argument).name
        apply_import(connection, plan_import(connection, {"appliances": [{"name": name, **given}]}))


NETWORK = RocksCommand(
    "add network",
    _add_network,
    arguments=(
        Argument("network", "The new network's name."),
        Argument("subnet", "Its address, also with its bits: 10.1.0.0/16.", is_required=False, is_named=True),
        Argument("netmask", "Its mask.", is_required=False, is_named=True),
    ),
    parameters=(
        Parameter("mtu", "The largest packet, in bytes.", kind="integer", default="1500"),
        Parameter("dnszone", "Its DNS domain; empty for none.  [the network's name]"),
        Parameter("servedns", "Whether the front end answers for this domain.", kind="boolean", default="no"),
    ),
    description="Add a network. Hosts boot and install on the one that is called private.",
    examples=(("rocks add network ipmi 10.3.0.0 255.255.0.0", "A network of management controllers."),),
    changes=True,
)
SUBNET = _setter("subnet", "address", "Its address.", "ipmi 10.4.0.0")
NETMASK = _setter("netmask", "netmask", "Its mask.", "ipmi 255.255.255.0")
MTU = _setter("mtu", "mtu", "The largest packet, in bytes.", "private 9000")
ZONE = _setter("dnszone", "zone", "Its DNS domain.", "private cluster.internal")
SERVEDNS = _setter("servedns", "serves_dns", "Whether the front end answers for its domain.", "private yes")
APPLIANCE = RocksCommand(
    "add appliance",
    _add_appliance,
    arguments=(Argument("appliance", "The new appliance's name."),),
    parameters=(
        Parameter("membership", "Its name for people.  [its name, with capitals]"),
        Parameter("node", "The node of the graph that its Kickstart starts at; without one it has none."),
        Parameter("graph", "The graph set.", default="default"),
        Parameter("public", "Whether insert-ethers offers it.", kind="boolean", default="yes"),
        Parameter("os", "The operating system of its hosts.", default="linux"),
    ),
    description="Add a kind of host.",
    examples=(('rocks add appliance gpu membership="GPU Node" node=gpu', ""),),
    changes=True,
)
SET_APPLIANCE = RocksCommand(
    "set appliance",
    _set_appliance,
    arguments=(Argument("appliance", "The appliance.", completes="appliance"),),
    parameters=(
        Parameter("membership", "Its name for people."),
        Parameter("node", "The node of the graph that its Kickstart starts at; empty for none."),
        Parameter("root", "The same as node."),
        Parameter("graph", "The graph set."),
        Parameter("public", "Whether insert-ethers offers it.", kind="boolean"),
        Parameter("os", "The operating system of its hosts."),
    ),
    description="Change an appliance.",
    examples=(("rocks set appliance nas node=nas-large", ""),),
    changes=True,
)
