"""Kickstarts of the database's hosts, from the generation that they install from."""

import threading
from collections.abc import Collection, Mapping
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
    is_secret_name,
    list_appliances,
    list_hosts,
    list_interfaces,
    list_networks,
)
from rollbuild.compiler import ClusterData, Compiler, Plan, Profile, Target
from rollbuild.distribution import Generation, read_provenance, read_roll_data
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import read_limited, system_path
from rollbuild.findings import Finding, Severity
from rollbuild.frontend.authority import ATTRIBUTE as TLS_ATTRIBUTE
from rollbuild.frontend.authority import uses_tls
from rollbuild.frontend.place import FrontEnd, choose_distribution
from rollbuild.frontend.templatedata import describe_hosts, describe_networks
from rollbuild.language import Appliance as GraphAppliance
from rollbuild.language import AttributeSet, collect_defaults
from rollbuild.location import Location
from rollbuild.workspace import Choice, Workspace, make_workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

CA_FILE = "/etc/rollbuild/ca/ca.pem"
TLS_PORT = 8443
HIDDEN = "(hidden)"
_CA_LIMIT = 64 * 1024
_KEPT = 8
"""Distributions (or sets of attributes) of which the plans are kept."""
_MOST_SHAPES = 10_000
_NO_SECRETS = frozenset(("yes", "no", "true", "false", "on", "off", "none", "0", "1"))


def kickstart_url(attributes: Mapping[str, str], host: str, *, server: str = "") -> str:
    """Where the installer finds a host's Kickstart; `attributes` are those that hold for the host.

    `host` may be `t/TOKEN`, of a URL; `server` is the front end's address, where it is known better.
    """
    server = server or attributes.get("Kickstart_PrivateKickstartHost", "")
    return f"https://{server}:{TLS_PORT}/ks/{host}" if uses_tls(attributes) else f"http://{server}/ks/{host}"


def service_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """What the service adds to the site's attributes: where to report to, and whom to trust there."""
    server = attributes.get("Kickstart_PrivateKickstartHost", "")
    found = {"install_events": f"http://{server}/events/"} if server else {}
    path = system_path(CA_FILE)
    if path.is_file():
        found["cluster_ca"] = read_limited(path, _CA_LIMIT).decode("ascii", "replace").rstrip("\n")
        if server:
            # The clock of a machine may be wrong before it is installed; its certificate is then none.
            found["install_events"] = f"https://{server}:{TLS_PORT}/events/ http://{server}/events/"
    return found


