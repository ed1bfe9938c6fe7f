"""The graph as one page to pan, zoom, search and read; it needs no network and runs no text of a roll."""

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files

from rollbuild.drawing.drawing import Drawing
from rollbuild.drawing.style import clean, roll_rules
from rollbuild.drawing.svg import draw_svg

_MARK = re.compile(r"/\*\{(\w+)\}\*/|<!--\{(\w+)\}-->")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def draw_html(drawing: Drawing) -> str:
    """The page: the SVG drawing, and the data of the drawing as JSON for the script beside it."""
    template = (files("rollbuild.drawing") / "graph.html").read_text(encoding="utf-8")
    script = _SCRIPT.search(template)
    digest = hashlib.sha256(script[1].encode() if script else b"").digest()
    parts = {
        "title": escape(clean(drawing.title)),
        "subtitle": escape(clean(drawing.subtitle)),
        # The page runs this one script and no other, whatever a roll smuggles into a text.
        "policy": f"'sha256-{base64.b64encode(digest).decode()}'",
        "darkrolls": roll_rules(drawing, dark=True),
        "svg": draw_svg(drawing, embedded=True),
        "data": _data(drawing),
    }
    # One pass: a mark inside what was put in is text.
    return _MARK.sub(lambda mark: parts[mark[1] or mark[2]], template)


def _data(drawing: Drawing) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or open a comment."""
    values = drawing.as_json() | {
        "rolls": list(drawing.rolls),
        "selected": [node.is_selected for node in drawing.nodes],
        "links": list(dict.fromkeys((edge.parent, edge.child) for edge in drawing.edges)),
    }
    text = clean(json.dumps(values, sort_keys=True, ensure_ascii=False))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
