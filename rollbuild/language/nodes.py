"""Node files: packages, commands and scripts, read from XML into frozen values."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding, error, note, warning
from rollbuild.language.conditions import ALWAYS, ConditionError, Guard, make_guard
from rollbuild.language.elements import (
    Command,
    Copy,
    Eval,
    File,
    Item,
    NodeFile,
    Package,
    Part,
    Script,
    Template,
)
from rollbuild.language.names import did_you_mean
from rollbuild.language.source import Document, Element, Piece, Text, parse_fragment
from rollbuild.location import Location

SCRIPTS = ("pre", "pre-install", "post", "configure", "boot", "onerror")
_NOTES = ("description", "changelog", "copyright", "log")
_TOP = ("main", "package", "debug", "var", "screen", *SCRIPTS, *_NOTES)
_IN_SCRIPT = ("file", "eval", "template", "include", "sinclude", "var", "copy")
_IN_TEXT = ("eval", "template", "include", "sinclude", "var")

_GUARDS = frozenset(("arch", "os", "release", "cond"))
# `roll` and `file` stand on elements of files that an old compiler has written.
_ANYWHERE = _GUARDS | {"roll", "file"}
_MARKS = frozenset(("roll", "file"))
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "kickstart": frozenset(("roll", "interface", "file")),
    "main": _ANYWHERE | {"phase"},
    "package": _ANYWHERE | {"type", "disable", "phase"},
    "boot": _ANYWHERE | {"order", "phase"},
    "file": _ANYWHERE | {"name", "mode", "owner", "perms", "vars", "expr", "rcs", "src", "include"},
    "eval": _ANYWHERE | {"shell", "mode"},
    "template": _ANYWHERE,
    "include": _MARKS | {"mode"},
    "sinclude": _MARKS | {"mode"},
    "var": _MARKS | {"name", "val", "ref"},
    "copy": _ANYWHERE | {"src", "dst"},
    "clearpart": _ANYWHERE | {"partition"},
} | {kind: _ANYWHERE | {"interpreter", "arg", "chroot", "phase"} for kind in SCRIPTS if kind != "boot"}

_TRUE = frozenset(("on", "yes", "y", "true", "1", "enabled", "enable"))
_FALSE = frozenset(("off", "no", "n", "false", "0"))
_DEFAULT_PHASES = frozenset(("pre", "post"))


@dataclass(frozen=True, slots=True)
class Includes:
    """How a node file gets at other files of its roll.

    Both take the name that the node file gives and return the path that was read with its bytes, or None when
    there is no such file; they raise RollbuildError for a name that leads out of the roll.
    """

    include: Callable[[str], tuple[str, bytes] | None]
    roll_file: Callable[[str], tuple[str, bytes] | None]


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
    reader.check_attributes(root)
    for element in root.elements:
        reader.read(element)
    return NodeFile(path, roll, reader.description, tuple(reader.items), tuple(reader.findings))


def read_fragment(text: str, location: Location) -> tuple[tuple[Part, ...], tuple[Finding, ...]]:
    """What a program gave as XML inside a script: texts and files, all placed at `location`."""
    reader = _Reader(Includes(lambda name: None, lambda name: None))
    root = Element("post", location, {}, parse_fragment(text, location))
    parts = reader.parts(root, ("file", "template", "var"), ())
    return parts, tuple(reader.findings)


@dataclass(slots=True)
class _Reader:
    includes: Includes
    items: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    variables: dict[str, Text] = field(default_factory=dict)
    description: str = ""

    def read(self, element: Element) -> None:
        tag = element.tag
        if tag in _NOTES:
            if tag == "description" and not self.description:
                self.description = element.text.expand(lambda name: "").strip()
        elif tag in ("debug", "screen"):
            pass
        elif tag not in _TOP:
            if not self.is_foreign(element):
                hint = did_you_mean(tag, _TOP, "<{}>") or f"known here: {', '.join(_TOP)}"
                self.findings.append(
                    error("UNKNOWN-ELEMENT", f"<{tag}> is no element of a node file", element.location, hint)
                )
        elif self.is_foreign(element) or (tag in ("main", "package") and not self.phases(element) & _DEFAULT_PHASES):
            pass
        elif tag == "var":
            self.variable(element)
        elif tag == "main":
            self.read_main(element)
        elif tag == "package":
            self.read_package(element)
        else:
            self.read_script(element)

    def is_foreign(self, element: Element) -> bool:
        """Whether it is for Solaris only, which no release is."""
        given = element.attributes.get("os")
        return given is not None and {item.strip() for item in (given.literal or "").split(",")} <= {"sunos"}

    def read_main(self, element: Element) -> None:
        self.check_attributes(element)
        guards = self.guards(element, ())
        for child in element.elements:
            if self.is_foreign(child):
                continue
            self.check_attributes(child)
            parts: tuple[Part, ...] = self.parts(child, _IN_TEXT, ())
            name = child.tag
            if name == "include" and "file" not in child.attributes:
                name, parts = (
                    "ks",
                    (Text(child.location.file, (Piece("%include ", child.location.line, 0),)), *parts),
                )
            self.items.append(Command(name, parts, self.guards(child, guards), child.location))

    def read_package(self, element: Element) -> None:
        self.check_attributes(element)
        for child in element.elements:
            self.unexpected(child, element, ())
        if element.text.is_blank:
            message = "this <package> names no package"
            self.findings.append(error("EMPTY-PACKAGE", message, element.location, "remove it, or name one"))
            return
        kind = self.plain(element, "type") or "rpm"
        if kind not in ("rpm", "meta"):
            hint = "meta stands for a group, rpm (the default) for a package"
            self.findings.append(warning("PACKAGE-TYPE", f"type {kind} is read as rpm", element.location, hint))
        guards = self.guards(element, ())
        disable = self.plain(element, "disable")
        enabled = disable is None or disable.strip().lower() in _FALSE
        for name in _lines_of(element.text):
            place, first = element.location, name.pieces[0]
            if first.line != place.line:
                place = Location(name.file, first.line, first.column)
            self.items.append(Package(name, kind == "meta", enabled, guards, place))

    def read_script(self, element: Element) -> None:
        self.check_attributes(element)
        interpreter = element.attributes.get("interpreter")
        parts = self.parts(element, _IN_SCRIPT, ())
        if interpreter is not None and not interpreter.is_blank and not _is_shell(interpreter):
            program = interpreter.literal or "another program"
            for part in parts:
                if isinstance(part, File | Copy):
                    message = f"a <file> in a script for {program} would put shell text into it"
                    hint = f"write the file in a <{element.tag}> of its own"
                    self.findings.append(error("FILE-IN-SCRIPT", message, part.location, hint))
        order = self.plain(element, "order") or "pre"
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
                guards=self.guards(element, ()),
                location=element.location,
            )
        )

    def phases(self, element: Element) -> frozenset[str]:
        phase = self.plain(element, "phase")
        return frozenset(item.strip() for item in phase.split(",")) if phase else _DEFAULT_PHASES

    def parts(self, element: Element, allowed: Collection[str], guards: tuple[Guard, ...]) -> tuple[Part, ...]:
        """The texts and the allowed child elements of an element; others become findings."""
        parts: list[Part] = []
        for item in element.content:
            if isinstance(item, Text):
                parts.append(item)
            elif item.tag == "service":
                if not self.is_foreign(item):
                    hint = "enable units in the script: systemctl enable NAME"
                    message = "<service> is of Solaris: ignored"
                    self.findings.append(warning("UNKNOWN-ELEMENT", message, item.location, hint))
            elif item.tag not in allowed:
                self.unexpected(item, element, allowed)
            else:
                self.check_attributes(item)
                parts += self.part(item, guards)
        return tuple(parts)

    def part(self, element: Element, outer: tuple[Guard, ...]) -> list[Part]:
        guards = self.guards(element, outer)
        location = element.location
        match element.tag:
            case "file":
                return self.read_file(element, guards)
            case "eval":
                self.refuse_children(element)
                shell = self.plain(element, "shell") or "sh"
                as_xml = self.plain(element, "mode") not in (None, "quote", "text")
                return [Eval(shell, as_xml, element.text, guards, location)]
            case "template":
                self.refuse_children(element)
                for name, place in element.text.references:
                    hint = f"write {{{{ {name} }}}}"
                    self.findings.append(error("ENT-IN-TEMPLATE", f"&{name}; cannot stand in a template", place, hint))
                return [Template(element.text, guards, location)]
            case "var":
                return self.variable(element)
            case "copy":
                return self.read_copy(element, guards)
            case _:
                return self.read_include(element, guards)

    def read_file(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        given = element.attributes
        name = given.get("name")
        if name is None or name.is_blank:
            hint = 'name="/etc/..." says which file to write'
            self.findings.append(error("FILE-NAME", "this <file> has no name", element.location, hint))
            return []
        mode = self.choice(element, "mode", ("create", "append", "pipe"), "create")
        vars_ = self.choice(element, "vars", ("literal", "expanded"), "literal")
        rcs = (self.plain(element, "rcs") or "true").strip().lower()
        body = self.parts(element, _IN_TEXT, ())
        if included := self.plain(element, "include"):
            body = (*self.included_text(self.includes.roll_file, included, element.location), *body)
        return [
            File(
                name=name,
                mode=mode,
                owner=_unless_blank(given.get("owner")),
                perms=_unless_blank(given.get("perms")),
                expands=vars_ == "expanded",
                expr=given.get("expr"),
                source=given.get("src"),
                keeps_original=rcs in _TRUE,
                body=body,
                guards=guards,
                location=element.location,
            )
        ]

    def read_copy(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        source = self.plain(element, "src")
        if not source:
            self.findings.append(error("COPY-SOURCE", "this <copy> has no src", element.location))
            return []
        found, refused = self.fetch(self.includes.roll_file, source, element.location)
        if refused:
            return []
        if found is None:
            hint = "src is a file of the roll, named from the roll's folder"
            self.findings.append(error("INCLUDE-MISSING", f"there is no file {source} to copy", element.location, hint))
            return []
        target = element.attributes.get("dst") or element.attributes["src"]
        return [Copy(target, found[1], guards, element.location)]

    def read_include(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        name = self.plain(element, "file")
        if not name:
            self.findings.append(error("INCLUDE-MISSING", f"this <{element.tag}> has no file", element.location))
            return []
        found, refused = self.fetch(self.includes.include, name, element.location)
        if refused:
            return []
        if found is None:
            if element.tag == "include":
                hint = "files to include lie in the folder include/ of a roll"
                self.findings.append(
                    error("INCLUDE-MISSING", f"there is no file include/{name}", element.location, hint)
                )
            return []
        text = _included(*found)
        if self.plain(element, "mode") in (None, "quote", "text"):
            return [text]
        fragment = Element("post", element.location, {}, parse_fragment(text.literal or "", element.location))
        return list(self.parts(fragment, _IN_SCRIPT, guards))

    def included_text(
        self, reader: Callable[[str], tuple[str, bytes] | None], name: str, location: Location
    ) -> tuple[Text, ...]:
        found, refused = self.fetch(reader, name, location)
        if refused:
            return ()
        if found is None:
            hint = "it is named from the roll's folder"
            self.findings.append(error("INCLUDE-MISSING", f"there is no file {name} to include", location, hint))
            return ()
        return (_included(*found),)

    def fetch(
        self, reader: Callable[[str], tuple[str, bytes] | None], name: str, location: Location
    ) -> tuple[tuple[str, bytes] | None, bool]:
        try:
            return reader(name), False
        except RollbuildError as problem:
            self.findings.append(error("INCLUDE-OUTSIDE", problem.message, location, problem.hint))
            return None, True

    def variable(self, element: Element) -> list[Part]:
        name = self.plain(element, "name")
        if not name:
            self.findings.append(error("VAR-NAME", "this <var> has no name", element.location))
            return []
        value, other = element.attributes.get("val"), self.plain(element, "ref")
        if value is None and other is None:
            if name not in self.variables:
                self.findings.append(warning("UNDEF-VAR", f"<var> {name} is not defined here", element.location))
                return []
            return [self.variables[name]]
        self.variables[name] = value if value is not None else self.variables.get(other or "", Text(""))
        hint = f"use an attribute: &{name};"
        self.findings.append(note("VAR", "<var> is outdated", element.location, hint))
        return []

    def guards(self, element: Element, outer: tuple[Guard, ...]) -> tuple[Guard, ...]:
        if not (_GUARDS & element.attributes.keys()):
            return outer
        keys = sorted(_GUARDS & element.attributes.keys())
        given = {key: text for key in keys if (text := self.plain(element, key)) is not None}
        try:
            guard = make_guard(given, element.location)
        except ConditionError as problem:
            self.findings.append(problem.as_finding())
            return outer
        return outer if guard == ALWAYS else (*outer, guard)

    def plain(self, element: Element, key: str) -> str | None:
        """An attribute of the element that must be known before any host is."""
        text = element.attributes.get(key)
        if text is None:
            return None
        literal = text.literal
        if literal is None:
            name, place = text.references[0]
            message = f"&{name}; cannot stand in {key}= of <{element.tag}>"
            hint = f"name the attribute without & and ;: {name}" if key == "cond" else ""
            self.findings.append(error("ENT-IN-ATTR", message, place, hint))
            return None
        return literal

    def choice(self, element: Element, key: str, known: tuple[str, ...], default: str) -> str:
        value = self.plain(element, key)
        if value is None or value in known:
            return value or default
        hint = did_you_mean(value, known) or f"it is {' or '.join(known)}"
        message = f'{key}="{value}" is not known for <{element.tag}>: read as {default}'
        self.findings.append(warning("UNKNOWN-VALUE", message, element.location, hint))
        return default

    def check_attributes(self, element: Element) -> None:
        allowed = _ATTRIBUTES.get(element.tag, _ANYWHERE)
        for key in sorted(element.attributes.keys() - allowed):
            hint = did_you_mean(key, allowed)
            message = f"<{element.tag}> has no attribute {key}: ignored"
            self.findings.append(warning("UNKNOWN-ATTR", message, element.location, hint))

    def refuse_children(self, element: Element) -> None:
        for child in element.elements:
            self.unexpected(child, element, ())

    def unexpected(self, child: Element, element: Element, allowed: Collection[str]) -> None:
        hint = did_you_mean(child.tag, allowed, "<{}>") if len(child.tag) > 2 else ""
        hint = hint or "if it is text, put it in <![CDATA[ ... ]]>"
        message = f"<{child.tag}> cannot stand in <{element.tag}>"
        self.findings.append(error("UNEXPECTED-CHILD", message, child.location, hint))


def _is_shell(interpreter: Text) -> bool:
    words = (interpreter.literal or "").split()
    return bool(words) and words[0].rsplit("/", 1)[-1] in ("sh", "bash", "dash", "ksh", "zsh")


def _unless_blank(text: Text | None) -> Text | None:
    return None if text is None or text.is_blank else text


def _included(path: str, data: bytes) -> Text:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return Text(path, (Piece(text, 1, 1),) if text else ())


def _lines_of(text: Text) -> list[Text]:
    """The lines of a text that are not blank, each stripped and at its own place."""
    lines: list[list[Piece]] = [[]]
    for piece in text.pieces:
        if piece.is_reference:
            lines[-1].append(piece)
            continue
        first, *rest = piece.text.split("\n")
        lines[-1].append(piece._replace(text=first))
        lines += [[Piece(part, piece.line + number, 1)] for number, part in enumerate(rest, 1)]
    found = (_stripped(Text(text.file, tuple(line))) for line in lines)
    return [line for line in found if line.pieces]


def _stripped(text: Text) -> Text:
    """The text without blanks around it; what is left starts on its own line."""
    pieces = list(text.pieces)
    while pieces and not pieces[0].is_reference and not pieces[0].text.strip():
        del pieces[0]
    while pieces and not pieces[-1].is_reference and not pieces[-1].text.strip():
        del pieces[-1]
    if pieces and not pieces[0].is_reference:
        first = pieces[0]
        body = first.text.lstrip()
        pieces[0] = Piece(body, first.line, first.column + len(first.text) - len(body))
    if pieces and not pieces[-1].is_reference:
        pieces[-1] = pieces[-1]._replace(text=pieces[-1].text.rstrip())
    return Text(text.file, tuple(pieces))
