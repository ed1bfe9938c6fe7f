"""What an attribute is, who sets it, and who uses it."""

from rollbuild.commands._paths import Answer, Question
from rollbuild.commands._shown import place_data, place_of, show_value
from rollbuild.commands._uses import Use, collect_uses, resolve_attributes
from rollbuild.errors import RollbuildError
from rollbuild.language import Attribute, did_you_mean

_KINDS = {"edge": "condition of an edge", "condition": "condition", "text": "text", "template": "template"}


def explain_attribute(question: Question, name: str) -> Answer:
    """Its value, scope and place, the values that it hides, and every place that uses it.

    Raises RollbuildError when nobody sets, declares or uses it.
    """
    workspace = question.workspace
    attributes = resolve_attributes(workspace, question.target)
    uses = collect_uses(workspace, question.selection, question.names)
    own = tuple(use for use in uses if use.name == name)
    declared = workspace.declared.get(name)
    attribute = attributes.get(name)
    if attribute is None and not own and declared is None:
        known = {*attributes, *(use.name for use in uses)}
        hint = did_you_mean(name, known) or f"`rollbuild list attributes {question.appliance.name}` lists them"
        raise RollbuildError(f"nobody sets or uses attribute {name}", hint=hint)
    hidden = _hidden_values(question, name, attribute)
    lines = [_describe(question, name, attribute)]
    if attribute is None:
        lines.append(f"  -A {name}=VALUE would set it")
    for scope, other in hidden:
        value = show_value(name, other.value, question.secrets)
        lines.append(f"  hides {value or 'an empty value'}  {scope}  {place_of(other.location)}")
    if declared:
        lines.append(f"  declared at {place_of(declared.location)}: {declared.description or 'no description'}")
    lines += [f"used in {len(own)} place{'' if len(own) == 1 else 's'}:"] if own else ["not used by this appliance"]
    lines += [_use_line(question, use) for use in own]
    data = {
        "subject": "attribute",
        "name": name,
        "value": show_value(name, attribute.value, question.secrets) if attribute else None,
        "scope": attribute.scope if attribute else None,
        **place_data(attribute.location if attribute else None),
        "description": declared.description if declared else "",
        "hides": [
            {
                "value": show_value(name, other.value, question.secrets),
                "scope": scope,
                **place_data(other.location),
            }
            for scope, other in hidden
        ],
        "uses": [
            {
                "node": use.node or None,
                "kind": use.kind,
                "counts": use.counts(question.attributes),
                **place_data(use.location),
            }
            for use in own
        ],
    }
    return Answer(data, tuple(lines))


def _describe(question: Question, name: str, attribute: Attribute | None) -> str:
    if attribute is None:
        return f"attribute {name} is not defined for {question.appliance.name}"
    value = show_value(name, attribute.value, question.secrets)
    place = f"  {place_of(attribute.location)}" if attribute.location else ""
    return f"attribute {name} is {value or 'empty'}  ({attribute.scope}){place}"


def _hidden_values(question: Question, name: str, attribute: Attribute | None) -> list[tuple[str, Attribute]]:
    """The values in other layers that hold for the appliance too, the highest first."""
    target = question.target
    chosen = {"os": "linux", "appliance": target.appliance, "rack": "0", "host": target.name}
    layers = question.workspace.attributes.layers
    found = []
    for scope in ("command line", "host", "rack", "appliance", "os", "global", "default"):
        other = layers.get((scope, chosen.get(scope, "")), {}).get(name)
        if other is not None and other is not attribute:
            found.append((f"{scope} {chosen.get(scope, '')}".strip(), other))
    return found


def _use_line(question: Question, use: Use) -> str:
    who = f"node {use.node}" if use.node else "graph"
    off = "" if use.counts(question.attributes) else ", which is left out here: its condition is false"
    return f"  {who}  {place_of(use.location)}  ({_KINDS[use.kind]}{off})"
