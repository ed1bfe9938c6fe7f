"""The hosts of a file, laid over those that the database holds."""

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from rollbuild.cluster.attributes import check_attribute
from rollbuild.cluster.exchange_files import AUTO, ImportData
from rollbuild.cluster.file_groups import Faults, Group
from rollbuild.cluster.names import (
    check_device,
    check_text,
    check_word,
    nearest,
    spell_address,
    spell_host_name,
    spell_mac,
)
from rollbuild.cluster.schema import BOOT_ACTIONS
from rollbuild.cluster.state import State
from rollbuild.cluster.values import Host, Interface, Network
from rollbuild.cluster.vms import MAX_MEMORY, MIN_MEMORY, VirtualMachine, VmDisk, check_disk, check_vm
from rollbuild.errors import RollbuildError
from rollbuild.language import YamlNode, YamlScalar

_NAME = re.compile(r"(?P<appliance>.+?)-(?P<rack>[0-9]{1,6})-(?P<rank>[0-9]{1,6})(?:-[0-9]+)?")
_LARGEST, _MOST_CPUS, _LAST_VLAN = 999_999, 65_536, 4094
_INTERFACE_KEYS = ("device", "mac", "address", "network", "name", "module", "vlan", "options", "channel")
_VM_KEYS = ("container", "slice", "memory", "virt_type", "disks", "saved")
_HOST_KEYS = (
    *("name", "appliance", "rack", "rank", "cpus", "arch", "os", "boot_action", "run_action", "install_action"),
    *("comment", "aliases", "interfaces", "attributes", "vm"),
)


