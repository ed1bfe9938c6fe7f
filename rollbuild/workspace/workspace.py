"""Rolls, attributes and a release that were read, and a compiler for them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollbuild.compiler import Compiler, Target
from rollbuild.errors import USAGE, FindingsError, RollbuildError
from rollbuild.findings import Finding, error, warning
from rollbuild.language import (
    Appliance,
    AttributeSet,
    Declaration,
    Description,
    Roll,
    complete,
    did_you_mean,
    is_entity_name,
)
from rollbuild.location import Location
from rollbuild.releases import Release
from rollbuild.workspace.choice import Choice

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

    def secret_names(self) -> frozenset[str]:
        """The attributes that the rolls declare as secret."""
        return frozenset(name for name, item in self.declared.items() if item.type == "secret")

    def varying_names(self) -> frozenset[str]:
        """The attributes in which hosts of one appliance may differ, those of their own entries aside."""
        names = {"hostname", "rack", "rank", "hostaddr", "ksmac"}
        for (scope, _), attributes in self.attributes.layers.items():
            if scope in ("os", "rack", "host"):
                names.update(attributes)
        return frozenset(names)
