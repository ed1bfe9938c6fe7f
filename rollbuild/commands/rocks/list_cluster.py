"""`rocks list`: appliance, membership, network, bootaction, route, cluster."""

from collections.abc import Callable

from rollbuild.commands.rocks._command import Argument, Call, RocksCommand


def _appliance(call: Call) -> None:
    from rollbuild.cluster import find_appliance, list_appliances

    with call.reading() as c:
        found = [find_appliance(c, word) for word in call.arguments] or list_appliances(c)
    rows = [(one.name, one.graph if one.root else "", one.root) for one in found]
    call.table(("appliance", "graph", "node"), rows)


def _membership(call: Call) -> None:
    from rollbuild.cluster import find_appliance, list_appliances, list_attributes

    with call.reading() as c:
        found = [find_appliance(c, word) for word in call.arguments] or list_appliances(c)
        rows = list_attributes(c)
    everywhere = next((row.value for row in rows if row.scope == "global" and row.name == "distribution"), "")
    named = {row.key: row.value for row in rows if row.scope == "appliance" and row.name == "distribution"}
    call.table(
        ("membership", "appliance", "distribution", "public"),
        [
            (one.membership, one.name, named.get(one.name, everywhere), "yes" if one.is_public else "no")
            for one in sorted(found, key=lambda one: one.membership.lower())
        ],
    )


def _network(call: Call) -> None:
    from rollbuild.cluster import find_network, list_networks

    with call.reading() as c:
        found = [find_network(c, name) for name in call.arguments] or list_networks(c)
    rows = [(one.name, one.address, one.netmask, one.mtu, one.zone, one.serves_dns) for one in found]
    call.table(("network", "subnet", "netmask", "mtu", "dnszone", "servedns"), rows)


def _bootaction(call: Call) -> None:
    from rollbuild.cluster import check_label, list_boot_actions

    with call.reading() as c:
        wanted = {check_label(c, label) for label in call.arguments}
        found = [one for one in list_boot_actions(c) if not wanted or one.label in wanted]
    rows = [(one.label, one.kernel, one.ramdisk, one.args) for one in found]
    call.table(("action", "kernel", "ramdisk", "args"), rows)


def _routes_of(scope: str) -> Callable[[Call], None]:
    def run(call: Call) -> None:
        from rollbuild.cluster import find_appliance, list_routes
        from rollbuild.commands.rocks._routes import split_destination

        with call.reading() as c:
            wanted = {find_appliance(c, word).name for word in call.arguments}
            routes = [one for one in list_routes(c, scope) if not wanted or one.key in wanted]
        rows = [(*split_destination(one), one.gateway or one.network) for one in routes]
        if scope == "global":
            call.table(("network", "netmask", "gateway"), rows, keeps_owner=True)
        else:
            owned = [(one.key, *row) for one, row in zip(routes, rows, strict=True)]
            call.table((scope, "network", "netmask", "gateway"), owned, group="route")

    return run


def _cluster(call: Call) -> None:
    from rollbuild.cluster import list_hosts, list_interfaces, list_networks

    with call.reading() as c:
        hosts = list_hosts(c)
        zones = {network.name: network.zone for network in list_networks(c)}
        public = {one.host: one for one in list_interfaces(c) if one.network == "public"}
    rows: list[tuple[str, str, str]] = []
    front_ends = sorted((host for host in hosts if host.appliance == "frontend"), key=lambda host: host.is_vm)
    for front_end in front_ends:
        face = public.get(front_end.name)
        zone = zones.get("public", "") if face else ""
        name = (face.name if face else "") or front_end.name
        rows.append((f"{name}.{zone}" if zone else name, "", "VM" if front_end.is_vm else "physical"))
        if not front_end.is_vm:
            clients = [host for host in hosts if host.appliance != "frontend"]
            rows += [("", host.name, "VM" if host.is_vm else "physical") for host in clients]
    call.table(("frontend", "client nodes", "type"), rows, keeps_owner=True)


_APPLIANCES = Argument(
    "appliance",
    "Names of appliances, or memberships; all when none is given.",
    is_required=False,
    is_repeated=True,
    completes="appliance",
)
APPLIANCE = RocksCommand(
    "list appliance",
    _appliance,
    arguments=(_APPLIANCES,),
    lists=True,
    description="Hosts of an appliance without a node cannot be installed; they only have names and addresses.",
    examples=(("rocks list appliance compute", "one appliance"),),
)
MEMBERSHIP = RocksCommand(
    "list membership",
    _membership,
    arguments=(Argument("membership", "Memberships, or names of appliances.", is_required=False, is_repeated=True),),
    lists=True,
    description="insert-ethers offers those that are public. DISTRIBUTION is the attribute `distribution` of the "
    "appliance, else that of all hosts.",
    examples=(("rocks list membership", "all of them"),),
)
NETWORK = RocksCommand(
    "list network",
    _network,
    arguments=(
        Argument(
            "network",
            "Names of networks; all when none is given.",
            is_required=False,
            is_repeated=True,
            completes="network",
        ),
    ),
    lists=True,
    examples=(("rocks list network private", "one network"),),
)
BOOTACTION = RocksCommand(
    "list bootaction",
    _bootaction,
    arguments=(Argument("action", "Labels; all when none is given.", is_required=False, is_repeated=True),),
    lists=True,
    description="Without a kernel it is that of the distribution that the host installs from.",
    examples=(("rocks list bootaction", "all of them"),),
)
GLOBAL_ROUTE = RocksCommand(
    "list route",
    _routes_of("global"),
    lists=True,
    description="`rocks list host route` shows those that a host has in the end.",
    examples=(("rocks list route", "the routes of all hosts"),),
)
APPLIANCE_ROUTE = RocksCommand(
    "list appliance route",
    _routes_of("appliance"),
    arguments=(_APPLIANCES,),
    lists=True,
    examples=(("rocks list appliance route compute", "those of the compute hosts"),),
)
CLUSTER = RocksCommand(
    "list cluster",
    _cluster,
    lists=True,
    examples=(("rocks list cluster", "the front end, then its nodes"),),
)
