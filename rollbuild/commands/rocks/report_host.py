"""`rocks report`: what of one host, or the next free address, scripts and files need."""

from rollbuild.commands.rocks._command import Argument, Call, Parameter, RocksCommand
from rollbuild.commands.rocks._grammar import suggest
from rollbuild.errors import USAGE, RollbuildError

_ONE = Argument("host", "Name, alias, address or MAC of a host.", completes="host")


def _interface(call: Call) -> None:
    from rollbuild.cluster import find_host, list_interfaces, list_networks, list_routes, resolve_attributes
    from rollbuild.commands.rocks._keyfiles import make_keyfiles
    from rollbuild.commands.rocks._routes import resolve_routes

    with call.reading() as c:
        host = find_host(c, _one(call.select_hosts(c)))
        networks = {network.name: network for network in list_networks(c)}
        values = {name: value for name, (value, _) in resolve_attributes(c, host.name).items()}
        routes = resolve_routes(list_routes(c), host)
        files = make_keyfiles(list_interfaces(c, [host.name]), networks, routes, values)
    wanted = call.parameters["iface"]
    if not wanted:
        call.write("\n".join(f"# {file.path}\n{file.text}" for file in files))
        return
    for file in files:
        if file.device == wanted:
            call.write(file.text)
            return
    devices = [file.device for file in files]
    raise RollbuildError(
        f'host "{host.name}" has no interface "{wanted}"{suggest(wanted, devices)}',
        hint=f"it has {', '.join(devices)}" if devices else "it has none",
    )


def _route(call: Call) -> None:
    from rollbuild.cluster import find_host, list_interfaces, list_routes
    from rollbuild.commands.rocks._routes import resolve_routes, split_destination

    with call.reading() as c:
        host = find_host(c, _one(call.select_hosts(c)))
        devices = {one.network: one.device for one in list_interfaces(c, [host.name]) if one.address}
        routes = resolve_routes(list_routes(c), host)
    for route in routes:
        address, netmask = split_destination(route)
        what = f"host {address}" if netmask == "255.255.255.255" else f"net {address} netmask {netmask}"
        if route.gateway and netmask != "0.0.0.0":  # noqa: S104 - a netmask, nothing listens on it
            call.write(f"any {what} gw {route.gateway}\n")
        elif route.network in devices:
            call.write(f"any {what} dev {devices[route.network]}\n")


def _next_ip(call: Call) -> None:
    from rollbuild.cluster import next_address

    with call.reading() as c:
        start = call.parameters["baseip"] or None
        call.write(f"{next_address(c, call.parameters['subnet'], start=start, step=call.number('increment'))}\n")


def _next_mac(call: Call) -> None:
    from rollbuild.cluster import next_mac

    with call.reading() as c:
        call.write(f"{next_mac(c)}\n")


def _one(hosts: tuple[str, ...]) -> str:
    if len(hosts) != 1:
        raise RollbuildError("must supply one host", hint=f"these words mean {len(hosts)}", exit_code=USAGE)
    return hosts[0]


INTERFACE = RocksCommand(
    "report host interface",
    _interface,
    arguments=(_ONE,),
    parameters=(Parameter("iface", "Only the file of this interface, and nothing else."),),
    description="The files lie in /etc/NetworkManager/system-connections, readable by root alone. A line with # and "
    "the path stands before each. An interface whose channel names another one is a port of that bond.",
    examples=(("rocks report host interface compute-0-0 iface=eth0", "the file of one interface"),),
)
ROUTE = RocksCommand(
    "report host route",
    _route,
    arguments=(_ONE,),
    description="All but the default route, one a line: `any net 10.2.0.0 netmask 255.255.0.0 gw 10.1.1.1`.",
    examples=(("rocks report host route compute-0-0", "the routes of one host"),),
)
NEXT_IP = RocksCommand(
    "report nextip",
    _next_ip,
    arguments=(Argument("subnet", "The name of a network.", is_named=True, completes="network"),),
    parameters=(
        Parameter("increment", "The step from one address to the next.", kind="integer", default="-1"),
        Parameter("baseip", "The address to begin with; else the highest of the network, or its lowest."),
    ),
    description="Nothing is reserved: the next call gives the same until a host has the address.",
    examples=(
        ("rocks report nextip private", "the highest free address"),
        ("rocks report nextip private increment=1 baseip=10.1.2.1", "the lowest from 10.1.2.1 on"),
    ),
)
NEXT_MAC = RocksCommand(
    "report vm nextmac",
    _next_mac,
    description="In the range that the attribute vm_mac_base_addr begins, or that follows from the front end's public "
    "address.",
    examples=(("rocks report vm nextmac", "4e:71:00:40:00:03"),),
)
