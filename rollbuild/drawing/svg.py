"""The graph as a drawing of its own, without any other program."""

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from rollbuild.drawing.drawing import Drawing, DrawnNode, DrawnOrder
from rollbuild.drawing.layout import Link, Route
from rollbuild.drawing.sheet import (
    CHARACTER,
    LABEL_GAP,
    MARGIN,
    NO_FILE,
    Sheet,
    measure_drawing,
    shown_roots,
)
from rollbuild.drawing.style import DEFINITIONS, STYLE, STYLE_OUT, clean, roll_rules, tints_of

_HEADING = 74.0
_LEGEND_LINE = 24.0


def draw_svg(drawing: Drawing, *, embedded: bool = False) -> str:
    """The drawing as SVG; `embedded` leaves out what the page around it brings: heading, legend and paper."""
    sheet = measure_drawing(drawing)
    top = MARGIN + (0 if embedded else _HEADING)
    band = 46.0 if "HEAD" in drawing.points else 0.0
    places = _place_points(sheet, top, band)
    bottom = max([top + band + sheet.layout.height, *(y + 12 for _, y in places.values())])
    right = max([sheet.lefts[-1] + sheet.widths[-1] if sheet.lefts else 0, 620.0]) + MARGIN
    legend = [] if embedded else _legend(drawing, bottom + 34, right)
    height = bottom + MARGIN + (34 + _legend_height(drawing, right) if legend else 0)
    shift = top + band
    body = [
        *_links(sheet, shift),
        *_orders(sheet, places, shift),
        *(_node(sheet, index, node, shift) for index, node in enumerate(drawing.nodes)),
        *(_point(name, x, y) for name, (x, y) in sorted(places.items())),
    ]
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(right)} {_n(height)}" '
        f'width="{_n(right)}" height="{_n(height)}" role="{"group" if embedded else "img"}" '
        f'aria-label="{_xml(f"{drawing.title}, {drawing.subtitle}")}">',
        f"<style>\n{STYLE}{roll_rules(drawing)}{STYLE_OUT}</style>",
        DEFINITIONS,
    ]
    if not embedded:
        head += [
            f"<title>{_xml(drawing.title)}</title>",
            '<rect class="paper" width="100%" height="100%"/>',
            f'<text class="heading" x="{_n(MARGIN)}" y="46">{_xml(drawing.title)}</text>',
            f'<text class="subtitle" x="{_n(MARGIN)}" y="68">{_xml(drawing.subtitle)}</text>',
        ]
    lines = [*head, '<g id="scene">', *body, "</g>", *legend, "</svg>", ""]
    return "\n".join(lines)


def _links(sheet: Sheet, shift: float) -> Iterable[str]:
    pills = []
    for number, (link, indexes) in enumerate(sheet.links.items()):
        edges = [sheet.drawing.edges[index] for index in indexes]
        is_taken = any(edge.is_taken for edge in edges)
        classes = "edge" if is_taken else "edge out"
        tip = "\n".join(
            f"{edge.parent} \N{RIGHTWARDS ARROW} {edge.child}"
            f"{f' when {edge.condition}' if edge.condition else ''} ({edge.location})"
            for edge in edges
        )
        route = sheet.layout.routes.get(link)
        path = _loop(sheet, link[0], shift) if route is None else _path(sheet, link, route, shift)
        mark = "start" if route and route.is_backward else "end"
        yield (
            f'<g class="{classes}" data-link="{number}"><title>{_xml(tip)}</title>'
            f'<path d="{path}" marker-{mark}="url(#arrow)"/></g>'
        )
        if link in sheet.labels and route is not None:
            pills.append(_pill(sheet, link, route, number, shift, is_taken))
    yield from pills


def _path(sheet: Sheet, link: Link, route: Route, shift: float) -> str:
    start, end = link[::-1] if route.is_backward else link
    column = sheet.layout.columns[start]
    x, y = sheet.right(start), sheet.layout.heights[start]
    pieces = [f"M{_n(x + (7 if route.is_backward else 0))} {_n(y + shift)}"]
    for bend in (*route.bends, sheet.ports[link]):
        column += 1
        stop = sheet.lefts[column] - sheet.zones[column]
        middle = (x + stop) / 2
        pieces.append(f"C{_n(middle)} {_n(y + shift)} {_n(middle)} {_n(bend + shift)} {_n(stop)} {_n(bend + shift)}")
        is_end = column == sheet.layout.columns[end]
        x = (
            sheet.lefts[column] - (0 if route.is_backward else 1)
            if is_end
            else sheet.lefts[column] + sheet.widths[column]
        )
        pieces.append(f"H{_n(x)}")
        y = bend
    return "".join(pieces)