@dataclass(slots=True)
class _Basis:
    """What stays while hosts come and go: a description, the attributes of no single host, and plans of these."""

    workspace: Workspace
    defaults: AttributeSet
    rolls: list[dict[str, object]]
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)
    checked: dict[tuple[object, ...], tuple[Finding, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshot:
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
class _Current:
    """A basis with the hosts and attributes of a snapshot."""

    basis: _Basis
    snapshot: _Snapshot
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
class _Asked:
    """A host and what it is compiled from."""

    host: Host
    appliance: GraphAppliance
    own: Mapping[str, str]
    current: _Current

    def target(self, token: str) -> Target:
        """What to compile."""
        own = {"hostname": self.host.name, **self.own, **({"install_token": token} if token else {})}
        return self.current.workspace.target(self.appliance, self.host.name, own)


class TlsNeeded(RollbuildError):
    """A Kickstart that goes over TLS only was asked for over plain HTTP."""


class KickstartMaker:
    """Makes the Kickstarts of a front end's hosts.

    What was compiled is kept for a generation of the distribution and one of the configuration, so that the next
    request sees a change of either. May be called by many threads: the first one compiles, the others wait for it.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._lock = threading.RLock()
        self._snapshot: _Snapshot | None = None
        self._bases: dict[tuple[object, ...], _Basis] = {}
        self._currents: dict[tuple[object, ...], _Current] = {}

    def render(self, host: str, *, token: str = "", is_secure: bool = True) -> bytes:
        """The Kickstart of a host, with `token` as its attribute install_token; `is_secure` is whether nobody can
        listen on the way to the host.

        Raises TlsNeeded where that has to be so, RollbuildError for a host that is not known or cannot be installed,
        FindingsError for findings of severity error.
        """
        asked = self._ask(host)
        target = asked.target(token)
        if not is_secure and uses_tls(target.attributes):
            raise TlsNeeded(f"the Kickstart of {host} goes over TLS only ({TLS_ATTRIBUTE})")
        with self._lock:
            plan, findings = self._plan(asked, target)
        refuse_errors((*findings, *self._misfits(asked)))
        late: list[Finding] = []
        text = plan.render(target.attributes, late)
        refuse_errors(late)
        return text

    def attributes(self, host: str) -> Mapping[str, str]:
        """All attributes of a host, as its Kickstart has them (without a token). Raises RollbuildError."""
        return self._ask(host).target("").attributes

    def explain(self, host: str) -> Profile:
        """The profile of a host with the origin of each line; secrets are replaced, so that it can be shown.

        Raises RollbuildError.
        """
        asked = self._ask(host)
        target = asked.target("")
        secret = secret_names(asked.current.workspace)
        shown = {name: HIDDEN if is_hidden(name, value, secret) else value for name, value in target.attributes.items()}
        with self._lock:
            return asked.current.compiler().compile(replace(target, attributes=shown))

    def findings(self, host: str) -> tuple[Finding, ...]:
        """What checks find in a host's Kickstart, errors first. Raises RollbuildError."""
        asked = self._ask(host)
        with self._lock:
            _, findings = self._plan(asked, asked.target("token"))
        return (*self._misfits(asked), *findings)

    def workspace(self, appliance: str) -> tuple[Generation, Workspace]:
        """What hosts of an appliance are compiled from, but for what is their own: the generation, and its
        description with the site's attributes. Raises RollbuildError."""
        asked = self._ask_of_appliance(appliance)
        return asked[0], asked[1].current.workspace

    def appliance_findings(self, appliance: str) -> tuple[Finding, ...]:
        """What checks find in the Kickstart of an appliance, without any host. Raises RollbuildError."""
        _, asked = self._ask_of_appliance(appliance)
        with self._lock:
            return self._check(asked, asked.target("token"))

    def _ask_of_appliance(self, name: str) -> tuple[Generation, _Asked]:
        with self._front_end.database.reading() as connection:
            snapshot = self._find_snapshot(connection)
        appliance = snapshot.appliances.get(name)
        if appliance is None:
            raise RollbuildError(f"there is no appliance {name}", hint="rocks list appliance shows all")
        described = _of_graph(appliance)
        named = snapshot.attributes.resolve_texts(os="linux", appliance=appliance.name, rack="", host="")
        generation = choose_distribution(self._front_end.store, named.get("distribution", "").strip())
        current = self._find_current(generation, appliance.graph, snapshot)
        host = Host(appliance.name, appliance.name, appliance.membership, 0, 0, os=appliance.os)
        return generation, _Asked(host, described, own_attributes(host, None), current)

    def _ask(self, name: str) -> _Asked:
        with self._front_end.database.reading() as connection:
            snapshot = self._find_snapshot(connection)
        host = snapshot.hosts.get(name)
        if host is None:
            raise RollbuildError(f"there is no host {name}", hint="rocks list host shows all")
        appliance = snapshot.appliances[host.appliance]
        described, own = _of_graph(appliance), own_attributes(host, snapshot.interfaces.get(name))
        pick = {"os": host.os, "appliance": host.appliance, "rack": str(host.rack), "host": host.name}
        named = snapshot.attributes.resolve_texts(**pick).get("distribution", "").strip()
        generation = choose_distribution(self._front_end.store, named)
        current = self._find_current(generation, appliance.graph, snapshot)
        return _Asked(host, described, own, current)

    def _find_snapshot(self, connection: "Connection") -> _Snapshot:
        generation = configuration_generation(connection)
        with self._lock:
            # One that is newer than this request's connection will do as well.
            if self._snapshot is None or self._snapshot.generation < generation:
                self._snapshot = _read_snapshot(connection, generation)
                self._currents.clear()
            return self._snapshot

    def _find_current(self, generation: Generation, graph: str, snapshot: _Snapshot) -> _Current:
        with self._lock:
            trusted = _stamp(system_path(CA_FILE))
            key = (generation.folder, graph, snapshot.generation, trusted)
            if key not in self._currents:
                basis = self._find_basis(generation, graph, snapshot, trusted)
                own = _with_service(basis.defaults, snapshot.attributes)
                workspace = replace(basis.workspace, attributes=own)
                data = ClusterData.of({"rolls": basis.rolls, **snapshot.data})
                varying = workspace.varying_names() | {"install_token"}
                self._currents[key] = _Current(basis, snapshot, workspace, data, varying)
            return self._currents[key]

    def _find_basis(self, generation: Generation, graph: str, snapshot: _Snapshot, trusted: object) -> _Basis:
        key = (generation.folder, graph, snapshot.shared, trusted)
        basis = self._bases.pop(key, None)
        if basis is None:
            choice = Choice(
                rolls=(str(generation.folder / "description"),),
                graph=graph or "default",
                os_release=read_provenance(generation.folder).os_release,
            )
            workspace = make_workspace(choice, attributes=snapshot.attributes)
            defaults = collect_defaults(workspace.declared.values())
            basis = _Basis(workspace, defaults, read_roll_data(generation))
        self._bases[key] = basis
        while len(self._bases) > _KEPT:
            del self._bases[next(iter(self._bases))]
        return basis

    def _plan(self, asked: _Asked, target: Target) -> tuple[Plan, tuple[Finding, ...]]:
        """The plan for a host, and what was found in the first Kickstart of its shape."""
        current = asked.current
        basis, compiler = current.basis, current.basis.workspace.compiler
        varying = current.varying.union(asked.own)
        key = (compiler.plan_key(target), varying, frozenset(varying & target.attributes.keys()))
        if key not in basis.plans:
            basis.plans[key] = compiler.plan(target, varying)
        plan = basis.plans[key]
        shape = (key, plan.awkward(target.attributes))
        if shape not in basis.checked:
            findings = self._find_errors(asked, target, shape)
            if any(finding.severity is Severity.ERROR for finding in findings):
                return plan, findings
            if len(basis.checked) >= _MOST_SHAPES:
                basis.checked.clear()
            basis.checked[shape] = findings
        return replace(plan, data=current.data), basis.checked[shape]

    def _find_errors(self, asked: _Asked, target: Target, shape: tuple[object, ...]) -> tuple[Finding, ...]:
        """What checks say of a host. Errors count for all hosts of its shape only when they are those of another too:
        one host's wrong value must not keep the others from being installed."""
        current, name = asked.current, asked.host.name
        known = current.errors.setdefault(shape, {})
        if name in known:
            return known[name]
        if len(known) > 1 and len(set(known.values())) == 1:
            return next(iter(known.values()))
        findings = self._check(asked, target)
        if any(finding.severity is Severity.ERROR for finding in findings):
            known[name] = findings
        return findings

    def _check(self, asked: _Asked, target: Target) -> tuple[Finding, ...]:
        from rollbuild.checks import apply_waivers, check_profile, read_waivers

        workspace = asked.current.workspace
        profile = asked.current.compiler().compile(target)
        findings = [*workspace.description.findings, *profile.findings]
        single = self._own_values(asked)
        for name, value in target.attributes.items():
            if name not in single:
                findings += workspace.value_findings(name, value, None)
        findings += check_profile(profile, workspace.release, secret_names=secret_names(workspace))
        waivers = [waiver for file in workspace.waiver_files() for waiver in read_waivers(file)]
        return tuple(apply_waivers(findings, waivers)[0]) if waivers else tuple(findings)

    def _misfits(self, asked: _Asked) -> list[Finding]:
        """Attributes of this host alone that do not fit: hosts of one shape may differ in them."""
        find = asked.current.workspace.value_findings
        return [finding for name, value in self._own_values(asked).items() for finding in find(name, value, None)]

    def _own_values(self, asked: _Asked) -> dict[str, str]:
        own = asked.current.workspace.attributes.layers.get(("host", asked.host.name), {})
        return {**{name: item.value for name, item in own.items()}, **asked.own}


def own_attributes(host: Host, primary: Interface | None) -> dict[str, str]:
    """What `rollbuild.cluster.host_attributes` says of a host, from what was read already."""
    return {
        "hostname": host.name,
        "rack": str(host.rack),
        "rank": str(host.rank),
        "cpus": str(host.cpus),
        "appliance": host.appliance,
        "membership": host.membership,
        "arch": host.arch,
        "os": host.os,
        "hostaddr": primary.address if primary else "",
        "ksmac": primary.mac if primary else "",
    }


def _read_snapshot(connection: "Connection", generation: int) -> _Snapshot:
    attributes = attribute_set(connection)
    hosts, interfaces = list_hosts(connection), list_interfaces(connection)
    return _Snapshot(
        generation=generation,
        attributes=attributes,
        data={
            "networks": describe_networks(list_networks(connection)),
            "hosts": describe_hosts(hosts, interfaces, attributes),
        },
        hosts={host.name: host for host in hosts},
        interfaces=find_primary_interfaces(interfaces),
        appliances={appliance.name: appliance for appliance in list_appliances(connection)},
        shared=_shared(attributes),
    )


def is_hidden(name: str, value: str, secret: Collection[str]) -> bool:
    """Whether the value of an attribute is not shown: `secret` are those declared so; others count by their names."""
    if not value or value.lower() in _NO_SECRETS:
        return False
    return name in secret or is_secret_name(name)


def secret_names(workspace: Workspace) -> frozenset[str]:
    """The attributes that the rolls declare as secret."""
    return frozenset(name for name, item in workspace.declared.items() if item.type == "secret")


def refuse_errors(findings: tuple[Finding, ...] | list[Finding]) -> None:
    """Raises FindingsError where a finding is an error."""
    if errors := [finding for finding in findings if finding.severity is Severity.ERROR]:
        raise FindingsError(errors)


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
