"""Descriptions: the nodes and graphs of several rolls, joined."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, error, note, warning
from rollbuild.language.elements import Node, NodeFile
from rollbuild.language.graph import Appliance, Graph, read_graph
from rollbuild.language.names import did_you_mean, is_node_name
from rollbuild.language.nodeparts import Includes
from rollbuild.language.nodes import read_node
from rollbuild.language.roll import Roll
from rollbuild.language.source import FILE_LIMIT, read_document
from rollbuild.location import Location

_ROLL_MARK = re.compile(rb'^(<(?:kickstart|jumpstart)) roll="[^"<>]*"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: str
    roll: Roll
    is_site: bool

    def read_text(self) -> bytes:
        """The file without the name of its roll, which Rocks wrote into every node that it packed."""
        return _ROLL_MARK.sub(rb"\1", read_limited(self.path, FILE_LIMIT), count=1)


@dataclass(eq=False)
class Description:
    """What the rolls describe. Graph files are read at once, a node file when it is first asked for."""

    rolls: tuple[Roll, ...]
    graph: Graph
    overlay: str
    _candidates: dict[str, list[_Candidate]]
    _nodes: dict[str, Node] = field(default_factory=dict)
    _findings: list[Finding] = field(default_factory=list)

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """The nodes that have a file of their own or a replacement, sorted."""
        names = (name.removeprefix("replace-") for name in self._candidates if not name.startswith("extend-"))
        return tuple(sorted(set(names)))

    @property
    def only_extended(self) -> tuple[str, ...]:
        """The nodes that have extend- files and none of their own: they are in a roll that is not here. Sorted."""
        names = (name.removeprefix("extend-") for name in self._candidates if name.startswith("extend-"))
        return tuple(sorted(name for name in names if name not in self))

    def __contains__(self, name: str) -> bool:
        return name in self._candidates or f"replace-{name}" in self._candidates

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found while reading so far, in graph files and in the node files asked for."""
        return (*self.graph.findings, *self._findings)

    def path_of(self, name: str) -> str:
        """The file of a node (`__contains__` tells whether there is one)."""
        candidates = self._candidates.get(f"replace-{name}") or self._candidates[name]
        return candidates[0].path

    def node(self, name: str) -> Node:
        """A node with its site files.

        Raises RollbuildError when it has no file, or one that cannot be read.
        """
        if name not in self._nodes:
            self._nodes[name] = self._read(name)
        return self._nodes[name]

    def extensions(self, name: str) -> tuple[NodeFile, ...]:
        """The extend- files of a node, each text once; none where it has none.

        Raises RollbuildError for one that cannot be read.
        """
        chosen, seen = [], set()
        for candidate in self._candidates.get(f"extend-{name}", ()):
            data = candidate.read_text()
            if data not in seen:
                seen.add(data)
                chosen.append(candidate)
        return tuple(self._read_file(candidate) for candidate in chosen)

    def _read(self, name: str) -> Node:
        if replacement := self._candidates.get(f"replace-{name}"):
            return Node(name, (self._read_file(self._choose(replacement, f"replace-{name}")),))
        own = self._candidates.get(name)
        if not own:
            extends = self._candidates.get(f"extend-{name}")
            if extends:
                raise RollbuildError(
                    f"there is no node {name} to extend",
                    location=Location(extends[0].path),
                    hint=self._nearest(name),
                    code="NODE-MISSING",
                )
            raise RollbuildError(f"there is no node {name}", hint=self._nearest(name), code="NODE-MISSING")
        return Node(name, (self._read_file(self._choose(own, name)), *self.extensions(name)))

    def _nearest(self, name: str) -> str:
        return did_you_mean(name, self.node_names) or f"it would be nodes/{name}.xml of a roll"

    def _read_file(self, candidate: _Candidate) -> NodeFile:
        document = read_document(candidate.path)
        includes = Includes(self._find_include, candidate.roll.read_file)
        file = read_node(document, candidate.path, candidate.roll.name, includes)
        self._findings += file.findings
        if candidate.path.endswith(".in"):
            message = "this file is still to be filled in by the roll's Makefile: its @NAME@ stay as they stand"
            hint = "build the roll as it was meant to be, or save the file without .in"
            self._findings.append(warning("NODE-UNFILLED", message, Location(candidate.path), hint))
        return file

    def _find_include(self, name: str) -> tuple[str, bytes] | None:
        for roll in self.rolls:
            for folder in reversed(roll.folders("include", self.overlay)):
                if found := roll.read_file(os.path.join(os.path.relpath(folder, roll.folder), name)):
                    return found
        return None

    def _choose(self, candidates: list[_Candidate], name: str) -> _Candidate:
        """The file that counts among those of one name: the highest priority, then the first roll."""
        ranked = sorted(candidates, key=lambda item: (item.is_site, -item.roll.priority))
        best = ranked[0]
        if len(ranked) == 1:
            return best
        data = best.read_text()
        for other in ranked[1:]:
            if other.read_text() == data:
                continue
            place = Location(other.path)
            if other.is_site and not best.is_site:
                message = f"this file is not used: node {name} is in {best.path}"
                hint = f"call it replace-{name}.xml or extend-{name}.xml"
                self._findings.append(warning("SITE-NODE", message, place, hint))
            elif other.roll.priority != best.roll.priority:
                message = f"{best.path} is used instead: roll {best.roll.name} has the higher priority"
                self._findings.append(note("DUP-NODE", message, place))
            else:
                message = f"node {name} is in two rolls with different text: also in {best.path}"
                hint = "remove one, call one replace-..., or give one roll a higher priority in its roll.yaml"
                self._findings.append(error("DUP-NODE", message, place, hint))
        return best