def _loop(sheet: Sheet, name: str, shift: float) -> str:
    x, y = sheet.right(name), sheet.layout.heights[name] + shift
    return f"M{_n(x)} {_n(y)}c26 0 26 -22 0 -22h-8v9"


def _pill(sheet: Sheet, link: Link, route: Route, number: int, shift: float, is_taken: bool) -> str:
    label = sheet.labels[link]
    end = link[0] if route.is_backward else link[1]
    x = sheet.left(end) - LABEL_GAP - label.width
    y = sheet.ports[link] + shift
    return (
        f'<g class="{"pill" if is_taken else "pill out"}" data-link="{number}"><title>{_xml(label.full)}</title>'
        f'<rect x="{_n(x)}" y="{_n(y - 7)}" width="{_n(label.width)}" height="14" rx="7"/>'
        f'<text x="{_n(x + label.width / 2)}" y="{_n(y + 3.2)}">{_xml(label.text)}</text></g>'
    )


def _node(sheet: Sheet, index: int, node: DrawnNode, shift: float) -> str:
    rolls = sheet.drawing.rolls
    x, width = sheet.left(node.name), sheet.widths[sheet.layout.columns[node.name]]
    height = sheet.box_heights[node.name]
    y = sheet.layout.heights[node.name] + shift
    classes = ["node", f"r{rolls.index(node.roll)}" if node.roll else "nofile"]
    classes += ["root"] if node.roots else []
    classes += [] if node.is_selected else ["out"]
    tab = ""
    if node.roll:
        is_striped = tints_of(sheet.drawing)[node.roll].is_striped
        tab = f'<rect class="tab" x="{_n(x)}" y="{_n(y - height / 2)}" width="5" height="{_n(height)}"/>'
        if is_striped:
            tab += f'<rect class="tab" x="{_n(x + 7)}" y="{_n(y - height / 2)}" width="2" height="{_n(height)}"/>'
    base = y - 3 if node.roots else y + 4
    number = ""
    if node.position:
        number = f'<tspan class="number">{node.position}</tspan> '
    texts = [
        f'<text class="name" x="{_n(x + 14)}" y="{_n(base)}">{number}{_xml(node.name)}</text>',
        f'<text class="roll" x="{_n(x + width - 9)}" y="{_n(base)}">{_xml(node.roll or NO_FILE)}</text>',
    ]
    if node.roots:
        texts.append(f'<text class="appliance" x="{_n(x + 14)}" y="{_n(base + 14)}">{_xml(shown_roots(node))}</text>')
    tip = "\n".join(filter(None, [f"{node.name} ({node.roll or NO_FILE})", node.problem or node.summary]))
    return (
        f'<g class="{" ".join(classes)}" data-node="{index}"><title>{_xml(tip)}</title>'
        f'<rect class="box" x="{_n(x)}" y="{_n(y - height / 2)}" width="{_n(width)}" height="{_n(height)}" rx="3"/>'
        f"{tab}{''.join(texts)}</g>"
    )


def _place_points(sheet: Sheet, top: float, band: float) -> dict[str, tuple[float, float]]:
    """The middle of the names that are no nodes: HEAD above all, the others in lines below, TAIL last."""
    points = sheet.drawing.points
    places: dict[str, tuple[float, float]] = {}
    right = sheet.lefts[-1] + sheet.widths[-1] if sheet.lefts else 620.0
    if "HEAD" in points:
        places["HEAD"] = (MARGIN + 40, top + 12)
    x, y = MARGIN, top + band + sheet.layout.height + 44
    for name in (
        *(point for point in points if point not in ("HEAD", "TAIL")),
        *(["TAIL"] if "TAIL" in points else []),
    ):
        width = len(name) * CHARACTER + 26
        if name == "TAIL":
            x = max(x, right - width)
        if x > MARGIN and x + width > max(right, 620.0) + 1:
            x, y = MARGIN, y + 34
        places[name] = (x + width / 2, y)
        x += width + 14
    return places


def _point(name: str, x: float, y: float) -> str:
    width = len(name) * CHARACTER + 22
    return (
        f'<g class="point" data-point="{_xml(name)}"><title>{_xml(name)} is a place in the order, not a node</title>'
        f'<rect x="{_n(x - width / 2)}" y="{_n(y - 12)}" width="{_n(width)}" height="24" rx="12"/>'
        f'<text x="{_n(x)}" y="{_n(y + 4)}">{_xml(name)}</text></g>'
    )


def _orders(sheet: Sheet, places: Mapping[str, tuple[float, float]], shift: float) -> Iterable[str]:
    for index, order in enumerate(sheet.drawing.orders):
        through = f", through {', '.join(order.through)}" if order.through else ""
        tip = f"{order.before} before {order.after} ({order.location}{through})"
        yield (
            f'<g class="order" data-order="{index}"><title>{_xml(tip)}</title>'
            f'<path d="{_order_path(sheet, order, places, shift)}" marker-end="url(#later)"/></g>'
        )


