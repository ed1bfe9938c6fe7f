"""Node files: packages, commands and scripts, read from XML into frozen values."""

from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, error, warning
from rollbuild.language.elementchecks import SCRIPTS, ElementChecks, is_foreign
from rollbuild.language.elements import Command, Copy, File, Item, NodeFile, Package, Part, Script
from rollbuild.language.names import did_you_mean
from rollbuild.language.nodeparts import IN_SCRIPT, IN_TEXT, Includes, PartReader
from rollbuild.language.source import parse_fragment
from rollbuild.language.xmltree import Document, Element, Piece, Text
from rollbuild.location import Location

_NOTES = ("description", "changelog", "copyright", "log")
TOP = ("main", "package", "debug", "var", "screen", *SCRIPTS, *_NOTES)
_FALSE = frozenset(("off", "no", "n", "false", "0"))
_DEFAULT_PHASES = frozenset(("pre", "post"))


def read_node(document: Document, path: str, roll: str, includes: Includes) -> NodeFile:
    """The values of one node file. What is wrong with its elements becomes findings.

    Raises RollbuildError when the root element is not `kickstart`.
    """
    root = document.root
    if root.tag != "kickstart":
        hint = "graph files (<graph>) belong in graphs/default/" if root.tag == "graph" else ""
        raise RollbuildError(
            f"a node file starts with <kickstart>, not <{root.tag}>",
            location=root.location,
            hint=hint,
            code="ROOT-ELEMENT",
        )
    reader = _Reader(includes)
    reader.findings += document.findings
    for name, location in document.cdata_references:
        message = f"&{name}; stands in CDATA, where attributes are not replaced"
        hint = f"end the CDATA before it: ]]>&{name};<![CDATA["
        reader.findings.append(warning("ENT-IN-CDATA", message, location, hint))
    reader.checks.check_attributes(root)
    for element in root.elements:
        reader.read(element)
    return NodeFile(path, roll, reader.description, tuple(reader.items), tuple(reader.findings))


def read_fragment(text: str, location: Location) -> tuple[tuple[Part, ...], tuple[Finding, ...]]:
    """What a program gave as XML inside a script: texts and files, all placed at `location`."""
    checks = ElementChecks()
    reader = PartReader(checks, Includes(lambda name: None, lambda name: None))
    root = Element("post", location, {}, parse_fragment(text, location))
    parts = reader.read(root, ("file", "template", "var"), ())
    return parts, tuple(checks.findings)


class _Reader:
    def __init__(self, includes: Includes) -> None:
        self.checks = ElementChecks()
        self.findings = self.checks.findings
        self.parts = PartReader(self.checks, includes)
        self.items: list[Item] = []
        self.description = ""

    def read(self, element: Element) -> None:
        tag = element.tag
        if tag in _NOTES:
            if tag == "description" and not self.description:
                self.description = element.text.expand(lambda name: "").strip()
        elif tag in ("debug", "screen"):
            pass
        elif tag not in TOP:
            if not is_foreign(element):
                hint = did_you_mean(tag, TOP, "<{}>") or f"known here: {', '.join(TOP)}"
                self.findings.append(
                    error("UNKNOWN-ELEMENT", f"<{tag}> is no element of a node file", element.location, hint)
                )
        elif is_foreign(element) or (tag in ("main", "package") and not self.phases(element) & _DEFAULT_PHASES):
            pass
        elif tag == "var":
            self.parts.read_variable(element)
        elif tag == "main":
            self.read_main(element)
        elif tag == "package":
            self.read_package(element)
        else:
            self.read_script(element)

    def read_main(self, element: Element) -> None:
        self.checks.check_attributes(element)
        guards = self.checks.guards(element, ())
        for child in element.elements:
            if is_foreign(child):
                continue
            self.checks.check_attributes(child)
            parts: tuple[Part, ...] = self.parts.read(child, IN_TEXT, ())
            name = child.tag
            if name == "include" and "file" not in child.attributes:
                name, parts = (
                    "ks",
                    (Text(child.location.file, (Piece("%include ", child.location.line, 0),)), *parts),
                )
            self.items.append(Command(name, parts, self.checks.guards(child, guards), child.location))

    def read_package(self, element: Element) -> None:
        self.checks.check_attributes(element)
        self.checks.refuse_children(element)
        if element.text.is_blank:
            message = "this <package> names no package"
            self.findings.append(error("EMPTY-PACKAGE", message, element.location, "remove it, or name one"))
            return
        kind = self.checks.plain(element, "type") or "rpm"
        if kind not in ("rpm", "meta"):
            hint = "meta stands for a group, rpm (the default) for a package"
            self.findings.append(warning("PACKAGE-TYPE", f"type {kind} is read as rpm", element.location, hint))
        guards = self.checks.guards(element, ())
        disable = self.checks.plain(element, "disable")
        enabled = disable is None or disable.strip().lower() in _FALSE
        for name in element.text.stripped_lines():
            place, first = element.location, name.pieces[0]
            if first.line != place.line:
                place = Location(name.file, first.line, first.column)
            self.items.append(Package(name, kind == "meta", enabled, guards, place))

    def read_script(self, element: Element) -> None:
        self.checks.check_attributes(element)
        interpreter = element.attributes.get("interpreter")
        parts = self.parts.read(element, IN_SCRIPT, ())
        if interpreter is not None and not interpreter.is_blank and not _is_shell(interpreter):
            program = interpreter.literal or "another program"
            for part in parts:
                if isinstance(part, File | Copy):
                    message = f"a <file> in a script for {program} would put shell text into it"
                    hint = f"write the file in a <{element.tag}> of its own"
                    self.findings.append(error("FILE-IN-SCRIPT", message, part.location, hint))
        order = self.checks.plain(element, "order") or "pre"
        if element.tag == "boot" and order not in ("pre", "post"):
            message = f"order {order} is not known for <boot>"
            self.findings.append(error("BOOT-ORDER", message, element.location, "it is pre or post"))
        self.items.append(
            Script(
                kind=element.tag,
                interpreter=interpreter,
                argument=element.attributes.get("arg"),
                phases=self.phases(element),
                order=order,
                body=parts,
                guards=self.checks.guards(element, ()),
                location=element.location,
            )
        )

    def phases(self, element: Element) -> frozenset[str]:
        phase = self.checks.plain(element, "phase")
        return frozenset(item.strip() for item in phase.split(",")) if phase else _DEFAULT_PHASES


def _is_shell(interpreter: Text) -> bool:
    words = (interpreter.literal or "").split()
    return bool(words) and words[0].rsplit("/", 1)[-1] in ("sh", "bash", "dash", "ksh", "zsh")
