"""What the verbs work on: rolls, attributes and a release, as the options name them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from rollbuild.commands._evaluate import make_evaluate
from rollbuild.compiler import Compiler, Target
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, error, warning
from rollbuild.language import (
    Appliance,
    AttributeSet,
    Declaration,
    Description,
    Roll,
    collect_defaults,
    complete,
    did_you_mean,
    find_rolls,
    is_entity_name,
    parse_assignment,
    read_attributes,
    read_description,
)
from rollbuild.location import Location
from rollbuild.releases import RELEASES, Release, load_release

_Function = TypeVar("_Function", bound=Callable[..., Any])

DEFAULT_ROLLS = ("rolls", "graphs")
DEFAULT_RELEASE = "el9"

_ROCKS_APPLIANCES = {
    "frontend": ("server", "Frontend"),
    "compute": ("compute", "Compute"),
    "nas": ("nas", "NAS Appliance"),
    "login": ("login", "Login"),
    "devel-server": ("devel-appliance", "Development Appliance"),
    "vm-container": ("vm-container-client", "VM Container"),
}
"""Appliances that Rocks kept in its database instead of its graphs: name, root node, membership."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that say what to work on."""

    rolls: tuple[str, ...] = ()
    graph: str = "default"
    root: str | None = None
    os_release: str = DEFAULT_RELEASE
    attrs: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    data: str | None = None
    eval_mode: str = "off"