def _order_path(sheet: Sheet, order: DrawnOrder, places: Mapping[str, tuple[float, float]], shift: float) -> str:
    columns, heights = sheet.layout.columns, sheet.layout.heights
    one, other = order.before, order.after
    if one in places or other in places:
        x1, y1 = places[one] if one in places else (sheet.left(one) + 9, heights[one] + shift)
        x2, y2 = places[other] if other in places else (sheet.left(other) + 9, heights[other] + shift)
        y1 += (12 if one in places else sheet.box_heights[one] / 2) * (1 if y2 > y1 else -1)
        y2 -= (14 if other in places else sheet.box_heights[other] / 2 + 2) * (1 if y2 > y1 else -1)
        bow = (y2 - y1) / 2
        return f"M{_n(x1)} {_n(y1)}C{_n(x1)} {_n(y1 + bow)} {_n(x2)} {_n(y2 - bow)} {_n(x2)} {_n(y2)}"
    y1, y2 = heights[one] + shift + 5, heights[other] + shift - 5
    if columns[one] == columns[other]:
        x = sheet.right(one)
        bow = min(14 + abs(y2 - y1) * 0.12, 60)
        return f"M{_n(x)} {_n(y1)}C{_n(x + bow)} {_n(y1)} {_n(x + bow)} {_n(y2)} {_n(x + 2)} {_n(y2)}"
    ahead = columns[one] < columns[other]
    x1 = sheet.right(one) if ahead else sheet.left(one)
    x2 = sheet.left(other) - 2 if ahead else sheet.right(other) + 2
    bow = (x2 - x1) / 2
    return f"M{_n(x1)} {_n(y1)}C{_n(x1 + bow)} {_n(y1)} {_n(x2 - bow)} {_n(y2)} {_n(x2)} {_n(y2)}"


def _legend_height(drawing: Drawing, right: float) -> float:
    return max((y for *_, y in _legend_places(drawing, 0, right)), default=0.0) + _LEGEND_LINE


def _legend_places(drawing: Drawing, y: float, right: float) -> Iterable[tuple[str, str, float, float]]:
    """(kind, text, x, y) of each entry, in lines as wide as the drawing."""
    entries = [("roll", roll) for roll in drawing.rolls]
    entries += [("nofile", NO_FILE)] if any(not node.roll for node in drawing.nodes) else []
    entries.append(("edge", "includes"))
    entries += [("pill", "only under a condition")] if any(edge.condition for edge in drawing.edges) else []
    entries += [("out", "left out by its condition")] if any(not edge.is_taken for edge in drawing.edges) else []
    entries += [("order", "comes before")] if drawing.orders else []
    x = MARGIN
    for kind, text in entries:
        width = len(text) * 7.0 + 56
        if x > MARGIN and x + width > right - MARGIN:
            x, y = MARGIN, y + _LEGEND_LINE
        yield kind, text, x, y
        x += width


def _legend(drawing: Drawing, y: float, right: float) -> list[str]:
    lines = ['<g class="legend">']
    tints = tints_of(drawing)
    for kind, text, x, at in _legend_places(drawing, y, right):
        match kind:
            case "roll":
                sign = f'<rect class="box" x="{_n(x)}" y="{_n(at - 8)}" width="26" height="16" rx="3"/>'
                sign += f'<rect class="tab" x="{_n(x)}" y="{_n(at - 8)}" width="5" height="16"/>'
                if tints[text].is_striped:
                    sign += f'<rect class="tab" x="{_n(x + 7)}" y="{_n(at - 8)}" width="2" height="16"/>'
                group = f"node r{drawing.rolls.index(text)}"
            case "nofile":
                sign = f'<rect class="box" x="{_n(x)}" y="{_n(at - 8)}" width="26" height="16" rx="3"/>'
                group = "node nofile"
            case "pill":
                sign = f'<rect x="{_n(x)}" y="{_n(at - 7)}" width="26" height="14" rx="7"/>'
                group = "pill"
            case _:
                mark = "later" if kind == "order" else "arrow"
                sign = f'<path d="M{_n(x)} {_n(at)}h25" marker-end="url(#{mark})"/>'
                group = {"edge": "edge", "out": "edge out", "order": "order"}[kind]
        lines.append(f'<g class="{group}">{sign}</g><text x="{_n(x + 34)}" y="{_n(at + 4)}">{_xml(text)}</text>')
    return [*lines, "</g>"]


def _n(value: float) -> str:
    """A number as short as it can be; a tenth of a pixel is fine enough."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _xml(text: str) -> str:
    return escape(clean(text), {'"': "&quot;"})
