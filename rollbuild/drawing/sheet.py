"""The measures of a drawing: where its boxes are, what stands on its links, and where each link ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rollbuild.drawing.drawing import Drawing, DrawnEdge, DrawnNode
from rollbuild.drawing.layout import Layout, Link, lay_out

NO_FILE = "(no file)"
CHARACTER = 7.25
SMALL_CHARACTER = 5.7
"""The widths of a character of a name and of small print, in pixels; both are monospaced."""
MARGIN = 28.0
LABEL_GAP = 12.0
"""Room between a label and the node behind it, for the arrow."""
_BOX = 24.0
_ROOT_BOX = 40.0
_PORT = 16.0
_LABEL_LIMIT = 30


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on a link: the condition under which the child is included, cut to a length that fits."""

    text: str
    full: str

    @property
    def width(self) -> float:
        return len(self.text) * SMALL_CHARACTER + 12


@dataclass(slots=True)
class Sheet:
    """The drawing with its measures.

    `links` are the pairs of nodes with the edges between them; `lefts` and `widths` are those of the columns, `zones`
    the room before a column for labels, and `ports` the heights at which links end on their right-hand node.
    """

    drawing: Drawing
    links: Mapping[Link, tuple[int, ...]]
    labels: Mapping[Link, Label]
    layout: Layout
    box_heights: Mapping[str, float]
    lefts: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    zones: list[float] = field(default_factory=list)
    ports: dict[Link, float] = field(default_factory=dict)

    def left(self, name: str) -> float:
        return self.lefts[self.layout.columns[name]]

    def right(self, name: str) -> float:
        column = self.layout.columns[name]
        return self.lefts[column] + self.widths[column]


def measure_drawing(drawing: Drawing) -> Sheet:
    """Lay a drawing out. Heights are those of the layout, from 0; all lengths are in pixels."""
    links: dict[Link, tuple[int, ...]] = {}
    for index, edge in enumerate(drawing.edges):
        links[edge.parent, edge.child] = (*links.get((edge.parent, edge.child), ()), index)
    labels = {}
    for link, indexes in links.items():
        if label := _label([drawing.edges[index] for index in indexes]):
            labels[link] = label
    slots: dict[str, int] = {}
    for (parent, child), _ in labels.items():
        slots[child] = slots.get(child, 0) + (parent != child)
    bare = {child for (parent, child) in links if (parent, child) not in labels}
    sizes: dict[str, float] = {}
    for node in sorted(drawing.nodes, key=lambda node: (not node.roots, node.roll, node.name)):
        lines = slots.get(node.name, 0) + (node.name in bare)
        sizes[node.name] = max(_ROOT_BOX if node.roots else _BOX, lines * _PORT if slots.get(node.name) else 0)
    roots = {node.name for node in drawing.nodes if node.roots}
    layout = lay_out(sizes, links, roots)
    sheet = Sheet(drawing, links, labels, layout, sizes)
    _assign_ports(sheet)
    _measure_columns(sheet)
    return sheet


def _label(edges: Sequence[DrawnEdge]) -> Label | None:
    texts = list(dict.fromkeys(edge.condition for edge in edges))
    if "" in texts:
        return None
    full = " or ".join(f"({text})" if len(texts) > 1 and " " in text else text for text in texts)
    full = " ".join(full.split())
    return Label(
        full if len(full) <= _LABEL_LIMIT else f"{full[: _LABEL_LIMIT - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}", full
    )


def _assign_ports(sheet: Sheet) -> None:
    """Where links end on their right-hand node: each label on a line of its own, the others together."""
    layout = sheet.layout
    arriving: dict[str, list[tuple[float, Link]]] = {}
    for link, route in layout.routes.items():
        start, end = link[::-1] if route.is_backward else link
        arriving.setdefault(end, []).append((route.bends[-1] if route.bends else layout.heights[start], link))
    for name, ends in arriving.items():
        groups: list[list[Link]] = []
        bare: list[Link] = []
        for _, link in sorted(ends):
            if link in sheet.labels:
                groups.append([link])
            elif bare:
                bare.append(link)
            else:
                bare = [link]
                groups.append(bare)
        start_y = layout.heights[name] - _PORT * (len(groups) - 1) / 2
        for index, group in enumerate(groups):
            for link in group:
                sheet.ports[link] = start_y + index * _PORT


def _measure_columns(sheet: Sheet) -> None:
    layout = sheet.layout
    count = max(layout.columns.values(), default=-1) + 1
    sheet.widths = [60.0] * count
    for node in sheet.drawing.nodes:
        column = layout.columns[node.name]
        sheet.widths[column] = max(sheet.widths[column], _width(node))
    sheet.zones = [12.0] * count
    steep = [0.0] * count
    for link, route in layout.routes.items():
        start, end = link[::-1] if route.is_backward else link
        column = layout.columns[end]
        if link in sheet.labels:
            sheet.zones[column] = max(sheet.zones[column], sheet.labels[link].width + 22)
        heights = [layout.heights[start], *route.bends, layout.heights[end]]
        for index in range(len(heights) - 1):
            at = layout.columns[start] + 1 + index
            steep[at] = max(steep[at], abs(heights[index + 1] - heights[index]))
    left = MARGIN
    for column in range(count):
        if column:
            left += 44 + min(steep[column] * 0.09, 110) + sheet.zones[column]
        sheet.lefts.append(left)
        left += sheet.widths[column]


def _width(node: DrawnNode) -> float:
    name = len(_shown_name(node)) * CHARACTER
    roll = len(node.roll or NO_FILE) * SMALL_CHARACTER
    below = len(shown_roots(node)) * SMALL_CHARACTER + 30 if node.roots else 0
    return max(name + roll + 36, below)


def _shown_name(node: DrawnNode) -> str:
    return f"{node.position} {node.name}" if node.position else node.name


def shown_roots(node: DrawnNode) -> str:
    return f"appliance {', '.join(node.roots)}"