def workspace_options(function: _Function) -> _Function:
    """Give a command the options that `make_workspace` takes."""
    options = [
        click.option(
            "--rolls",
            multiple=True,
            metavar="DIR",
            help="A roll, or a folder of rolls; give it once for each.  [./rolls and ./graphs]",
        ),
        click.option("--graph", default="default", metavar="NAME", show_default=True, help="The graph set to use."),
        click.option("--root", metavar="NODE", help="Start from this node instead of an appliance's."),
        click.option(
            "--os-release",
            type=click.Choice(RELEASES),
            default=DEFAULT_RELEASE,
            show_default=True,
            help="The release to compile for.",
        ),
        click.option("--attrs", multiple=True, metavar="FILE", help="Attributes: YAML, JSON or Rocks key:value lines."),
        click.option("-A", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one attribute."),
        click.option("--data", metavar="FILE", help="YAML that templates may use: hosts, networks, rolls."),
        click.option(
            "--eval",
            "eval_mode",
            type=click.Choice(["off", "run", "fail"]),
            default="off",
            show_default=True,
            help="What to do with <eval>: nothing, run its program here, or refuse it.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Workspace:
    """Rolls and attributes that were read, and a compiler for them."""

    choice: Choice
    rolls: tuple[Roll, ...]
    declared: Mapping[str, Declaration]
    attributes: AttributeSet
    description: Description
    release: Release
    compiler: Compiler
    fixed: frozenset[str]
    """The attributes that -A sets, which nothing overrides."""

    def appliances(self) -> tuple[Appliance, ...]:
        """The appliances of the graphs; where they declare none, those of Rocks whose root node is there."""
        graph = self.description.graph
        if graph.appliances:
            return tuple({appliance.name: appliance for appliance in graph.appliances}.values())
        parents = {edge.parent for edge in graph.edges}
        return tuple(
            Appliance(name, root, membership, Location("(Rocks)"))
            for name, (root, membership) in _ROCKS_APPLIANCES.items()
            if root in parents
        )

    def find_appliance(self, name: str) -> Appliance:
        """An appliance by its name, or any node by its own; `--root` decides where it starts.

        Raises RollbuildError when there is neither.
        """
        root = self.choice.root
        for appliance in self.appliances():
            if appliance.name == name:
                return Appliance(name, root or appliance.root, appliance.membership, appliance.location)
        names = {edge.parent for edge in self.description.graph.edges} | set(self.description.node_names)
        if root or name in names:
            return Appliance(name, root or name, name.replace("-", " ").title(), Location("(command line)"))
        known = [appliance.name for appliance in self.appliances()]
        hint = did_you_mean(name, [*known, *names])
        if not hint:
            hint = f"there is: {', '.join(known)}" if known else "the rolls declare no appliance and have no such node"
        raise RollbuildError(f"there is no appliance or node {name}", hint=hint, exit_code=USAGE)

    def chosen_appliances(self, names: Sequence[str]) -> tuple[Appliance, ...]:
        """The appliances named, else the one of `--root`, else all.

        Raises RollbuildError when there is none.
        """
        if names:
            return tuple(self.find_appliance(name) for name in dict.fromkeys(names))
        if self.choice.root:
            return (self.find_appliance(self.choice.root),)
        appliances = self.appliances()
        if not appliances and self.description.graph.findings:
            raise FindingsError(self.description.graph.findings)
        if not appliances:
            raise RollbuildError(
                "the graphs declare no appliance",
                hint="name a node to start from, or add <appliance name= root=/> to a graph file",
                exit_code=USAGE,
            )
        return appliances

    def target(self, appliance: Appliance, name: str | None = None, own: Mapping[str, str] | None = None) -> Target:
        """What to compile for an appliance, or for a host of it with attributes of its `own`."""
        own = own or {}
        pick = {
            "os": own.get("os", "linux"),
            "appliance": appliance.name,
            "rack": own.get("rack", "0"),
            "host": own.get("hostname", name or appliance.name),
        }
        values = self.attributes.resolve_texts(**pick)
        if own:
            fixed = self.fixed
            values.update((key, value) for key, value in own.items() if key not in fixed)
        values = complete(
            values,
            root=appliance.root,
            appliance=appliance.name,
            membership=appliance.membership,
            hostname=name or appliance.name,
            os_release=self.release.name,
            graph=self.choice.graph,
        )
        return Target(name or appliance.name, appliance.name, appliance.root, values)

    def attribute_findings(self, appliance: Appliance) -> tuple[Finding, ...]:
        """Attributes of an appliance that do not fit what its rolls declare, or that no text can refer to."""
        found = self.attributes.resolve(os="linux", appliance=appliance.name, rack="0", host=appliance.name)
        findings: list[Finding] = []
        for name, attribute in found.items():
            findings += self.value_findings(name, attribute.value, attribute.location)
            if not is_entity_name(name):
                message = f"attribute {name} cannot be used in node files: &{name}; is not a name in XML"
                hint = "letters, digits, dots, dashes and underscores are allowed, first a letter"
                findings.append(warning("ATTR-NAME", message, attribute.location, hint))
        return tuple(findings)

    def scope_findings(self) -> tuple[Finding, ...]:
        """Attributes for an appliance that there is not, which a slip in its name makes so."""
        names = [known.name for known in self.appliances()]
        findings = []
        for key in self.attributes.keys_of("appliance"):
            if key not in names and key not in self.description:
                own = self.attributes.layers["appliance", key].values()
                first = min((item.location for item in own if item.location), default=None)
                message = f"there is no appliance {key}: its attributes are not used"
                findings.append(warning("ATTR-SCOPE", message, first, did_you_mean(key, names)))
        return tuple(findings)

    def value_findings(self, name: str, value: str, location: Location | None) -> tuple[Finding, ...]:
        """A finding when a value does not fit what a roll declares of its attribute."""
        declaration = self.declared.get(name)
        misfit = declaration.explain_misfit(value) if declaration and value else ""
        if not declaration or not misfit:
            return ()
        hint = f"for example {declaration.example}" if declaration.example else declaration.description
        return (error("ATTR-TYPE", f"attribute {name}: {misfit}", location, hint),)

    def waiver_files(self) -> tuple[str, ...]:
        """The `waivers.yaml` files of the rolls."""
        files = (os.path.join(roll.folder, "waivers.yaml") for roll in self.rolls)
        return tuple(file for file in files if os.path.isfile(file))

    def varying_names(self) -> frozenset[str]:
        """The attributes in which hosts of one appliance may differ, those of their own entries aside."""
        names = {"hostname", "rack", "rank", "hostaddr", "ksmac"}
        for (scope, _), attributes in self.attributes.layers.items():
            if scope in ("os", "rack", "host"):
                names.update(attributes)
        return frozenset(names)


def default_rolls() -> tuple[str, ...]:
    """The folders of rolls where rollbuild is run."""
    return tuple(folder for folder in DEFAULT_ROLLS if os.path.isdir(folder))


def make_workspace(choice: Choice) -> Workspace:
    """Read rolls, attributes and graphs. Raises RollbuildError for what cannot be read."""
    folders = choice.rolls or default_rolls()
    if not folders:
        raise RollbuildError(
            "there are no rolls here",
            hint="name their folders with --rolls DIR, or run rollbuild where rolls/ and graphs/ are",
            exit_code=USAGE,
        )
    rolls = find_rolls(folders)
    release = load_release(choice.os_release)
    declarations = tuple(declaration for roll in rolls for declaration in roll.declarations())
    attributes = collect_defaults(declarations)
    for path in choice.attrs:
        attributes = attributes.merge(read_attributes(path))
    given = dict(parse_assignment(text) for text in choice.assignments)
    attributes = attributes.merge(AttributeSet.of("command line", given))
    values = complete(
        attributes.resolve_texts(os="linux", appliance="", rack="0", host=""),
        root="",
        appliance="",
        membership="",
        hostname="",
        os_release=release.name,
        graph=choice.graph,
    )
    overlay = values.get("rocks_version_major", "")
    description = read_description(rolls, graph=choice.graph, overlay=overlay, attributes=values)
    compiler = Compiler(
        description=description,
        release=release,
        data=_read_data(choice.data) if choice.data else {},
        evaluate=make_evaluate(choice.eval_mode),
    )
    declared = {declaration.name: declaration for declaration in declarations}
    return Workspace(choice, rolls, declared, attributes, description, release, compiler, frozenset(given))


def _read_data(path: str) -> Mapping[str, Any]:
    import yaml

    from rollbuild.files import read_limited

    try:
        data = yaml.safe_load(read_limited(path, 64 * 1024 * 1024))
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise RollbuildError(f"not valid YAML: {problem}", location=Location(path)) from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise RollbuildError(
            "data for templates is a mapping of names to values", location=Location(path), hint="hosts: [...]"
        )
    return data
