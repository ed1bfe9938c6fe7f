"""What the Kickstarts of hosts are compiled from: a generation of the distribution, and what the database has."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollbuild.cluster import (
    Appliance,
    Host,
    Interface,
    attribute_set,
    configuration_generation,
    find_primary_interfaces,
    list_appliances,
    list_hosts,
    list_interfaces,
    list_networks,
    own_attributes,
)
from rollbuild.compiler import ClusterData, Compiler, Plan, Target
from rollbuild.distribution import Generation, read_provenance, read_roll_data
from rollbuild.errors import RollbuildError
from rollbuild.files import system_path
from rollbuild.findings import Finding
from rollbuild.frontend.place import FrontEnd, choose_distribution
from rollbuild.frontend.serviceurls import CA_FILE, service_attributes
from rollbuild.frontend.templatedata import describe_cluster
from rollbuild.language import Appliance as GraphAppliance
from rollbuild.language import AttributeSet, collect_defaults
from rollbuild.location import Location
from rollbuild.workspace import Choice, Workspace, make_workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEPT = 8
"""Distributions (or sets of attributes) of which the plans are kept."""


@dataclass(slots=True)
class Basis:
    """What stays while hosts come and go: a description, the attributes of no single host, and plans of these."""

    workspace: Workspace
    defaults: AttributeSet
    rolls: list[dict[str, object]]
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)
    checked: dict[tuple[object, ...], tuple[Finding, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database has in one generation of the configuration."""

    generation: int
    attributes: AttributeSet
    data: Mapping[str, object]
    hosts: Mapping[str, Host]
    interfaces: Mapping[str, Interface]
    """The primary one of each host that has one."""
    appliances: Mapping[str, Appliance]
    shared: tuple[object, ...]
    """The attributes that are not of single hosts: equal values, equal bases."""


@dataclass(slots=True)
class Current:
    """A basis with the hosts and attributes that the database has."""

    basis: Basis
    workspace: Workspace
    data: ClusterData
    varying: frozenset[str]
    errors: dict[tuple[object, ...], dict[str, tuple[Finding, ...]]] = field(default_factory=dict)
    """Shape -> host -> findings with errors among them."""
    _compiler: Compiler | None = None

    def compiler(self) -> Compiler:
        """For compiles that show where each line is from."""
        if self._compiler is None:
            old = self.workspace.compiler
            self._compiler = Compiler(old.description, old.release, self.data.values, old.evaluate)
        return self._compiler


@dataclass(frozen=True, slots=True)
class Inputs:
    """A host and what it is compiled from."""

    host: Host
    appliance: GraphAppliance
    own: Mapping[str, str]
    current: Current

    def target(self, token: str) -> Target:
        """What to compile."""
        own = {"hostname": self.host.name, **self.own, **({"install_token": token} if token else {})}
        return self.current.workspace.target(self.appliance, self.host.name, own)