class HostImport:
    """What an import has of the state that was and of the state that will be, and how it reads hosts."""

    def __init__(self, before: State, data: ImportData, *, removes: bool) -> None:
        self.before = before
        self.after = before.copy()
        self.is_table = data.is_table
        self.removes = removes
        self.faults = Faults()
        self._automatic: list[tuple[str, str]] = []
        # What was there, by its owner: no host of many looks through what all the others have.
        self._names: dict[tuple[str, str], list[str]] = {}
        for scope, key, name in before.attributes:
            self._names.setdefault((scope, key), []).append(name)
        self._devices: dict[str, list[str]] = {}
        for host, device in before.interfaces:
            self._devices.setdefault(host, []).append(device)
        self._aliases: dict[str, list[str]] = {}
        for alias, host in before.aliases.items():
            self._aliases.setdefault(host, []).append(alias)

    def read_host(self, node: YamlNode) -> str | None:
        group = Group(self.faults, node, _HOST_KEYS, "a host")
        name = group.named("hosts", "name", lambda text: spell_host_name(text, is_vm=True))
        if name is None:
            return None
        guess = _NAME.fullmatch(name)
        former = self.before.hosts.get(name)
        appliance = self._find_appliance(group, former.appliance if former else guess["appliance"] if guess else "")
        base = former or Host(
            name, appliance, "", int(guess["rack"]) if guess else 0, int(guess["rank"]) if guess else 0
        )
        if former is None and guess is None:
            group.has_all(("rack", "rank"), f"host {name}")
        self.after.hosts[name] = replace(
            base,
            appliance=appliance,
            rack=group.number("rack", base.rack, 0, _LARGEST),
            rank=group.number("rank", base.rank, 0, _LARGEST),
            cpus=group.number("cpus", base.cpus, 1, _MOST_CPUS),
            arch=group.text("arch", base.arch, lambda text: check_word(text, "an architecture")),
            os=group.text("os", base.os, lambda text: check_word(text, "an OS")),
            run_action=group.text("run_action", base.run_action, str),
            install_action=group.text("install_action", base.install_action, str),
            boot_action=group.choice("boot_action", base.boot_action, BOOT_ACTIONS),
            comment=group.text("comment", base.comment, lambda text: check_text(text, "the comment")),
        )
        self._read_interfaces(name, group, is_new=former is None)
        if "aliases" in group:
            self._read_aliases(name, group)
        if "attributes" in group:
            values = group.group("attributes", None, "attributes")
            self.take_attributes("host", name, values, replaces=not self.is_table)
        if "vm" in group:
            self._read_vm(name, group)
        elif self.removes and not self.is_table:
            self.after.vms.pop(name, None)
        return name

    def _find_appliance(self, group: Group, former: str) -> str:
        word = group.text("appliance", former, str)
        known = self.after.appliances
        for appliance in known.values():
            if word.lower() in (appliance.name.lower(), appliance.membership.lower()):
                return appliance.name
        if word:
            names = [text for one in known.values() for text in (one.name, one.membership)]
            self.faults.add(f'there is no appliance "{word}"', group.place("appliance"), nearest(word, names))
        else:
            self.faults.add("this host names no appliance", group.location, f"there are {', '.join(known)}")
        return word

    def _read_interfaces(self, host: str, group: Group, *, is_new: bool) -> None:
        table, seen = self.after.interfaces, set()
        for node in group.items("interfaces") if "interfaces" in group else ():
            inner = Group(self.faults, node, _INTERFACE_KEYS, "an interface")
            device = inner.text("device", self._only_device(host), check_device, "an interface, as eth0")
            if device in seen:
                self.faults.add(f"interface {device} of {host} is named twice", inner.location)
            seen.add(device)
            base = self.before.interfaces.get((host, device))
            fresh = base is None
            base = base or Interface(host, device, network="private" if self.is_table else "")
            address = inner.text("address", base.address, str)
            if self.is_table and is_new and fresh and "address" not in inner:
                address = AUTO
            if address == AUTO and not fresh and base.address:
                address = base.address
            if address == AUTO:
                self._automatic.append((host, device))
            elif address:
                address = inner.check("address", address, spell_address)
            vlan = inner.text("vlan", "" if base.vlan is None else str(base.vlan), str)
            table[host, device] = Interface(
                host,
                device,
                inner.text("mac", base.mac, lambda text: spell_mac(text) if text else ""),
                address,
                inner.text("network", base.network, str),
                inner.text("name", base.name, lambda text: spell_host_name(text, is_vm=True) if text else ""),
                inner.text("module", base.module, lambda text: check_word(text, "a kernel module") if text else ""),
                inner.number("vlan", base.vlan or 0, 0, _LAST_VLAN) if vlan else None,
                inner.text("options", base.options, lambda text: check_text(text, "the options")),
                inner.text("channel", base.channel, lambda text: check_text(text, "the channel")),
            )
            self.faults.places["interfaces", (host, device)] = inner.location
        if self.removes and not self.is_table and "interfaces" in group:
            for device in self._devices.get(host, ()):
                if device not in seen:
                    del table[host, device]

    def _only_device(self, host: str) -> str:
        devices = self._devices.get(host, ())
        return devices[0] if len(devices) == 1 else "eth0"

    def _read_aliases(self, host: str, group: Group) -> None:
        seen = set()
        for node in group.items("aliases"):
            if not isinstance(node, YamlScalar):
                self.faults.add("an alias is one name", node.location)
                continue
            try:
                alias = spell_host_name(node.text, is_vm=True)
            except RollbuildError as problem:
                self.faults.add(problem.message, node.location, problem.hint)
                continue
            seen.add(alias)
            if self.after.aliases.get(alias, host) != host and ("aliases", alias) in self.faults.places:
                self.faults.add(f'"{alias}" is an alias of host {self.after.aliases[alias]} too', node.location)
            self.faults.places["aliases", alias] = node.location
            self.after.aliases[alias] = host
        if self.removes:
            for alias in self._aliases.get(host, ()):
                if alias not in seen and self.after.aliases.get(alias) == host:
                    del self.after.aliases[alias]

    def _read_vm(self, host: str, group: Group) -> None:
        inner = group.group("vm", _VM_KEYS, "a VM")
        former = self.before.vms.get(host)
        if former is None and not inner.has_all(("container", "slice"), f"VM {host}"):
            return
        base = former or VirtualMachine(host, "", 0)
        disks = base.disks
        if "disks" in inner:
            disks = tuple(disk for node in inner.items("disks") if (disk := self._read_disk(node)) is not None)
        vm = replace(
            base,
            container=inner.text("container", base.container, str),
            slice=inner.number("slice", base.slice, 0, 9999),
            memory=inner.number("memory", base.memory, min(MIN_MEMORY, base.memory), MAX_MEMORY),
            virt_type=inner.text("virt_type", base.virt_type, str),
            disks=disks,
            # What is kept here is newer than a file.
            saved=base.saved if former else inner.text("saved", "", str),
        )
        try:
            check_vm(vm)
        except RollbuildError as problem:
            self.faults.add(problem.message, inner.location, problem.hint)
        self.faults.places["vms", host] = inner.location
        self.after.vms[host] = vm

    def _read_disk(self, node: YamlNode) -> VmDisk | None:
        inner = Group(self.faults, node, ("kind", "path", "device", "mode", "size_gb"), "a disk")
        if not inner.has_all(("path", "device"), "a disk"):
            return None
        texts = {name: inner.text(name, "", str) for name in ("path", "device")}
        size = inner.number("size_gb", 36, 0, 1024 * 1024)
        disk = VmDisk(inner.text("kind", "file", str), **texts, mode=inner.text("mode", "w", str), size_gb=size)
        try:
            return check_disk(disk)
        except RollbuildError as problem:
            self.faults.add(problem.message, inner.location, problem.hint)
            return None

    def take_attributes(self, scope: str, key: str, values: Group, *, replaces: bool) -> None:
        table = self.after.attributes
        if self.removes and replaces:
            for name in self._names.get((scope, key), ()):
                if name not in values:
                    table.pop((scope, key, name), None)
        for name in values:
            place, value = values.place(name), values.text(name, "", str)
            try:
                check_attribute(scope, key, name, value, place)
            except RollbuildError as problem:
                self.faults.found.append(problem.as_finding())
                continue
            self.faults.places["attributes", (scope, key, name)] = place
            table[scope, key, name] = value

    def give_addresses(self) -> None:
        table = self.after.interfaces
        used = {interface.address for interface in table.values()}
        free: dict[str, Iterable[str]] = {}
        for key in self._automatic:
            network = self.after.networks.get(table[key].network)
            place = self.faults.places.get(("interfaces", key))
            if network is None:
                # That there is no such network is told where interfaces are checked.
                table[key] = replace(table[key], address="")
                if not table[key].network:
                    self.faults.add(f"{key[1]} of {key[0]} gets an address of no network", place, "name its network")
                continue
            candidates = free.setdefault(network.name, _downward(network))
            address = next((one for one in candidates if one not in used), "")
            if not address:
                self.faults.add(f"network {network.name} ({network.network}) has no free address", place)
            used.add(address)
            table[key] = replace(table[key], address=address)


def _downward(network: Network) -> Iterable[str]:
    whole = network.network
    inside = 0 if whole.prefixlen > 30 else 1
    highest, lowest = int(whole.broadcast_address) - inside, int(whole.network_address) + inside
    # One iterator for all that ask.
    return (str(IPv4Address(number)) for number in range(highest, lowest - 1, -1))
