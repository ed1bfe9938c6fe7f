"""Whether a state can be: what it refers to is there, and nothing is given twice."""

from collections.abc import Callable
from typing import Any

from rollbuild.cluster.dump import is_vm_name
from rollbuild.cluster.file_groups import Faults
from rollbuild.cluster.names import check_word, nearest, spell_host_name
from rollbuild.cluster.networks import lies_in, spell_network
from rollbuild.cluster.state import State, compare
from rollbuild.cluster.values import Interface
from rollbuild.cluster.vms import VirtualMachine
from rollbuild.errors import RollbuildError


def check_state(before: State, after: State, faults: Faults) -> None:
    """Add what is wrong with `after` to the faults, each at its place in the file; what did not change is right."""
    _Checks(before, after, faults).run()


class _Checks:
    def __init__(self, before: State, after: State, faults: Faults) -> None:
        self.before, self.after, self.faults = before, after, faults

    def fault(self, section: str, key: Any, message: str, hint: str = "") -> None:
        self.faults.add(message, self.faults.places.get((section, key)), hint)

    def run(self) -> None:
        self.check_networks()
        self.check_appliances()
        self.check_hosts()
        self.check_interfaces()
        self.check_names()
        self.check_vms()
        self.check_keys()

    def check_networks(self) -> None:
        networks = list(self.after.networks.values())
        for number, one in enumerate(networks):
            for other in networks[:number]:
                if one.network.overlaps(other.network):
                    self.fault(
                        "networks", one.name, f"network {spell_network(one)} overlaps with {spell_network(other)}"
                    )
                if one.zone and one.zone == other.zone:
                    self.fault("networks", one.name, f"the zone {one.zone} is that of network {other.name} too")

    def check_appliances(self) -> None:
        memberships: dict[str, str] = {}
        for name, appliance in self.after.appliances.items():
            other = memberships.setdefault(appliance.membership.lower(), name)
            if other != name:
                message = f"the membership {appliance.membership} is that of appliance {other} too"
                self.fault("appliances", name, message)
            if name in self.after.hosts:
                self.fault("hosts", name, f"{name} is the name of an appliance", "a host cannot be called so too")

    def check_hosts(self) -> None:
        for name, host in self.after.hosts.items():
            if host == self.before.hosts.get(name) and name in self.before.vms and name in self.after.vms:
                continue
            if is_vm_name(name) and name not in self.after.vms and name not in self.before.hosts:
                self.refused("hosts", name, lambda name=name: spell_host_name(name))  # type: ignore[misc]
            if host.appliance not in self.after.appliances and host.appliance in self.before.appliances:
                self.fault("hosts", name, f"host {name} is of appliance {host.appliance}, which is not there any more")
            for label in (host.run_action, host.install_action):
                if label and label not in self.after.boot_actions:
                    hint = nearest(label, self.after.boot_actions)
                    self.fault("hosts", name, f'host {name} boots by "{label}", which is no boot action', hint)

    def refused(self, section: str, key: Any, check: Callable[[], object]) -> None:
        try:
            check()
        except RollbuildError as problem:
            self.fault(section, key, problem.message, problem.hint)

    def check_interfaces(self) -> None:
        macs: dict[str, Interface] = {}
        addresses: dict[str, Interface] = {}
        # What was there first has the older right.
        changed = set(compare(self.before.interfaces, self.after.interfaces).changed)
        table = self.after.interfaces
        keys = sorted(table, key=lambda key: (key not in self.before.interfaces, key in changed))
        for key in keys:
            interface = table[key]
            for what, value, owners in (("MAC", interface.mac, macs), ("address", interface.address, addresses)):
                other = owners.setdefault(value, interface) if value else interface
                if other is not interface:
                    message = f"the {what} {value} is that of {other.device} of {other.host} too"
                    self.fault("interfaces", key, message)
            if interface.network and interface.network not in self.after.networks:
                hint = nearest(interface.network, self.after.networks)
                self.fault("interfaces", key, f"there is no network {interface.network}", hint)
            elif interface.address:
                self.check_address(key, interface)

    def check_address(self, key: tuple[str, str], interface: Interface) -> None:
        if not interface.network:
            message = f"{interface.device} of {interface.host} has the address {interface.address} and no network"
            self.fault("interfaces", key, message, "name the network that it lies in")
            return
        network = self.after.networks[interface.network]
        try:
            is_inside = lies_in(interface.address, network)
        except ValueError:
            return  # told where it was read
        if not is_inside:
            message = f"the address {interface.address} is that of no host in network {spell_network(network)}"
            self.fault("interfaces", key, message)

    def check_names(self) -> None:
        taken = {interface.name: interface for interface in self.after.interfaces.values() if interface.name}
        for key, interface in self.after.interfaces.items():
            name = interface.name
            if not name or name == interface.host:
                continue
            owner = name if name in self.after.hosts else self.after.aliases.get(name, interface.host)
            if owner == interface.host:
                owner = taken[name].host
            if owner != interface.host:
                self.fault("interfaces", key, f"the name {name} of {interface.device} is one of host {owner} too")
        for alias, host in self.after.aliases.items():
            if alias in self.after.hosts:
                self.fault("aliases", alias, f"the alias {alias} of {host} is the name of a host")
            elif alias in self.after.appliances:
                self.fault("aliases", alias, f"the alias {alias} of {host} is the name of an appliance")

    def check_vms(self) -> None:
        slices: dict[tuple[str, int], str] = {}
        for name, vm in self.after.vms.items():
            other = slices.setdefault((vm.container, vm.slice), name)
            if other != name:
                self.fault("vms", name, f"slice {vm.slice} of {vm.container} is that of {other} too")
            if vm.container not in self.after.hosts:
                hint = nearest(vm.container, self.after.hosts)
                self.fault("vms", name, f"the container {vm.container} of {name} is not there", hint)
            elif vm.container in self.after.vms:
                self.fault("vms", name, f"the container {vm.container} of {name} is a VM itself")
        for vm in self.before.vms.values():
            if vm.may_exist:
                self.check_created_vm(vm, self.after.vms.get(vm.host))

    def check_created_vm(self, before: VirtualMachine, after: VirtualMachine | None) -> None:
        """Its container knows it, has its disk, and is not asked for anything by an import."""
        name, container = before.host, before.container
        was = "was" if before.state else "may have been"
        if after is None:
            message = f"the VM {name} {was} created on {container}, which would not be asked to remove it"
            self.fault("hosts", name, message, f"remove it first: rocks remove host vm {name}")
        elif after.container != container:
            message = f"the VM {name} {was} created on {container}, and has its disks there"
            self.fault("vms", name, message, f"move it: rocks move host vm {name} {after.container}")

    def check_keys(self) -> None:
        keyed = {"host": self.after.hosts.keys(), "appliance": self.after.appliances.keys()}
        for section, keys in (("attributes", self.after.attributes.keys()), ("routes", self.after.routes.keys())):
            for key in keys:
                scope, name, what = key
                known = keyed.get(scope)
                if known is not None and name not in known:
                    message = f"{section.removesuffix('s')} {what} is for the {scope} {name}, which is not there"
                    self.fault(section, key, message, nearest(name, known))
                elif scope == "global" and name:
                    self.fault(section, key, f"what is global is for all hosts, not for {name}")
                elif scope == "os":
                    self.refused(section, key, lambda name=name: check_word(name, "an OS"))  # type: ignore[misc]
        for key, route in self.after.routes.items():
            if route.network and route.network not in self.after.networks:
                self.fault(
                    "routes", key, f"there is no network {route.network}", nearest(route.network, self.after.networks)
                )
