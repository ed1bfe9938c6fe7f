"""How an appliance comes to a node, or why it does not."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rollbuild.commands._remedy import find_remedy
from rollbuild.commands._shown import (
    Secrets,
    hide_secrets,
    place_data,
    place_of,
    printable,
    show_values,
    values_of,
)
from rollbuild.compiler import Profile, Selection, Target, children_of
from rollbuild.errors import RollbuildError
from rollbuild.language import HEAD, TAIL, Appliance, Edge, Graph, Guard, Node, condition_of
from rollbuild.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Answer:
    """An explanation: as data, and as lines for people."""

    data: Mapping[str, object]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """What an explanation works with: one appliance and what it selects.

    `names` are the nodes in compile order.
    """

    workspace: Workspace
    appliance: Appliance
    target: Target
    selection: Selection
    names: tuple[str, ...]
    secrets: Secrets

    @cached_property
    def profile(self) -> Profile:
        """What the appliance compiles to: nodes are explained without it, also when it does not compile."""
        return self.workspace.compiler.compile(self.target)

    @property
    def attributes(self) -> Mapping[str, str]:
        """The appliance's attribute values."""
        return self.target.attributes

    def hide(self, text: str) -> str:
        """A text without the values of secret attributes, fit for a terminal."""
        return printable(hide_secrets(text, self.attributes, self.secrets))

    def hide_lines(self, text: str) -> str:
        """The same for a text of several lines in JSON, which needs no care for terminals."""
        return hide_secrets(text, self.attributes, self.secrets)

    def node_of(self, file: str) -> Node | None:
        """The node of the appliance that a node file belongs to."""
        for name in self.names:
            node = self.workspace.description.node(name)
            if any(part.path == file for part in node.files):
                return node
        return None

    def condition(self, guards: Sequence[Guard]) -> str:
        """` if CONDITION (its values)`; empty where there is none."""
        if not guards:
            return ""
        return f" if {condition_of(guards)} ({show_values(values_of(guards, self.attributes, self.secrets))})"

    def condition_data(self, guards: Sequence[Guard]) -> dict[str, object]:
        """The condition (null where there is none), whether it holds, and its values."""
        return {
            "condition": condition_of(guards) or None,
            "holds": all(guard.holds(self.attributes) for guard in guards),
            "values": values_of(guards, self.attributes, self.secrets),
        }

    def falsity(self, guards: Sequence[Guard]) -> str:
        """What is false about the guards and what would make them true: `xen is not defined; -A xen=true`."""
        values = show_values(values_of(guards, self.attributes, self.secrets))
        remedy = find_remedy(guards, self.attributes)
        return f"{condition_of(guards)} is false: {values}" + (f"; {remedy} would make it true" if remedy else "")

    def short_path(self, name: str) -> str:
        """`compute -> base -> ssh`."""
        return " -> ".join((self.selection.root, *(edge.child for edge in self.selection.path_to(name))))

    def edge_data(self, edge: Edge) -> dict[str, object]:
        """One edge, with its condition."""
        return {
            "from": edge.parent,
            "to": edge.child,
            "roll": edge.roll,
            **place_data(edge.location),
            **self.condition_data(edge.guards),
        }


def nearest_path(graph: Graph, root: str, name: str, attributes: Mapping[str, str]) -> tuple[Edge, ...] | None:
    """The path from the root with the fewest false edges, then the shortest; None when no edges lead there."""
    children = children_of(graph)
    done: set[str] = set()
    counter = 0  # of equal paths the one found first counts
    waiting: list[tuple[int, int, int, str, tuple[Edge, ...]]] = [(0, 0, counter, root, ())]
    while waiting:
        false, length, _, node, path = heapq.heappop(waiting)
        if node == name:
            return path
        if node in done:
            continue
        done.add(node)
        for edge in children.get(node, ()):
            if edge.child not in done:
                counter += 1
                cost = false + (not edge.holds(attributes))
                heapq.heappush(waiting, (cost, length + 1, counter, edge.child, (*path, edge)))
    return None


