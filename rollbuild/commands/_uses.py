"""Where attributes are used: in the text of node files, in conditions, in templates."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rollbuild.compiler import Selection, Target, printed_attribute
from rollbuild.errors import RollbuildError
from rollbuild.language import (
    Attribute,
    Command,
    Copy,
    Edge,
    Eval,
    File,
    Guard,
    Node,
    Package,
    Part,
    Template,
    Text,
)
from rollbuild.location import Location
from rollbuild.workspace import Workspace

_JINJA = frozenset(("attributes", "loop", "self", "range", "dict", "namespace", "joiner", "refuse", "caller"))
"""Names in templates that are no attributes."""

BUILT_IN = "built in"
"""The scope of attributes that every host has without anybody giving them."""


@dataclass(frozen=True, slots=True)
class Use:
    """One place that uses an attribute.

    `node` is empty for an edge; `kind` is text, condition, template or edge; `guards` are what decides whether
    the place itself counts.
    """

    name: str
    node: str
    kind: str
    location: Location
    guards: tuple[Guard, ...] = ()

    def counts(self, attributes: Mapping[str, str]) -> bool:
        """Whether the place is part of what is compiled for these attributes."""
        return all(guard.holds(attributes) for guard in self.guards)


def uses_in_edges(edges: Iterable[Edge]) -> Iterator[Use]:
    """The attributes that the conditions of edges look at."""
    for edge in edges:
        for guard in edge.guards:
            for name in sorted(guard.names):
                yield Use(name, "", "edge", edge.location)


def uses_in_node(node: Node) -> Iterator[Use]:
    """The attributes that a node uses, in the order of its files; one place may come more than once."""
    for file in node.files:
        for item in file.items:
            yield from _looked_at(node.name, item.guards, item.location)
            if isinstance(item, Package):
                yield from _referenced(node.name, item.name, item.guards)
                continue
            if not isinstance(item, Command):
                for text in (item.interpreter, item.argument):
                    yield from _referenced(node.name, text, item.guards)
            for part in item.body:
                yield from _uses_in_part(node.name, part, item.guards)


def _uses_in_part(node: str, part: Part, outer: tuple[Guard, ...]) -> Iterator[Use]:
    if isinstance(part, Text):
        yield from _referenced(node, part, outer)
        return
    yield from _looked_at(node, part.guards, part.location, outer)
    guards = (*outer, *part.guards)
    match part:
        case Eval():
            if name := printed_attribute(part):
                yield Use(name, node, "text", part.location, guards)
            yield from _referenced(node, part.body, guards)
        case Template():
            for name, line in _template_names(part.body.literal or ""):
                first = part.body.pieces[0].line if part.body.pieces else part.location.line
                yield Use(name, node, "template", Location(part.location.file, first + line - 1), guards)
        case Copy():
            yield from _referenced(node, part.name, guards)
        case File():
            for text in (part.name, part.owner, part.perms, part.expr, part.source):
                yield from _referenced(node, text, guards)
            for inner in part.body:
                yield from _uses_in_part(node, inner, guards)


def _referenced(node: str, text: Text | None, guards: tuple[Guard, ...]) -> Iterator[Use]:
    for name, location in text.references if text else ():
        yield Use(name, node, "text", location, guards)


def _looked_at(
    node: str, guards: tuple[Guard, ...], location: Location, outer: tuple[Guard, ...] = ()
) -> Iterator[Use]:
    for guard in guards:
        for name in sorted(guard.names):
            yield Use(name, node, "condition", location, outer)


@lru_cache(maxsize=256)
def _template_names(source: str) -> tuple[tuple[str, int], ...]:
    """The names that a template takes from outside, each with the first line (from 1) that has it."""
    from jinja2 import Environment, TemplateError, nodes

    try:
        tree = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).parse(source)
    except TemplateError:
        return ()  # compiling reports it
    names = list(tree.find_all(nodes.Name))
    own = {name.name for name in names if name.ctx != "load"} | _JINJA
    found: dict[str, int] = {}
    for name in names:
        if name.name not in own:
            found[name.name] = min(name.lineno, found.get(name.name, name.lineno))
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and item.node.name == "attributes" and isinstance(item.arg, nodes.Const):
            found.setdefault(str(item.arg.value), item.lineno)
    return tuple(sorted(found.items()))


def readable_nodes(workspace: Workspace, names: Iterable[str]) -> Iterator[Node]:
    """The nodes of these names that have a file which can be read."""
    for name in names:
        try:
            node = workspace.description.node(name)
        except RollbuildError:
            continue
        yield node


def collect_uses(workspace: Workspace, selection: Selection, names: Iterable[str]) -> tuple[Use, ...]:
    """Every use in the nodes of an appliance and in the edges that leave them, each place once.

    What templates take from `--data` is no attribute.
    """
    edges = [edge for edge in workspace.description.graph.edges if edge.parent in selection.names]
    found = dict.fromkeys(uses_in_edges(edges))
    for node in readable_nodes(workspace, names):
        found.update(dict.fromkeys(uses_in_node(node)))
    data = workspace.compiler.data
    return tuple(use for use in found if use.kind != "template" or use.name not in data)


def resolve_attributes(workspace: Workspace, target: Target) -> dict[str, Attribute]:
    """All attributes of a target with their scopes and places."""
    given = workspace.attributes.resolve(os="linux", appliance=target.appliance, rack="0", host=target.name)
    resolved = {}
    for name in sorted(target.attributes):
        value = target.attributes[name]
        attribute = given.get(name)
        resolved[name] = attribute if attribute and attribute.value == value else Attribute(value, None, BUILT_IN)
    return resolved
