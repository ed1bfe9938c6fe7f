"""`rollbuild graph`: a picture of the graph, or of one appliance, as text, drawing or page."""

import json
import os

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.drawing import Drawing, draw_dot, draw_html, draw_svg, make_drawing
from rollbuild.errors import REFUSED, USAGE, RollbuildError
from rollbuild.files import write_atomically
from rollbuild.findings import Severity, in_order
from rollbuild.workspace import Choice, make_workspace

_ENDINGS = {".dot": "dot", ".gv": "dot", ".svg": "svg", ".html": "html", ".htm": "html", ".json": "json"}


@click.command(name="graph")
@click.argument("appliance", required=False, metavar="[APPLIANCE]")
@workspace_options
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["dot", "svg", "html", "json"]),
    help="dot (for Graphviz), svg, html (one page to pan, zoom and search) or json.  [by the ending of -o, else dot]",
)
@click.option("--order", "orders", is_flag=True, help="Show too which node comes before which.")
@click.option("--all", "everything", is_flag=True, help="Show too, dashed, what the attributes leave out.")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where it goes.  [standard output]")
@common_options
@pass_session
def command(
    session: Session,
    /,
    appliance: str | None,
    format_name: str | None,
    orders: bool,
    everything: bool,
    output: str,
    **choice: object,
) -> int:
    """Draw the graph: all of it with its conditions, or what APPLIANCE takes for its attributes."""
    format_name = format_name or _format_of(output)
    workspace = make_workspace(Choice(**choice))  # type: ignore[arg-type]
    chosen = None
    if appliance is not None or workspace.choice.root:
        chosen = workspace.chosen_appliances(() if appliance is None else (appliance,))[0]
    drawing = make_drawing(workspace, chosen, orders=orders, everything=everything)
    # Bytes of file names that are no text stay visible, and valid as JSON.
    content = _draw(drawing, format_name).encode("utf-8", "backslashreplace")
    if output == "-":
        session.console.data(content)
    else:
        write_atomically(output, content)
        size = f"{counted(len(drawing.nodes), 'node')}, {counted(len(drawing.edges), 'edge')}"
        session.console.say(f"wrote {output} ({size})")
    findings = in_order(drawing.findings)
    for finding in findings:
        if finding.severity is not Severity.NOTE or session.console.verbosity > 0:
            session.console.print_finding(finding)
    return REFUSED if any(finding.severity is Severity.ERROR for finding in findings) else 0


def _format_of(output: str) -> str:
    ending = os.path.splitext(output)[1].lower()
    if output == "-" or not ending:
        return "dot"
    if ending not in _ENDINGS:
        raise RollbuildError(
            f"there is no format for {ending}",
            hint=f"end the name in {', '.join(_ENDINGS)}, or say --format; Graphviz makes others out of dot",
            exit_code=USAGE,
        )
    return _ENDINGS[ending]


def _draw(drawing: Drawing, format_name: str) -> str:
    match format_name:
        case "json":
            return json.dumps(drawing.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        case "svg":
            return draw_svg(drawing)
        case "html":
            return draw_html(drawing)
        case _:
            return draw_dot(drawing)
