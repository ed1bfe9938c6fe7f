"""`rollbuild list`: which appliances, nodes, packages and attributes there are."""

from collections.abc import Sequence

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import Secrets, place_data, place_of, secrets_of, show_value, tell_errors
from rollbuild.commands._uses import collect_uses, resolve_attributes
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.console import Console
from rollbuild.errors import RollbuildError
from rollbuild.findings import warning
from rollbuild.language import Appliance, Attribute, Node
from rollbuild.workspace import Choice, Workspace, make_workspace

Row = Sequence[object]


@click.command(name="list")
@click.argument("what", type=click.Choice(["appliances", "nodes", "packages", "attributes"]))
@click.argument("appliance", required=False)
@workspace_options
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--show-secrets", is_flag=True, help="Show the values of passwords and other secrets too.")
@common_options
@pass_session
def command(
    session: Session, /, what: str, appliance: str | None, as_json: bool, show_secrets: bool, **choice: object
) -> None:
    """List appliances, nodes, packages or attributes: of one APPLIANCE, or of all there are.

    Of an APPLIANCE, `nodes` come in compile order and `packages` as its Kickstart has them; with --json both are
    a list of names. Everything else is a list of objects.
    """
    workspace = make_workspace(Choice(**choice))  # type: ignore[arg-type]
    console = session.console
    name = appliance or workspace.choice.root
    chosen = workspace.find_appliance(name) if name else None
    secrets = secrets_of(workspace, are_shown=show_secrets)
    data, headers, rows = _list(what, workspace, chosen, console, secrets)
    if as_json:
        console.json(data)
    else:
        console.table(headers, rows)


def _list(
    what: str, workspace: Workspace, chosen: Appliance | None, console: Console, secrets: Secrets
) -> tuple[object, Sequence[str], Sequence[Row]]:
    if what == "appliances":
        return _list_appliances(workspace, (chosen,) if chosen else workspace.appliances())
    if what == "attributes":
        if chosen:
            return _list_attributes_of(workspace, chosen, secrets)
        return _list_attributes(workspace, secrets)
    if what == "nodes":
        return _list_nodes(workspace, chosen, console)
    return _list_packages(workspace, chosen, console)


def _list_appliances(
    workspace: Workspace, appliances: Sequence[Appliance]
) -> tuple[object, Sequence[str], Sequence[Row]]:
    data, rows = [], []
    for appliance in sorted(appliances, key=lambda item: item.name):
        target = workspace.target(appliance)
        _, names = workspace.compiler.select(target.root, target.attributes)
        rows.append((appliance.name, appliance.root, appliance.membership, len(names)))
        data.append(
            {
                "name": appliance.name,
                "root": appliance.root,
                "membership": appliance.membership,
                "nodes": len(names),
                **place_data(appliance.location if appliance.location.line else None),
            }
        )
    return data, ("appliance", "root", "membership", "nodes"), rows


def _list_nodes(
    workspace: Workspace, chosen: Appliance | None, console: Console
) -> tuple[object, Sequence[str], Sequence[Row]]:
    names: Sequence[str] = workspace.description.node_names
    if chosen:
        target = workspace.target(chosen)
        _, names = workspace.compiler.select(target.root, target.attributes)
    data, rows = [], []
    for name in names:
        node = _read_node(workspace, name, console)
        description = _first_line(node.description) if node else ""
        rolls = ", ".join(dict.fromkeys(file.roll for file in node.files)) if node else "-"
        paths = [file.path for file in node.files] if node else []
        rows.append((name, rolls, description))
        data.append({"name": name, "roll": rolls if node else None, "files": paths, "description": description})
    return list(names) if chosen else data, ("node", "roll", "description"), rows


