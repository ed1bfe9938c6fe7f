"""What a picture of the graph shows, whatever its format: nodes, edges, orders, and which appliances have them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from rollbuild.compiler import Selection, children_of, order_nodes, rank_names, select_nodes
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, warning
from rollbuild.language import HEAD, TAIL, Appliance, Description, Edge, Graph, Order, condition_of
from rollbuild.location import Location
from rollbuild.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node. `roll` is empty when no roll has a file for it; `problem` says why it cannot be read.

    `appliances` select it and `roots` start from it; `position` counts from 1 in the order of what is selected.
    """

    name: str
    roll: str
    files: tuple[str, ...]
    description: str
    appliances: tuple[str, ...]
    roots: tuple[str, ...]
    position: int | None
    is_selected: bool
    problem: str = ""

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return next((line.strip() for line in self.description.splitlines() if line.strip()), "")


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An edge; `holds` are the appliances that include the child by it, and without `is_taken` it is drawn faintly."""

    parent: str
    child: str
    condition: str
    location: Location
    holds: tuple[str, ...]
    is_taken: bool


@dataclass(frozen=True, slots=True)
class DrawnOrder:
    """An order between two names that are drawn; `through` are the absent names that tie them."""

    before: str
    after: str
    location: Location
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything a picture shows, sorted; `points` are names of orders that are no nodes, such as HEAD."""

    title: str
    subtitle: str
    appliances: tuple[Appliance, ...]
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    orders: tuple[DrawnOrder, ...]
    points: tuple[str, ...]
    palette: tuple[str, ...]
    """Every roll there is, sorted: its place decides a roll's colour, so that all pictures of it agree."""
    findings: tuple[Finding, ...]

    @property
    def rolls(self) -> tuple[str, ...]:
        """The rolls that have a part in it, sorted."""
        return tuple(sorted({node.roll for node in self.nodes if node.roll}))

    def as_json(self) -> dict[str, object]:
        """The drawing as plain values."""
        return {
            "appliances": [
                {"name": appliance.name, "root": appliance.root, "membership": appliance.membership}
                for appliance in self.appliances
            ],
            "nodes": [
                {
                    "name": node.name,
                    "roll": node.roll or None,
                    "files": list(node.files),
                    "description": node.description,
                    "appliances": list(node.appliances),
                    "order": node.position,
                    "problem": node.problem or None,
                }
                for node in self.nodes
            ],
            "edges": [
                {
                    "from": edge.parent,
                    "to": edge.child,
                    "condition": edge.condition,
                    "location": _place(edge.location),
                    "holds": list(edge.holds),
                }
                for edge in self.edges
            ],
            "orders": [
                {
                    "before": order.before,
                    "after": order.after,
                    "location": _place(order.location),
                    "through": list(order.through),
                }
                for order in self.orders
            ],
        }


