"""Pictures of the graph: what they show, and the formats they are drawn in."""

from rollbuild.drawing.dot import draw_dot
from rollbuild.drawing.drawing import Drawing, DrawnEdge, DrawnNode, DrawnOrder, make_drawing
from rollbuild.drawing.html import draw_html
from rollbuild.drawing.svg import draw_svg

__all__ = [
    "Drawing",
    "DrawnEdge",
    "DrawnNode",
    "DrawnOrder",
    "draw_dot",
    "draw_html",
    "draw_svg",
    "make_drawing",
]