def read_description(
    rolls: Sequence[Roll],
    *,
    graph: str = "default",
    overlay: str = "",
    attributes: Mapping[str, str] | None = None,
) -> Description:
    """Join the rolls: read every file of `graphs/GRAPH/`, and find out which node files there are.

    `overlay` N lays `include-version/N/` over each roll that has it. `attributes` are what references in graph
    files stand for. Raises RollbuildError for graph files that cannot be read and when there is no such graph.
    """
    joined = Graph()
    files = 0
    for roll in rolls:
        for path in _graph_files(roll, graph, overlay):
            files += 1
            joined = joined.joined(read_graph(read_document(path), roll.name, attributes or {}))
    candidates: dict[str, list[_Candidate]] = {}
    findings: list[Finding] = []
    for is_site, kind in ((False, "nodes"), (True, "site-nodes")):
        for roll in rolls:
            for name, path in _xml_files(roll.folders(kind, overlay), findings):
                candidates.setdefault(name, []).append(_Candidate(path, roll, is_site))
    for roll in rolls:
        for name, path in _xml_files(roll.folders("nodes", overlay), None, ".xml.in"):
            if name not in candidates:
                candidates[name] = [_Candidate(path, roll, False)]
    description = Description(tuple(rolls), joined, overlay, candidates)
    description._findings += [*findings, *_check_site_nodes(description, candidates), *_check_appliances(description)]
    if not files and (graph != "default" or not candidates):
        known = sorted({name for roll in rolls for name in roll.graph_names()})
        hint = did_you_mean(graph, known) or (f"there is: {', '.join(known)}" if known else "")
        raise RollbuildError(f"no roll has a graph {graph}", hint=hint)
    return description


def _check_site_nodes(description: Description, candidates: dict[str, list[_Candidate]]) -> Iterator[Finding]:
    """Files that extend or replace what there is not, which a slip in their names makes so."""
    linked = {name for edge in description.graph.edges for name in (edge.parent, edge.child)}
    own = [name for name in candidates if not name.startswith(("extend-", "replace-"))]
    for file, found in candidates.items():
        verb, _, name = file.partition("-")
        if verb not in ("extend", "replace") or name in candidates:
            continue
        if verb == "replace":
            if name not in linked:
                message = f"there is no node {name} that this could replace"
                yield warning("SITE-NODE", message, Location(found[0].path), did_you_mean(name, own))
        elif f"replace-{name}" not in candidates:
            message = f"there is no node {name} that this could extend: it is not used"
            yield warning("SITE-NODE", message, Location(found[0].path), did_you_mean(name, own))
    for file, found in candidates.items():
        name = file.removeprefix("extend-")
        if name != file and (replacement := candidates.get(f"replace-{name}")):
            message = f"this file is not used: {replacement[0].path} takes the place of node {name}"
            yield warning("SITE-NODE", message, Location(found[0].path), "put both into one file")


def _check_appliances(description: Description) -> Iterator[Finding]:
    parents = {edge.parent for edge in description.graph.edges}
    first: dict[str, Appliance] = {}
    for appliance in description.graph.appliances:
        known = first.setdefault(appliance.name, appliance)
        if (known.root, known.membership) != (appliance.root, appliance.membership):
            message = f"appliance {appliance.name} is declared differently at {known.location}"
            hint = "remove one of them, or give one another name"
            yield error("GRAPH-APPLIANCE", message, appliance.location, hint)
        if appliance.root not in description and appliance.root not in parents:
            message = f"appliance {appliance.name} starts from node {appliance.root}, which does not exist"
            hint = did_you_mean(appliance.root, description.node_names)
            yield error("GRAPH-APPLIANCE", message, appliance.location, hint)


def _graph_files(roll: Roll, graph: str, overlay: str) -> Iterator[str]:
    for _, path in _xml_files(roll.folders(os.path.join("graphs", graph), overlay), None):
        yield path


def _xml_files(
    folders: Sequence[str], findings: list[Finding] | None, ending: str = ".xml"
) -> Iterator[tuple[str, str]]:
    """Name and path of the XML files of the folders, sorted by name; of equal names the last folder's counts."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError as problem:
            raise RollbuildError(
                f"cannot read this folder: {problem.strerror}",
                location=Location(folder),
                hint="check its permissions",
            ) from None
        for file in names:
            name = file.removesuffix(ending)
            path = os.path.join(folder, file)
            if name == file or name.startswith("."):
                continue
            if findings is not None and not is_node_name(name):
                hint = "letters, digits and . _ + - are allowed"
                findings.append(warning("NODE-NAME", f'"{name}" is not a node name: ignored', Location(path), hint))
                continue
            found[name] = path
    return iter(sorted(found.items()))