def make_drawing(workspace: Workspace, appliance: Appliance | None, *, orders: bool, everything: bool) -> Drawing:
    """What to draw: the whole graph, or one appliance; with `everything` also what its attributes leave out.

    Raises RollbuildError for conditions that compare things of different kinds.
    """
    graph = workspace.description.graph
    appliances = workspace.appliances() if appliance is None else (appliance,)
    targets = {each.name: workspace.target(each) for each in appliances}
    selections = {name: select_nodes(graph, target.root, target.attributes) for name, target in targets.items()}
    values = {name: target.attributes for name, target in targets.items()}
    roots = {each.root: tuple(sorted(a.name for a in appliances if a.root == each.root)) for each in appliances}
    if appliance is None:
        names = {name for edge in graph.edges for name in (edge.parent, edge.child)} | roots.keys()
    elif everything:
        names = _reach(graph, appliance.root)
    else:
        names = set(selections[appliance.name].names)
    findings = list(graph.findings)
    positions = _positions(graph, names if appliance is None else selections[appliance.name].names, findings)
    edges = [
        DrawnEdge(
            edge.parent, edge.child, condition_of(edge.guards), edge.location, holds, appliance is None or bool(holds)
        )
        for edge in graph.edges
        if edge.parent in names and edge.child in names
        for holds in [_taken_by(edge, selections, values)]
    ]
    if appliance is not None and not everything:
        edges = [edge for edge in edges if edge.is_taken]
    nodes = []
    for name in sorted(names):
        selected = tuple(sorted(each for each, selection in selections.items() if name in selection.names))
        is_selected = appliance is None or bool(selected)
        nodes.append(
            _node(workspace.description, name, selected, roots.get(name, ()), positions.get(name), is_selected)
        )
    drawn_rolls = {node.roll for node in nodes if node.roll}
    drawn: list[DrawnOrder] = []
    if orders:
        known = {name for order in graph.orders for name in (order.before, order.after)}
        drawn = _join_orders(graph.orders, names | {HEAD, TAIL} | (known if appliance is None else set()))
    points = {name for order in drawn for name in (order.before, order.after)} - names
    what = "all appliances" if appliance is None else f"appliance {appliance.name}"
    return Drawing(
        title=f"Graph {workspace.choice.graph}: {what}",
        subtitle=f"{workspace.release.name}, {_counted(len(nodes), 'node')}, {_counted(len(edges), 'edge')}",
        appliances=tuple(sorted(appliances, key=lambda each: each.name)),
        nodes=tuple(nodes),
        edges=tuple(sorted(edges, key=lambda edge: (edge.parent, edge.child, edge.condition, edge.location))),
        orders=tuple(sorted(drawn, key=lambda order: (order.before, order.after, order.location))),
        points=tuple(sorted(points)),
        palette=tuple(sorted({roll.name for roll in workspace.rolls if not roll.only_graphs} | drawn_rolls)),
        findings=tuple(findings),
    )


def _node(
    description: Description,
    name: str,
    appliances: tuple[str, ...],
    roots: tuple[str, ...],
    position: int | None,
    is_selected: bool,
) -> DrawnNode:
    try:
        node = description.node(name)
    except RollbuildError as error:
        # A picture helps most while something is still wrong: draw the node, and say what is.
        problem = f"{error.location}: {error.message}" if error.location else error.message
        return DrawnNode(name, "", (), "", appliances, roots, position, is_selected, problem)
    files = tuple(file.path for file in node.files)
    roll = node.files[0].roll
    return DrawnNode(name, roll, files, node.description.strip(), appliances, roots, position, is_selected)


def _taken_by(
    edge: Edge, selections: Mapping[str, Selection], values: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name, selection in selections.items()
            if edge.parent in selection.names and edge.holds(values[name])
        )
    )


def _reach(graph: Graph, root: str) -> set[str]:
    """The nodes below a root, whatever the conditions say."""
    children = children_of(graph)
    reached = {root}
    queue = [root]
    for parent in queue:
        for edge in children.get(parent, ()):
            if edge.child not in reached:
                reached.add(edge.child)
                queue.append(edge.child)
    return reached


def _positions(graph: Graph, names: Collection[str], findings: list[Finding]) -> dict[str, int]:
    try:
        ranked = rank_names(graph.orders)
    except RollbuildError as error:
        message = f"positions are left out: {error.message}"
        findings.append(warning("ORDER-CYCLE", message, error.location, error.hint))
        return {}
    return {name: index for index, name in enumerate(order_nodes(ranked, names), 1)}


def _join_orders(orders: tuple[Order, ...], names: Collection[str]) -> list[DrawnOrder]:
    """The orders between the names, also those that hold through names that are absent."""
    after: dict[str, dict[str, Order]] = {}
    for order in sorted(orders, key=lambda order: (order.before, order.after, order.location)):
        after.setdefault(order.before, {}).setdefault(order.after, order)
    return [drawn for name in sorted(after) if name in names for drawn in _followers(name, after, names)]


def _followers(start: str, after: Mapping[str, Mapping[str, Order]], names: Collection[str]) -> Iterator[DrawnOrder]:
    seen = {start}
    queue: list[tuple[str, tuple[str, ...], Location | None]] = [(start, (), None)]
    for name, through, first in queue:
        for follower, order in after.get(name, {}).items():
            if follower in seen:
                continue
            seen.add(follower)
            place = first or order.location
            if follower not in names:
                queue.append((follower, (*through, follower), place))
            elif not (start == HEAD and follower == TAIL and through):
                yield DrawnOrder(start, follower, place, through)


def _place(location: Location) -> dict[str, object]:
    return {"file": location.file, "line": location.line}


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
