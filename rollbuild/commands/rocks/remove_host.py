"""`rocks remove host`, `remove host interface|alias`, `remove network`, `remove appliance`."""

from rollbuild.commands.rocks._changing import FRONT_END, ONE_HOST, find_one_host, list_front_ends
from rollbuild.commands.rocks._command import SOME_HOSTS, Argument, Call, RocksCommand
from rollbuild.commands.rocks.remove_vm import REMOVING
from rollbuild.errors import RollbuildError


def _remove_host(call: Call) -> int:
    from rollbuild.cluster import find_host, list_vms, remove_host

    with call.reading() as connection:
        hosts = call.select_hosts(connection)
        every = list_vms(connection)
        stays = set(list_front_ends(connection)) - set(hosts)
        for name in hosts:
            host = find_host(connection, name)
            if host.appliance == FRONT_END and not host.is_vm and not stays:
                raise RollbuildError(
                    f"{name} is the front end, and stays", hint="name the other hosts, an appliance or a rack"
                )
            if left := [vm.host for vm in every if vm.container == name and vm.host not in hosts]:
                count = f"{len(left)} VM{'s' if len(left) > 1 else ''}"
                raise RollbuildError(
                    f"{name} still holds {count}: {', '.join(left)}", hint="remove or move the VMs first"
                )
    vms = [(vm.host, vm.container) for vm in every if vm.host in hosts]
    if vms:
        # Their containers first: what runs there must not be forgotten here.
        from rollbuild.commands.rocks.remove_vm import remove_vms

        if code := remove_vms(call, vms):
            return code
    virtual = {name for name, _ in vms}
    with call.writing() as connection:
        for name in hosts:
            if name not in virtual:
                remove_host(connection, name)
    return 0


def _remove_interface(call: Call) -> None:
    from rollbuild.cluster import remove_interface

    with call.writing() as connection:
        remove_interface(connection, find_one_host(call, connection), call.parameters["iface"])


def _remove_alias(call: Call) -> None:
    from rollbuild.cluster import remove_alias

    with call.writing() as connection:
        remove_alias(connection, find_one_host(call, connection), call.parameters["name"])


def _remove_network(call: Call) -> None:
    from rollbuild.cluster import remove_network

    with call.writing() as connection:
        remove_network(connection, call.argument)


def _remove_appliance(call: Call) -> None:
    from rollbuild.cluster import remove_appliance

    with call.writing() as connection:
        remove_appliance(connection, call.argument)


HOST = RocksCommand(
    "remove host",
    _remove_host,
    arguments=(SOME_HOSTS,),
    parameters=REMOVING,
    description="Remove hosts, with their interfaces, aliases, attributes and routes. All of them, or none; VMs among "
    "them are removed first, as `rocks remove host vm` does it.",
    examples=(("rocks remove host compute-0-3", ""), ("rocks remove host rack2", "All hosts of rack 2.")),
    changes=True,
)
INTERFACE = RocksCommand(
    "remove host interface",
    _remove_interface,
    arguments=(ONE_HOST, Argument("iface", "The interface: its device or MAC.", is_named=True)),
    description="Remove an interface of a host.",
    examples=(("rocks remove host interface compute-0-3 eth1", ""),),
    changes=True,
)
ALIAS = RocksCommand(
    "remove host alias",
    _remove_alias,
    arguments=(ONE_HOST, Argument("name", "The alias.", is_named=True)),
    description="Forget another name of a host.",
    examples=(("rocks remove host alias login-0-0 gateway", ""),),
    changes=True,
)
NETWORK = RocksCommand(
    "remove network",
    _remove_network,
    arguments=(Argument("network", "The network's name.", completes="network"),),
    description="Remove a network that no interface and no route is on.",
    examples=(("rocks remove network ipmi", ""),),
    changes=True,
)
APPLIANCE = RocksCommand(
    "remove appliance",
    _remove_appliance,
    arguments=(Argument("appliance", "The appliance.", completes="appliance"),),
    description="Remove an appliance without hosts, with its attributes and routes.",
    examples=(("rocks remove appliance gpu", ""),),
    changes=True,
)
