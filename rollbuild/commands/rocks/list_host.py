"""`rocks list host` and what it shows of hosts: boot, interface, alias, route, macs."""

from rollbuild.commands.rocks._command import HOSTS, Call, RocksCommand


def _list(call: Call) -> None:
    from rollbuild.cluster import list_hosts

    with call.reading() as c:
        hosts = list_hosts(c, call.select_hosts(c))
    call.table(
        ("host", "membership", "cpus", "rack", "rank", "runaction", "installaction"),
        [
            (host.name, host.membership, host.cpus, host.rack, host.rank, host.run_action, host.install_action)
            for host in hosts
        ],
    )


def _boot(call: Call) -> None:
    from rollbuild.cluster import list_hosts

    with call.reading() as c:
        hosts = list_hosts(c, call.select_hosts(c))
    call.table(("host", "action"), [(host.name, host.boot_action) for host in hosts])


def _interface(call: Call) -> None:
    from rollbuild.cluster import list_interfaces, list_networks

    with call.reading() as c:
        netmasks = {network.name: network.netmask for network in list_networks(c)}
        interfaces = list_interfaces(c, call.select_hosts(c))
    rows = [
        (
            one.host,
            one.network,
            one.device,
            one.mac,
            one.address,
            # What has no address has no use for a netmask.
            netmasks.get(one.network, "") if one.address else "",
            one.module,
            one.name or one.host if one.address or one.name else "",
            one.vlan,
            one.options,
            one.channel,
        )
        for one in interfaces
    ]
    headers = ("host", "subnet", "iface", "mac", "ip", "netmask", "module", "name", "vlan", "options", "channel")
    call.table(headers, rows, group="interface")


def _alias(call: Call) -> None:
    from rollbuild.cluster import list_aliases

    with call.reading() as c:
        aliases = list_aliases(c, call.select_hosts(c))
    call.table(("host", "alias"), [(alias.host, alias.name) for alias in aliases], group="alias", keeps_owner=True)


def _macs(call: Call) -> None:
    from rollbuild.cluster import list_interfaces

    with call.reading() as c:
        interfaces = list_interfaces(c, call.select_hosts(c))
    rows = [(one.host, one.device, one.mac) for one in interfaces if one.mac]
    call.table(("host", "iface", "mac"), rows, group="macs")


def _route(call: Call) -> None:
    from rollbuild.cluster import list_hosts, list_routes
    from rollbuild.commands.rocks._routes import SOURCES, resolve_routes, split_destination

    rows = []
    with call.reading() as c:
        routes = list_routes(c)
        for host in list_hosts(c, call.select_hosts(c)):
            for route in resolve_routes(routes, host):
                through = route.gateway or route.network
                rows.append((host.name, *split_destination(route), through, SOURCES[route.scope]))
    headers = ("host", "network", "netmask", "gateway", "source")
    call.table(headers, rows, group="route")


HOST = RocksCommand(
    "list host",
    _list,
    arguments=(HOSTS,),
    lists=True,
    description="RUNACTION and INSTALLACTION are the labels of the boot actions that say how a host runs and installs; "
    "which of the two it does next, `rocks list host boot` shows.",
    examples=(
        ("rocks list host", "all hosts"),
        ("rocks list host compute rack1", "the compute hosts, and what is in rack 1"),
        ("rocks list host 'compute-0-[0-15]' output-header=no", "sixteen hosts, without the header"),
    ),
)
BOOT = RocksCommand(
    "list host boot",
    _boot,
    arguments=(HOSTS,),
    lists=True,
    description="os: from its own disk; install: it installs itself anew; rescue: the rescue system.",
    examples=(("rocks list host boot compute", "what the compute hosts do when they boot next"),),
)
INTERFACE = RocksCommand(
    "list host interface",
    _interface,
    arguments=(HOSTS,),
    lists=True,
    examples=(
        ("rocks list host interface compute-0-0", "the interfaces of one host"),
        ("rocks list host interface compute output-col=host,ip", "the addresses of the compute hosts"),
    ),
)
ALIAS = RocksCommand(
    "list host alias",
    _alias,
    arguments=(HOSTS,),
    lists=True,
    examples=(("rocks list host alias", "all other names that hosts have"),),
)
MACS = RocksCommand(
    "list host macs",
    _macs,
    arguments=(HOSTS,),
    lists=True,
    examples=(("rocks list host macs compute output-col=mac output-header=no", "the MACs alone"),),
)
ROUTE = RocksCommand(
    "list host route",
    _route,
    arguments=(HOSTS,),
    lists=True,
    description="SOURCE says where a route was added: G for all hosts, O for an operating system, A for an appliance, "
    "R for a rack, H for the host itself. The narrower one wins.",
    examples=(("rocks list host route compute-0-0", "the routes of one host"),),
)
