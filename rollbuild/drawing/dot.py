"""The graph as text for Graphviz."""

from collections.abc import Mapping

from rollbuild.drawing.drawing import Drawing, DrawnEdge, DrawnNode
from rollbuild.drawing.style import Tint, clean, tints_of


def draw_dot(drawing: Drawing) -> str:
    """Graphviz text: equal bytes for equal drawings."""
    tints = tints_of(drawing)
    lines = [
        "digraph rollbuild {",
        f"  graph [rankdir=LR, nodesep=0.12, ranksep=0.8, labelloc=t, fontname=Helvetica, "
        f"label={_text(f'{drawing.title} ({drawing.subtitle})')}];",
        '  node [shape=box, style="filled,rounded", fontname=Helvetica, fontsize=11, height=0.3, margin="0.12,0.04"];',
        '  edge [fontname=Helvetica, fontsize=9, color="#5b6875", arrowsize=0.6];',
        "",
    ]
    lines += [_node_line(node, tints) for node in drawing.nodes]
    lines += [f'  {_id(name)} [label={_text(name)}, shape=plaintext, style=""];' for name in drawing.points]
    lines.append("")
    lines += [_edge_line(edge) for edge in drawing.edges]
    if drawing.orders:
        lines.append("")
    for order in drawing.orders:
        through = f", through {', '.join(order.through)}" if order.through else ""
        tip = f"{order.before} before {order.after} ({order.location}{through})"
        lines.append(
            f"  {_id(order.before)} -> {_id(order.after)} "
            f'[style=dotted, color="#b3541e", arrowhead=open, constraint=false, tooltip={_text(tip)}];'
        )
    if drawing.rolls:
        lines += ["", "  subgraph cluster_legend {", '    label="rolls"; color="#b9c2cc"; fontsize=11;']
        for roll in drawing.rolls:
            tint = tints[roll]
            lines.append(
                f'    {_id(f"roll:{roll}")} [label={_text(roll)}, shape=box, fillcolor="{tint.fill}", '
                f'color="{tint.line}"];'
            )
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _node_line(node: DrawnNode, tints: Mapping[str, Tint]) -> str:
    label = f"{node.position}. {node.name}" if node.position else node.name
    tip = node.problem or node.summary or node.name
    given = {"label": _text(label), "tooltip": _text(f"{tip} (roll {node.roll})" if node.roll else tip)}
    if node.roots:
        given["label"] = _text(f"{label}\nappliance {', '.join(node.roots)}")
        given |= {"shape": "cds", "penwidth": "2.5", "margin": '"0.3,0.1"', "fontname": '"Helvetica-Bold"'}
    if node.roll:
        tint = tints[node.roll]
        given |= {"fillcolor": f'"{tint.fill}"', "color": f'"{tint.line}"'}
    else:
        given |= {"fillcolor": '"#ffffff"', "color": '"#b00020"', "style": '"filled,dashed"'}
    if not node.is_selected:
        given |= {"fillcolor": '"#f4f5f7"', "color": '"#aab2bb"', "fontcolor": '"#76808a"', "style": '"filled,dashed"'}
    return f"  {_id(node.name)} [{', '.join(f'{key}={value}' for key, value in given.items())}];"


def _edge_line(edge: DrawnEdge) -> str:
    tip = f"{edge.parent} to {edge.child} ({edge.location})"
    given = {"tooltip": _text(tip)}
    if edge.condition:
        given |= {"label": _text(edge.condition), "labeltooltip": _text(tip)}
    if not edge.is_taken:
        given |= {"style": "dashed", "color": '"#aab2bb"', "fontcolor": '"#76808a"'}
    listed = ", ".join(f"{key}={value}" for key, value in given.items())
    return f"  {_id(edge.parent)} -> {_id(edge.child)} [{listed}];"


def _id(name: str) -> str:
    # Only the quote is special in a name; one that ends in a backslash would eat it.
    return '"' + clean(name).replace("\\", "/").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    """A quoted label: Graphviz reads backslashes, entities and line breaks in it."""
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + escaped.replace("\n", "\\n") + '"'
