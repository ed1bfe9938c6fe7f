"""Graph files: which nodes an appliance is made of, and which come before which."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, error, warning
from rollbuild.language.conditions import ALWAYS, ConditionError, Guard, make_guard
from rollbuild.language.names import did_you_mean, is_node_name
from rollbuild.language.xmltree import Document, Element, Text
from rollbuild.location import Location

HEAD = "HEAD"
TAIL = "TAIL"

_IGNORED = {"description", "changelog", "copyright"}
_GUARDS = {"arch", "os", "release", "cond"}
_ATTRIBUTES = {
    "graph": {"roll"},
    "edge": {"from", "to"} | _GUARDS,
    "to": _GUARDS,
    "from": _GUARDS,
    "order": {"head", "tail", "gen"},
    "head": {"gen"},
    "tail": {"gen"},
    "appliance": {"name", "root", "membership"},
}


@dataclass(frozen=True, slots=True)
class Edge:
    """`parent` includes `child` where every guard holds."""

    parent: str
    child: str
    guards: tuple[Guard, ...]
    location: Location
    roll: str

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether the child is included for these attributes."""
        return all(guard.holds(attributes) for guard in self.guards)


@dataclass(frozen=True, slots=True)
class Order:
    """`before` comes before `after` wherever both are, and through nodes that are absent."""

    before: str
    after: str
    location: Location
    roll: str


@dataclass(frozen=True, slots=True)
class Appliance:
    """A kind of machine: its name, the node that it starts from, and its display name."""

    name: str
    root: str
    membership: str
    location: Location


