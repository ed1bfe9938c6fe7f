"""Which nodes an appliance is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from rollbuild.language import Edge, Graph


@dataclass(frozen=True, slots=True)
class Selection:
    """The nodes that a root reaches; `by` has the edge that first reached each but the root."""

    root: str
    names: frozenset[str]
    by: Mapping[str, Edge]

    def path_to(self, name: str) -> tuple[Edge, ...]:
        """The edges from the root to a selected node."""
        edges: list[Edge] = []
        while name in self.by:
            edge = self.by[name]
            edges.append(edge)
            name = edge.parent
        return tuple(reversed(edges))


def children_of(graph: Graph) -> dict[str, list[Edge]]:
    """The edges of each parent, in the order of the files."""
    children: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        children.setdefault(edge.parent, []).append(edge)
    return children


def select_nodes(graph: Graph, root: str, attributes: Mapping[str, str]) -> Selection:
    """Every node that the root reaches by edges whose conditions hold; false edges are pruned in all forms.

    Breadth first, so that `by` holds a shortest path.
    """
    children = children_of(graph)
    by: dict[str, Edge] = {}
    reached = {root}
    queue = [root]
    for parent in queue:
        for edge in children.get(parent, ()):
            if edge.child not in reached and edge.holds(attributes):
                reached.add(edge.child)
                by[edge.child] = edge
                queue.append(edge.child)
    return Selection(root, frozenset(reached), by)
