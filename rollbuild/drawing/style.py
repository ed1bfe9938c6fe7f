"""How a drawing looks: the colours of rolls and the style rules of what is drawn."""

import re
from dataclasses import dataclass

from rollbuild.drawing.drawing import Drawing

# Hues that people with any colour vision tell apart, in an order that keeps neighbours different.
_HUES = (
    *("0072b2", "d55e00", "009e73", "cc79a7", "8a6d00", "7b4fa3"),
    *("3a9bdc", "8c564b", "117733", "aa2255", "666666", "6b7d00"),
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Tint:
    """The colours of a roll, `#rrggbb`; `is_striped` tells it from another roll of the same hue."""

    line: str
    fill: str
    dark_line: str
    dark_fill: str
    is_striped: bool


def tints_of(drawing: Drawing) -> dict[str, Tint]:
    """The tint of each roll in a drawing; the hues repeat after twelve."""
    tints = {}
    for roll in drawing.rolls:
        index = drawing.palette.index(roll)
        hue = _HUES[index % len(_HUES)]
        tints[roll] = Tint(
            line=f"#{hue}",
            fill=_mix(hue, "ffffff", 0.13),
            dark_line=_mix(hue, "ffffff", 0.62),
            dark_fill=_mix(hue, "161b22", 0.32),
            is_striped=index // len(_HUES) % 2 == 1,
        )
    return tints


def _mix(hue: str, ground: str, share: float) -> str:
    pairs = zip(bytes.fromhex(hue), bytes.fromhex(ground), strict=True)
    return "#" + bytes(round(a * share + b * (1 - share)) for a, b in pairs).hex()


def roll_rules(drawing: Drawing, *, dark: bool = False) -> str:
    """The style rules for the rolls' colours."""
    rules = []
    for index, tint in enumerate(tints_of(drawing).values()):
        line, fill = (tint.dark_line, tint.dark_fill) if dark else (tint.line, tint.fill)
        # A page's rules must outweigh those that the drawing brings, which come after them.
        roll = f":root .r{index}" if dark else f".r{index}"
        rules.append(f"{roll} .box{{fill:{fill};stroke:{line}}} {roll} .tab{{fill:{line}}}\n")
    return "".join(rules)


def clean(text: str) -> str:
    """The text without characters that XML and UTF-8 cannot hold, such as undecodable bytes of a file name."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


DEFINITIONS = """<defs>
<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="tip" d="M0 .6L8 4L0 7.4Z"/></marker>
<marker id="later" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
markerUnits="userSpaceOnUse" orient="auto"><path class="latertip" d="M1 .8L7 4L1 7.2"/></marker>
</defs>"""

STYLE = """\
text{font:12px 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#17202a}
.paper{fill:#fff}
.heading{font:bold 20px 'DejaVu Sans',Verdana,sans-serif}
.subtitle,.legend text{font:12px 'DejaVu Sans',Verdana,sans-serif;fill:#44505c}
.box{stroke-width:1.2}
.root .box{stroke-width:2.6}
.root .name{font-weight:bold}
.number{fill:#5b6875;font-size:9.5px}
.roll,.appliance{font-size:9.5px;fill:#4b5763}
.roll{text-anchor:end}
.nofile .box{fill:#fff;stroke:#b00020;stroke-dasharray:4 3}
.edge path{fill:none;stroke:#6b7885;stroke-width:1.1}
.edge .tip,.tip{fill:#6b7885;stroke:none}
.edge.out path{stroke:#aab2bb;stroke-dasharray:5 4}
.pill rect{fill:#fff;stroke:#6b7885;stroke-width:.9}
.pill text{font-size:9.5px;text-anchor:middle}
.pill.out rect{stroke:#aab2bb;stroke-dasharray:3 2}
.order path{fill:none;stroke:#b3541e;stroke-width:1.1;stroke-dasharray:1.5 3;opacity:.75}
.latertip{fill:none;stroke:#b3541e;stroke-width:1.3}
.point rect{fill:#fff;stroke:#b3541e;stroke-width:1.2}
.point text{text-anchor:middle}
"""

STYLE_OUT = """\
.node.out .box{fill:#f7f8f9;stroke:#aab2bb;stroke-dasharray:4 3}
.node.out .tab{fill:#c6ccd2}
.node.out text,.pill.out text{fill:#66707a}
"""