@dataclass(frozen=True, slots=True)
class Graph:
    """The edges, orders and appliances of graph files."""

    edges: tuple[Edge, ...] = ()
    orders: tuple[Order, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    findings: tuple[Finding, ...] = ()

    def joined(self, other: "Graph") -> "Graph":
        """Both together."""
        return Graph(
            self.edges + other.edges,
            self.orders + other.orders,
            self.appliances + other.appliances,
            self.findings + other.findings,
        )


def read_graph(document: Document, roll: str, attributes: Mapping[str, str]) -> Graph:
    """The graph of one file; `attributes` are what references such as `&os;` in it stand for.

    Raises RollbuildError when the root element is not `graph`.
    """
    root = document.root
    if root.tag != "graph":
        raise RollbuildError(
            f"a graph file starts with <graph>, not <{root.tag}>",
            location=root.location,
            hint="node files (<kickstart>) belong in nodes/" if root.tag == "kickstart" else "",
            code="ROOT-ELEMENT",
        )
    named = root.attributes.get("roll")
    reader = _Reader((named.literal if named else None) or roll, attributes)
    reader.findings += document.findings
    reader.check_attributes(root)
    for element in root.elements:
        reader.read(element)
    return Graph(tuple(reader.edges), tuple(reader.orders), tuple(reader.appliances), tuple(reader.findings))


@dataclass(slots=True)
class _Reader:
    roll: str
    values: Mapping[str, str]
    edges: list[Edge] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    appliances: list[Appliance] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def read(self, element: Element) -> None:
        match element.tag:
            case "edge":
                self.check_attributes(element)
                self.read_edge(element)
            case "order":
                self.check_attributes(element)
                self.read_order(element)
            case "appliance":
                self.check_attributes(element)
                self.read_appliance(element)
            case tag if tag not in _IGNORED:
                self.unknown(element, "graph", ("edge", "order", "appliance"))

    def read_edge(self, element: Element) -> None:
        guard = self.guard(element)
        ends = {"to": self.attribute(element, "to"), "from": self.attribute(element, "from")}
        nested = self.children(element, ("to", "from"))
        for child in nested:
            other = "from" if child.tag == "to" else "to"
            here, there = self.name(child.text, child.location), ends[other]
            if there is None:
                self.findings.append(
                    error("GRAPH-EDGE", f"this edge has no {other}= for its <{child.tag}>", element.location)
                )
            elif here:
                parent, node = (there, here) if child.tag == "to" else (here, there)
                self.add_edge(parent, node, (guard, self.guard(child)), child.location)
        if nested:
            return
        if ends["from"] and ends["to"]:
            self.add_edge(ends["from"], ends["to"], (guard,), element.location)
        elif element.attributes:
            self.findings.append(warning("GRAPH-EDGE", "this edge has one end only and adds nothing", element.location))

    def add_edge(self, parent: str, child: str, guards: tuple[Guard, ...], location: Location) -> None:
        for name in (parent, child):
            if name in (HEAD, TAIL):
                message = f"{name} is a place in the order, not a node: it cannot be part of an edge"
                self.findings.append(error("GRAPH-EDGE", message, location))
                return
        kept = tuple(guard for guard in guards if guard != ALWAYS)
        self.edges.append(Edge(parent, child, kept, location, self.roll))

    def read_order(self, element: Element) -> None:
        ends = {"head": self.attribute(element, "head"), "tail": self.attribute(element, "tail")}
        nested = self.children(element, ("head", "tail"))
        for child in nested:
            other = "tail" if child.tag == "head" else "head"
            here, there = self.name(child.text, child.location), ends[other]
            if there is None:
                self.findings.append(
                    error("GRAPH-ORDER", f"this order has no {other}= for its <{child.tag}>", element.location)
                )
            elif here and self.for_kickstart(element) and self.for_kickstart(child):
                before, after = (here, there) if child.tag == "head" else (there, here)
                self.orders.append(Order(before, after, child.location, self.roll))
        if not nested and ends["head"] and ends["tail"] and self.for_kickstart(element):
            self.orders.append(Order(ends["head"], ends["tail"], element.location, self.roll))

    def for_kickstart(self, element: Element) -> bool:
        return self.attribute(element, "gen") in (None, "kgen", "kickstart")

    def read_appliance(self, element: Element) -> None:
        name = self.attribute(element, "name")
        if not name:
            self.findings.append(error("GRAPH-APPLIANCE", "an appliance needs a name", element.location))
            return
        root = self.attribute(element, "root") or name
        text = element.attributes.get("membership")
        membership = text.expand(lambda key: self.values.get(key, "")).strip() if text else ""
        self.appliances.append(Appliance(name, root, membership or name.replace("-", " ").title(), element.location))

    def children(self, element: Element, tags: tuple[str, ...]) -> list[Element]:
        known = []
        for child in element.elements:
            if child.tag in tags:
                self.check_attributes(child)
                known.append(child)
            else:
                self.unknown(child, element.tag, tags)
        return known

    def attribute(self, element: Element, key: str) -> str | None:
        text = element.attributes.get(key)
        if text is None:
            return None
        if key == "gen":
            return text.literal
        return self.name(text, element.location) or None

    def guard(self, element: Element) -> Guard:
        given = {}
        for key in sorted(_GUARDS & element.attributes.keys()):
            given[key] = self.expand(element.attributes[key])
        try:
            return make_guard(given, element.location) if given else ALWAYS
        except ConditionError as problem:
            self.findings.append(problem.as_finding())
            return ALWAYS

    def name(self, text: Text, location: Location) -> str:
        name = self.expand(text).strip()
        if not is_node_name(name):
            what = f'"{name}" is not a node name' if name else "a node name is missing here"
            hint = "letters, digits and . _ + - are allowed, first a letter or digit"
            self.findings.append(error("NODE-NAME", what, location, hint))
            return ""
        return name

    def expand(self, text: Text) -> str:
        for name, location in text.references:
            if name not in self.values:
                self.findings.append(
                    error("UNDEF-ATTR", f"attribute {name} is not defined", location, f"set it: -A {name}=VALUE")
                )
        return text.expand(lambda name: self.values.get(name, ""))

    def check_attributes(self, element: Element) -> None:
        allowed = _ATTRIBUTES[element.tag]
        for key in sorted(element.attributes.keys() - allowed):
            hint = did_you_mean(key, allowed) or f"known here: {', '.join(sorted(allowed))}"
            self.findings.append(
                warning("UNKNOWN-ATTR", f"<{element.tag}> has no attribute {key}: ignored", element.location, hint)
            )

    def unknown(self, element: Element, inside: str, known: tuple[str, ...]) -> None:
        hint = did_you_mean(element.tag, known, "<{}>") or f"known here: {', '.join(known)}"
        message = f"<{element.tag}> is not part of <{inside}>: ignored"
        self.findings.append(warning("GRAPH-UNKNOWN", message, element.location, hint))
