"""From a description to Kickstarts: select, order, decide, assemble."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollbuild.compiler.context import ClusterData, Context, Evaluate
from rollbuild.compiler.order import order_nodes, rank_names
from rollbuild.compiler.plan import Plan, make_plan
from rollbuild.compiler.profile import Profile
from rollbuild.compiler.sections import Boot, Header, Main, Packages, ScriptUnit, Unit
from rollbuild.compiler.select import Selection, select_nodes
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Finding, error, note
from rollbuild.language import (
    Command,
    Copy,
    Description,
    Eval,
    File,
    Guard,
    Item,
    Node,
    Package,
    Part,
    Script,
    Template,
    did_you_mean,
)
from rollbuild.location import Location
from rollbuild.releases import Release

INSTALL_PHASES = frozenset(("pre", "post"))
_SECTIONS = ("pre", "pre-install", "post", "onerror")


def run_no_eval(program: Eval, text: str) -> str | None:
    """Evals are not run."""
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """What is compiled: an output name, an appliance, its root node, and all attribute values."""

    name: str
    appliance: str
    root: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Decided:
    """Selection, order and what holds, for one set of answers of the conditions."""

    selection: Selection
    nodes: tuple[str, ...]
    units: tuple[Unit, ...]


@dataclass(slots=True)
class Compiler:
    """Compiles targets of one description for one release; what they share is worked out once.

    `data` is what templates may use besides attributes (hosts, networks, rolls).
    """

    description: Description
    release: Release
    data: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Evaluate = run_no_eval
    _cluster: ClusterData = field(init=False)
    _ranked: tuple[str, ...] | None = None
    _edge_names: tuple[str, ...] | None = None
    _node_guards: dict[tuple[str, ...], tuple[tuple[Guard, ...], tuple[str, ...]]] = field(default_factory=dict)
    _by_values: dict[tuple[object, ...], _Decided] = field(default_factory=dict)
    _by_answers: dict[tuple[object, ...], _Decided] = field(default_factory=dict)
    _selections: dict[tuple[object, ...], tuple[Selection, tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cluster = ClusterData.of(self.data)

    def select(self, root: str, attributes: Mapping[str, str]) -> tuple[Selection, tuple[str, ...]]:
        """The nodes of a root, and their order.

        Raises RollbuildError when the root is no node or the order has a cycle.
        """
        graph = self.description.graph
        if self._edge_names is None:
            self._edge_names = _names(guard for edge in graph.edges for guard in edge.guards)
        key = (root, tuple(map(attributes.get, self._edge_names)))
        if key not in self._selections:
            if self._ranked is None:
                self._ranked = rank_names(graph.orders)
            if root not in self.description and not any(edge.parent == root for edge in graph.edges):
                self.description.node(root)
            selection = select_nodes(graph, root, attributes)
            self._selections[key] = (selection, order_nodes(self._ranked, selection.names))
        return self._selections[key]

    def read_nodes(self, selection: Selection, names: Iterable[str]) -> tuple[Node, ...]:
        """The node files of a selection. Raises FindingsError with every node that is missing or unreadable."""
        nodes: list[Node] = []
        findings: list[Finding] = []
        for name in names:
            try:
                nodes.append(self.description.node(name))
            except FindingsError as problem:
                findings += problem.findings
            except RollbuildError as problem:
                edge = selection.by.get(name)
                place = problem.location or (edge.location if edge else None)
                findings.append(error(problem.code, problem.message, place, problem.hint))
        if findings:
            raise FindingsError(findings)
        return tuple(nodes)

    def decide(self, target: Target) -> _Decided:
        """Which nodes, in what order, and which of their elements hold for a target."""
        attributes = target.attributes
        selection, names = self.select(target.root, attributes)
        if names not in self._node_guards:
            guards = tuple(dict.fromkeys(_all_guards(self.read_nodes(selection, names))))
            self._node_guards[names] = (guards, _names(guards))
        guards, looked_at = self._node_guards[names]
        lenient = _is_lenient(attributes)
        by_values = (target.appliance, names, lenient, tuple(map(attributes.get, looked_at)))
        if by_values not in self._by_values:
            by_answers = (target.appliance, names, lenient, tuple(guard.holds(attributes) for guard in guards))
            if by_answers not in self._by_answers:
                nodes = self.read_nodes(selection, names)
                units = tuple(_make_units(target.appliance, nodes, attributes))
                self._by_answers[by_answers] = _Decided(selection, names, units)
            self._by_values[by_values] = self._by_answers[by_answers]
        return self._by_values[by_values]

    def compile(self, target: Target) -> Profile:
        """One target with the origin of every line, and what was found on the way."""
        decided = self.decide(target)
        context = Context(target.attributes, self._cluster, self.release, self.evaluate)
        sections = tuple(unit.assemble(context) for unit in decided.units)
        return Profile(
            name=target.name,
            appliance=target.appliance,
            release=self.release.name,
            root=target.root,
            attributes=target.attributes,
            nodes=decided.nodes,
            sections=sections,
            findings=tuple(context.findings),
        )

    def compile_roll(self, target: Target, roll: str) -> Profile:
        """The part of a target that one roll brings: its nodes, whole, and its additions to nodes of other rolls."""
        selection, names = self.select(target.root, target.attributes)
        parts = (_part_of(node, roll) for node in self.read_nodes(selection, names))
        nodes = tuple(node for node in parts if node.files)
        context = Context(target.attributes, self._cluster, self.release, self.evaluate)
        return Profile(
            name=target.name,
            appliance=target.appliance,
            release=self.release.name,
            root=target.root,
            attributes=target.attributes,
            nodes=tuple(node.name for node in nodes),
            sections=tuple(unit.assemble(context) for unit in _make_units(target.appliance, nodes, target.attributes)),
            findings=tuple(context.findings),
        )

    def plan(self, target: Target, varying: Iterable[str]) -> Plan:
        """A plan for hosts that differ from the target in the `varying` attributes only, conditions aside."""
        decided = self.decide(target)
        return make_plan(
            decided.units,
            target.attributes,
            varying,
            data=self._cluster,
            release=self.release,
            evaluate=self.evaluate,
        )

    def plan_key(self, target: Target) -> int:
        """Equal for targets that can share a plan: the same nodes and elements hold."""
        return id(self.decide(target))


def check_references(description: Description) -> tuple[Finding, ...]:
    """Names in orders that no node has (they are ordering points only), and nodes that no edge reaches."""
    known = {edge.child for edge in description.graph.edges} | {edge.parent for edge in description.graph.edges}
    findings = []
    seen: set[str] = set()
    for order in description.graph.orders:
        for name in (order.before, order.after):
            if name in known or name in seen or name in ("HEAD", "TAIL") or name in description:
                continue
            seen.add(name)
            message = f"this order names {name}, which is no node: it only ties others"
            findings.append(note("ORDER-GHOST", message, order.location, did_you_mean(name, known)))
    roots = {appliance.root for appliance in description.graph.appliances}
    for name in description.node_names:
        if name not in known and name not in roots:
            message = f"no edge leads to node {name}: no appliance has it"
            findings.append(note("NODE-UNUSED", message, Location(description.path_of(name))))
    return tuple(findings)


def _part_of(node: Node, roll: str) -> Node:
    if node.files[0].roll == roll:
        return node
    return Node(node.name, tuple(file for file in node.files if file.roll == roll))


def _make_units(appliance: str, nodes: tuple[Node, ...], attributes: Mapping[str, str]) -> Iterator[Unit]:
    commands: list[tuple[str, Command]] = []
    packages: list[tuple[str, Package]] = []
    scripts: dict[str, list[tuple[str, Script]]] = {kind: [] for kind in (*_SECTIONS, "boot")}
    for node in nodes:
        for file in node.files:
            for item in file.items:
                if not all(guard.holds(attributes) for guard in item.guards):
                    continue
                if isinstance(item, Command):
                    commands.append((node.name, item))
                elif isinstance(item, Package):
                    packages.append((node.name, item))
                elif item.phases & INSTALL_PHASES:
                    kind = "post" if item.kind == "configure" else item.kind
                    scripts[kind].append((node.name, item))
    yield Header(appliance, tuple((node.name, node.files[0].roll) for node in nodes))
    yield Main(tuple(commands))
    options = tuple((node, command) for node, command in commands if command.name == "packages")
    yield Packages(tuple(packages), options, is_lenient=_is_lenient(attributes))
    for kind in _SECTIONS:
        if kind == "post" and scripts["boot"]:
            # Before the others, so that a report of success at their end is true of these too.
            yield Boot(tuple(scripts["boot"]))
        labels = _labels([name for name, _ in scripts[kind]])
        for (name, script), label in zip(scripts[kind], labels, strict=True):
            yield ScriptUnit(script, name, label)


def _labels(names: list[str]) -> Iterator[str]:
    """The names, numbered from their second time on; each label differs from all others."""
    taken = set(names)
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        label = name
        while counts[name] > 1 and label in taken:
            label = f"{name}-{counts[name]}"
            counts[name] += label in taken
        taken.add(label)
        yield label


def _is_lenient(attributes: Mapping[str, str]) -> bool:
    # Rolls of the Rocks days name packages that later releases do not have, and count on their being skipped.
    return "rocks_version_major" in attributes


def _names(guards: Iterable[Guard]) -> tuple[str, ...]:
    return tuple(sorted({name for guard in guards for name in guard.names}))


def _all_guards(nodes: Iterable[Node]) -> Iterator[Guard]:
    for node in nodes:
        for file in node.files:
            for item in file.items:
                yield from item.guards
                yield from _part_guards(item)


def _part_guards(item: Item) -> Iterator[Guard]:
    if isinstance(item, Package):
        return
    waiting: list[Part] = list(item.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, Eval | Template | File | Copy):
            yield from part.guards
        if isinstance(part, File):
            waiting += part.body