class InputFinder:
    """Finds what Kickstarts are compiled from, and keeps it while it stays the same. May be called by many threads."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._lock = threading.Lock()
        self._recorded: Recorded | None = None
        self._bases: dict[tuple[object, ...], Basis] = {}
        self._currents: dict[tuple[object, ...], Current] = {}

    def of_host(self, name: str) -> Inputs:
        """What a host is compiled from. Raises RollbuildError where it is not known or cannot be installed."""
        recorded = self._find_recorded()
        host = recorded.hosts.get(name)
        if host is None:
            raise RollbuildError(f"there is no host {name}", hint="rocks list host shows all")
        appliance = recorded.appliances[host.appliance]
        keys = {"os": host.os, "rack": str(host.rack), "host": host.name}
        return self._find_inputs(recorded, appliance, host, recorded.interfaces.get(name), keys)[1]

    def of_appliance(self, name: str) -> tuple[Generation, Inputs]:
        """What a host of an appliance would be compiled from that has nothing of its own. Raises RollbuildError."""
        recorded = self._find_recorded()
        appliance = recorded.appliances.get(name)
        if appliance is None:
            raise RollbuildError(f"there is no appliance {name}", hint="rocks list appliance shows all")
        host = Host(appliance.name, appliance.name, appliance.membership, 0, 0, os=appliance.os)
        return self._find_inputs(recorded, appliance, host, None, {"os": "linux", "rack": "", "host": ""})

    def _find_inputs(
        self, recorded: Recorded, appliance: Appliance, host: Host, primary: Interface | None, keys: Mapping[str, str]
    ) -> tuple[Generation, Inputs]:
        described, own = _of_graph(appliance), own_attributes(host, primary)
        named = recorded.attributes.resolve_texts(appliance=appliance.name, **keys).get("distribution", "").strip()
        generation = choose_distribution(self._front_end.store, named)
        current = self._find_current(generation, appliance.graph, recorded)
        return generation, Inputs(host, described, own, current)

    def _find_recorded(self) -> Recorded:
        with self._front_end.database.reading() as connection:
            generation = configuration_generation(connection)
            with self._lock:
                # One that is newer than this request's connection will do as well.
                if self._recorded is None or self._recorded.generation < generation:
                    self._recorded = _read_recorded(connection, generation)
                    self._currents.clear()
                return self._recorded

    def _find_current(self, generation: Generation, graph: str, recorded: Recorded) -> Current:
        with self._lock:
            trusted = _stamp(system_path(CA_FILE))
            key = (generation.folder, graph, recorded.generation, trusted)
            if key not in self._currents:
                basis = self._find_basis(generation, graph, recorded, trusted)
                own = _with_service(basis.defaults, recorded.attributes)
                workspace = replace(basis.workspace, attributes=own)
                data = ClusterData.of({"rolls": basis.rolls, **recorded.data})
                varying = workspace.varying_names() | {"install_token"}
                self._currents[key] = Current(basis, workspace, data, varying)
            return self._currents[key]

    def _find_basis(self, generation: Generation, graph: str, recorded: Recorded, trusted: object) -> Basis:
        key = (generation.folder, graph, recorded.shared, trusted)
        basis = self._bases.pop(key, None)
        if basis is None:
            choice = Choice(
                rolls=(str(generation.folder / "description"),),
                graph=graph or "default",
                os_release=read_provenance(generation.folder).os_release,
            )
            workspace = make_workspace(choice, attributes=recorded.attributes)
            defaults = collect_defaults(workspace.declared.values())
            basis = Basis(workspace, defaults, read_roll_data(generation))
        self._bases[key] = basis
        while len(self._bases) > _KEPT:
            del self._bases[next(iter(self._bases))]
        return basis


def _read_recorded(connection: "Connection", generation: int) -> Recorded:
    attributes = attribute_set(connection)
    hosts, interfaces = list_hosts(connection), list_interfaces(connection)
    return Recorded(
        generation=generation,
        attributes=attributes,
        data=describe_cluster(hosts, interfaces, list_networks(connection), attributes),
        hosts={host.name: host for host in hosts},
        interfaces=find_primary_interfaces(interfaces),
        appliances={appliance.name: appliance for appliance in list_appliances(connection)},
        shared=_shared(attributes),
    )


def _of_graph(appliance: Appliance) -> GraphAppliance:
    if not appliance.root:
        hint = f"rocks set appliance {appliance.name} node=NODE gives it one"
        raise RollbuildError(f"hosts of the appliance {appliance.name} have no Kickstart", hint=hint)
    return GraphAppliance(appliance.name, appliance.root, appliance.membership, Location("(database)"))


def _with_service(defaults: AttributeSet, attributes: AttributeSet) -> AttributeSet:
    """Declared defaults, then what the service says, then what the site says."""
    site = defaults.merge(attributes).resolve_texts(os="linux", appliance="", rack="0", host="")
    return defaults.merge(AttributeSet.of("global", service_attributes(site))).merge(attributes)


def _shared(attributes: AttributeSet) -> tuple[object, ...]:
    return tuple(
        (layer, tuple(sorted((name, item.value) for name, item in values.items())))
        for layer, values in sorted(attributes.layers.items())
        if layer[0] != "host"
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
