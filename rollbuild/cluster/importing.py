"""What a file says, laid over what the database holds. All faults are collected, each at its place in the file."""

from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Network
from typing import Any

from rollbuild.cluster.exchange_files import ImportData
from rollbuild.cluster.file_groups import NUMBER, Group
from rollbuild.cluster.importing_hosts import HostImport
from rollbuild.cluster.names import (
    check_text,
    check_word,
    check_zone,
    spell_address,
)
from rollbuild.cluster.schema import SCOPES
from rollbuild.cluster.state import State
from rollbuild.cluster.values import Appliance, BootAction, Network, Route
from rollbuild.language import YamlNode
from rollbuild.location import Location

_SECTIONS = ("networks", "appliances", "boot_actions", "attributes", "routes", "hosts")


class Import(HostImport):
    """One file laid over a state: `after` is what it makes of it, `faults` what is wrong with the file, and `kept` the
    hosts that it would remove but for what they are."""

    def __init__(self, before: State, data: ImportData, *, removes: bool) -> None:
        super().__init__(before, data, removes=removes)
        self.kept: list[str] = []
        self._read(data.tree)

    def _read(self, tree: YamlNode) -> None:
        sections = Group(self.faults, tree, _SECTIONS, "a cluster")
        for name, read in (
            ("networks", self._read_network),
            ("appliances", self._read_appliance),
            ("boot_actions", self._read_boot_action),
            ("hosts", self.read_host),
            ("routes", self._read_route),
        ):
            if name in sections:
                self._read_section(name, read, sections.items(name))
            if name == "boot_actions" and "attributes" in sections:
                # Those of hosts come last, when all hosts are known.
                self._read_attributes(sections, tuple(scope for scope in SCOPES if scope != "host"))
        if "attributes" in sections:
            self._read_attributes(sections, ("host",))
        self.give_addresses()

    def _read_section(self, name: str, read: Callable[[YamlNode], Any], items: Iterable[YamlNode]) -> None:
        seen: set[Any] = set()
        for item in items:
            key = read(item)
            if key in seen:
                self.faults.add(f"{_spelled(name, key)} is named twice", item.location)
            if key is not None:
                seen.add(key)
        if not self.removes:
            return
        table = getattr(self.after, name)
        gone = [key for key in table if key not in seen]
        if name == "hosts":
            self._remove_hosts(gone)
            return
        for key in gone:
            del table[key]
        if name == "appliances":
            self._forget("appliance", frozenset(gone))

    def _remove_hosts(self, names: Collection[str]) -> None:
        after = self.after
        gone = frozenset(name for name in names if after.hosts[name].appliance != "frontend")
        self.kept = [name for name in names if name not in gone]
        for name in gone:
            del after.hosts[name]
            after.vms.pop(name, None)
        after.interfaces = {key: value for key, value in after.interfaces.items() if key[0] not in gone}
        after.aliases = {alias: host for alias, host in after.aliases.items() if host not in gone}
        self._forget("host", gone)

    def _forget(self, scope: str, gone: frozenset[str]) -> None:
        def stays(key: tuple[str, str, str]) -> bool:
            return key[0] != scope or key[1] not in gone

        self.after.attributes = {key: value for key, value in self.after.attributes.items() if stays(key)}
        self.after.routes = {key: value for key, value in self.after.routes.items() if stays(key)}

    def _read_network(self, node: YamlNode) -> str | None:
        group = Group(self.faults, node, ("name", "address", "netmask", "mtu", "zone", "serves_dns"), "a network")
        name = group.named("networks", "name", lambda text: check_word(text, "a network"))
        if name is None:
            return None
        former = self.before.networks.get(name)
        if former is None and not group.has_all(("address", "netmask"), f"network {name}"):
            return name
        base = former or Network(name, "", "")
        network = Network(
            name,
            group.text("address", base.address, spell_address),
            group.text("netmask", base.netmask, spell_address),
            group.number("mtu", base.mtu, 68, 65_520),
            group.text("zone", base.zone, check_zone),
            group.flag("serves_dns", base.serves_dns),
        )
        try:
            whole = IPv4Network(f"{network.address}/{network.netmask}")
            if str(whole.netmask) != network.netmask or not whole.prefixlen:
                raise ValueError
        except ValueError:
            hint = "a network looks like 10.1.0.0 with the netmask 255.255.0.0"
            self.faults.add(f"{network.address} with {network.netmask} is no network", group.place("address"), hint)
            return name
        self.after.networks[name] = network
        return name

    def _read_appliance(self, node: YamlNode) -> str | None:
        group = Group(self.faults, node, ("name", "membership", "graph", "root", "public", "os"), "an appliance")
        name = group.named("appliances", "name", lambda text: check_word(text, "an appliance"))
        if name is None:
            return None
        base = self.before.appliances.get(name) or Appliance(name, name.replace("-", " ").title())
        membership = group.text("membership", base.membership, lambda text: check_text(text, "the membership"))
        if not membership.strip():
            self.faults.add(f"the membership of appliance {name} is empty", group.place("membership"))
        self.after.appliances[name] = Appliance(
            name,
            membership,
            group.text("graph", base.graph, lambda text: check_word(text, "a graph")),
            group.text("root", base.root, lambda text: check_word(text, "a node") if text else ""),
            group.flag("public", base.is_public),
            group.text("os", base.os, lambda text: check_word(text, "an OS")),
        )
        return name

    def _read_boot_action(self, node: YamlNode) -> str | None:
        group = Group(self.faults, node, ("label", "kernel", "ramdisk", "args"), "a boot action")
        label = group.named("boot_actions", "label", lambda text: check_text(text, "the label"))
        if label is None:
            return None
        if len(label) > 128 or not label.strip():
            self.faults.add("the label of a boot action has 1 to 128 characters", group.place("label"))
        base = self.before.boot_actions.get(label) or BootAction(label)
        texts = {
            name: group.text(name, getattr(base, name), lambda text: check_text(text, "a text of a boot action"))
            for name in ("kernel", "ramdisk", "args")
        }
        self.after.boot_actions[label] = BootAction(label, **texts)
        return label

    def _read_route(self, node: YamlNode) -> tuple[str, str, str] | None:
        group = Group(self.faults, node, ("scope", "key", "destination", "gateway", "network"), "a route")
        if not group.has_all(("destination",), "a route"):
            return None
        scope = group.choice("scope", "global", SCOPES)
        key = group.text("key", "", str)
        if scope == "rack":
            key = self._spell_rack(key, group.place("key"))
        destination = group.text("destination", "", lambda text: str(IPv4Network(text)), "a destination (10.2.0.0/16)")
        gateway = group.text("gateway", "", lambda text: spell_address(text) if text else "")
        network = group.text("network", "", str)
        if bool(gateway) == bool(network):
            self.faults.add("a route goes by a gateway or out to a network: name one of the two", group.location)
        self.faults.places["routes", (scope, key, destination)] = group.location
        self.after.routes[scope, key, destination] = Route(scope, key, destination, gateway, network)
        return scope, key, destination

    def _read_attributes(self, sections: Group, scopes: Iterable[str]) -> None:
        scoped = sections.group("attributes", SCOPES, "attributes")
        for scope in scopes:
            if scope not in scoped:
                continue
            if scope == "global":
                self.take_attributes(scope, "", scoped.group(scope, None, "attributes"), replaces=True)
                continue
            keyed = scoped.group(scope, None, f"attributes of each {scope}")
            seen = set()
            for text in keyed:
                key = self._spell_rack(text, keyed.place(text)) if scope == "rack" else text
                seen.add(key)
                self.take_attributes(scope, key, keyed.group(text, None, "attributes"), replaces=scope != "host")
            if self.removes and scope != "host":
                table = self.after.attributes
                for gone in [each for each in table if each[0] == scope and each[1] not in seen]:
                    del table[gone]

    def _spell_rack(self, text: str, place: Location) -> str:
        if NUMBER.fullmatch(text):
            return str(int(text))
        self.faults.add(f"{text!r} is no rack", place, "a rack is a number")
        return text


def _spelled(section: str, key: Any) -> str:
    noun = section.removesuffix("s").replace("_", " ")
    return f"the {noun} to {key[2]}" if isinstance(key, tuple) else f"{noun} {key}"