def _read_node(workspace: Workspace, name: str, console: Console) -> Node | None:
    """The node; None, with a warning, where it has no file that can be read: the others are listed all the same."""
    try:
        return workspace.description.node(name)
    except RollbuildError as problem:
        console.print_finding(warning("NODE-UNREADABLE", problem.message, problem.location, problem.hint))
        return None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _list_packages(
    workspace: Workspace, chosen: Appliance | None, console: Console
) -> tuple[object, Sequence[str], Sequence[Row]]:
    appliances = (chosen,) if chosen else workspace.chosen_appliances(())
    profiles = [workspace.compiler.compile(workspace.target(appliance)) for appliance in appliances]
    tell_errors(console, profiles)
    wanted: dict[str, dict[str, None]] = {}
    for profile in profiles:
        for name, node, _ in profile.packages:
            if not name.startswith("-"):
                wanted.setdefault(name, {})[node if chosen else profile.appliance] = None
    names = sorted(wanted)
    rows = [(name, ", ".join(wanted[name])) for name in names]
    if chosen:
        return names, ("package", "nodes"), rows
    data = [{"name": name, "appliances": list(wanted[name])} for name in names]
    return data, ("package", "appliances"), rows


def _list_attributes(workspace: Workspace, secrets: Secrets) -> tuple[object, Sequence[str], Sequence[Row]]:
    """What is declared and given, each value of each scope; declared names without a value come too."""
    described = {name: item.description for name, item in workspace.declared.items()}
    found = [
        (name, scope, key, attribute)
        for (scope, key), attributes in workspace.attributes.layers.items()
        for name, attribute in attributes.items()
    ]
    valued = {name for name, *_ in found}
    data: list[dict[str, object]] = []
    rows: list[Row] = []
    for name, scope, key, attribute in sorted(found, key=lambda item: item[:3]):
        data.append(
            {
                **_attribute_data(name, attribute, secrets),
                "for": key or None,
                "description": described.get(name, ""),
            }
        )
        value = show_value(name, attribute.value, secrets)
        place = place_of(attribute.location)
        rows.append((name, _cut(value), f"{scope} {key}".strip(), place, described.get(name, "")))
    for item in (item for name, item in workspace.declared.items() if name not in valued):
        empty = {"name": item.name, "value": None, "scope": None, "for": None, "description": item.description}
        data.append({**empty, **place_data(item.location)})
        rows.append((item.name, "-", "not given", place_of(item.location), item.description))
    data.sort(key=lambda item: str(item["name"]))
    rows.sort(key=lambda row: str(row[0]))
    return data, ("attribute", "value", "scope", "where", "description"), rows


def _attribute_data(name: str, attribute: Attribute, secrets: Secrets) -> dict[str, object]:
    value = show_value(name, attribute.value, secrets)
    return {"name": name, "value": value, "scope": attribute.scope, **place_data(attribute.location)}


def _list_attributes_of(
    workspace: Workspace, chosen: Appliance, secrets: Secrets
) -> tuple[object, Sequence[str], Sequence[Row]]:
    """What holds for an appliance and which of its nodes use it; what they use and nobody defines comes too."""
    target = workspace.target(chosen)
    selection, names = workspace.compiler.select(target.root, target.attributes)
    attributes = resolve_attributes(workspace, target)
    used: dict[str, dict[str, None]] = {}
    for use in collect_uses(workspace, selection, names):
        if use.counts(target.attributes):
            used.setdefault(use.name, {})[use.node or "(graph)"] = None
    data: list[dict[str, object]] = []
    rows: list[Row] = []
    for name in sorted({*attributes, *used}):
        by = list(used.get(name, ()))
        attribute = attributes.get(name)
        if attribute is None:
            data.append({"name": name, "value": None, "scope": None, "file": None, "line": None, "used_by": by})
            rows.append((name, "-", "not defined", "-", _shortened(by)))
        else:
            data.append({**_attribute_data(name, attribute, secrets), "used_by": by})
            value = show_value(name, attribute.value, secrets)
            rows.append((name, _cut(value), attribute.scope, place_of(attribute.location), _shortened(by)))
    return data, ("attribute", "value", "scope", "where", "used by"), rows


def _shortened(names: Sequence[str]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def _cut(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:57]}..."