def explain_node(question: Question, name: str) -> Answer:
    """Why a node is part of an appliance and at its place in the order, or why it is not."""
    if name not in question.selection.names:
        return explain_absence(question, name)
    path = question.selection.path_to(name)
    lines = [f"node {name} is part of {question.appliance.name}"]
    if not path:
        lines.append("  it is the root")
    for edge in path:
        lines.append(f"  {edge.parent} -> {edge.child}  {place_of(edge.location)}{question.condition(edge.guards)}")
    others = [
        edge
        for edge in question.workspace.description.graph.edges
        if edge.child == name and edge.parent in question.selection.names and edge not in path
    ]
    others = [edge for edge in others if edge.holds(question.attributes)]
    if others:
        lines.append("also included by:")
        lines += [f"  {edge.parent}  {place_of(edge.location)}{question.condition(edge.guards)}" for edge in others]
    order_data, order_lines = _explain_order(question, name)
    file_data, file_lines = _explain_files(question, name)
    data = {
        "subject": "node",
        "name": name,
        "selected": True,
        "path": [question.edge_data(edge) for edge in path],
        "also": [question.edge_data(edge) for edge in others],
        **order_data,
        "files": file_data,
    }
    return Answer(data, (*lines, *order_lines, *file_lines))


def _explain_order(question: Question, name: str) -> tuple[dict[str, object], list[str]]:
    position = question.names.index(name) + 1
    lines = [f"order: {position} of {len(question.names)}"]
    data = []
    for order in question.workspace.description.graph.orders:
        if name not in (order.before, order.after):
            continue
        other = order.after if order.before == name else order.before
        relation = "before" if order.before == name else "after"
        known = other in question.selection.names or other in (HEAD, TAIL)
        data.append({"relation": relation, "node": other, "selected": known, **place_data(order.location)})
        absent = "" if known else "  (not part of this appliance; the order passes through it)"
        lines.append(f"  {relation} {other}  {place_of(order.location)}{absent}")
    if not data:
        lines.append(f"  no order names it: such nodes come alphabetically at {TAIL}")
    return {"position": position, "of": len(question.names), "orders": data}, lines


def _explain_files(question: Question, name: str) -> tuple[list[dict[str, object]], list[str]]:
    lines = ["files:"]
    data: list[dict[str, object]] = []
    try:
        node = question.workspace.description.node(name)
    except RollbuildError as problem:
        return [], [f"no file that can be read: {problem.message}"]
    for file in node.files:
        lines.append(f"  {file.path}  (roll {file.roll})")
        data.append({"file": file.path, "roll": file.roll})
    return data, lines


def explain_absence(question: Question, name: str) -> Answer:
    """Why a node is not part of an appliance: the nearest path, with what is false on it."""
    graph = question.workspace.description.graph
    appliance = question.appliance.name
    path = nearest_path(graph, question.selection.root, name, question.attributes)
    lines = [f"node {name} is not part of {appliance}"]
    if path is None:
        parents = list(dict.fromkeys(edge.parent for edge in graph.edges if edge.child == name))
        lines.append(f"  no edges lead from {question.selection.root} to it")
        lines.append(f"  included by: {', '.join(parents)}" if parents else "  no edge includes it")
        return Answer(
            {"subject": "node", "name": name, "selected": False, "path": None, "included_by": parents}, tuple(lines)
        )
    for edge in path:
        lines.append(f"  {edge.parent} -> {edge.child}  {place_of(edge.location)}")
        if edge.holds(question.attributes):
            if edge.guards:
                lines[-1] += question.condition(edge.guards)
        else:
            lines.append(f"    {question.falsity(edge.guards)}")
    data = []
    for edge in path:
        remedy = "" if edge.holds(question.attributes) else find_remedy(edge.guards, question.attributes)
        data.append({**question.edge_data(edge), "remedy": remedy or None})
    return Answer({"subject": "node", "name": name, "selected": False, "path": data}, tuple(lines))
