"""What stands in the scripts and files of a node file: texts, and the elements that something takes the place of."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.findings import error, note, warning
from rollbuild.language.conditions import Guard
from rollbuild.language.elementchecks import ElementChecks, is_foreign
from rollbuild.language.elements import Copy, Eval, File, Part, Template
from rollbuild.language.source import parse_fragment
from rollbuild.language.xmltree import Element, Piece, Text
from rollbuild.location import Location

IN_SCRIPT = ("file", "eval", "template", "include", "sinclude", "var", "copy")
IN_TEXT = ("eval", "template", "include", "sinclude", "var")
_TRUE = frozenset(("on", "yes", "y", "true", "1", "enabled", "enable"))


@dataclass(frozen=True, slots=True)
class Includes:
    """How a node file gets at other files of its roll.

    Both take the name that the node file gives and return the path that was read with its bytes, or None when
    there is no such file; they raise RollbuildError for a name that leads out of the roll.
    """

    include: Callable[[str], tuple[str, bytes] | None]
    roll_file: Callable[[str], tuple[str, bytes] | None]


class PartReader:
    """Reads parts of scripts and files; what is wrong with them goes to `checks`."""

    def __init__(self, checks: ElementChecks, includes: Includes) -> None:
        self._checks, self._includes = checks, includes
        self._findings = checks.findings
        self._variables: dict[str, Text] = {}

    def read(self, element: Element, allowed: Collection[str], guards: tuple[Guard, ...]) -> tuple[Part, ...]:
        """The texts and the allowed child elements of an element; others become findings."""
        parts: list[Part] = []
        for item in element.content:
            if isinstance(item, Text):
                parts.append(item)
            elif item.tag == "service":
                if not is_foreign(item):
                    hint = "enable units in the script: systemctl enable NAME"
                    message = "<service> is of Solaris: ignored"
                    self._findings.append(warning("UNKNOWN-ELEMENT", message, item.location, hint))
            elif item.tag not in allowed:
                self._checks.unexpected(item, element, allowed)
            else:
                self._checks.check_attributes(item)
                parts += self._read_element(item, guards)
        return tuple(parts)

    def _read_element(self, element: Element, outer: tuple[Guard, ...]) -> list[Part]:
        guards = self._checks.guards(element, outer)
        location = element.location
        match element.tag:
            case "file":
                return self._read_file(element, guards)
            case "eval":
                self._checks.refuse_children(element)
                shell = self._checks.plain(element, "shell") or "sh"
                as_xml = self._checks.plain(element, "mode") not in (None, "quote", "text")
                return [Eval(shell, as_xml, element.text, guards, location)]
            case "template":
                self._checks.refuse_children(element)
                for name, place in element.text.references:
                    hint = f"write {{{{ {name} }}}}"
                    self._findings.append(error("ENT-IN-TEMPLATE", f"&{name}; cannot stand in a template", place, hint))
                return [Template(element.text, guards, location)]
            case "var":
                return self.read_variable(element)
            case "copy":
                return self._read_copy(element, guards)
            case _:
                return self._read_include(element, guards)

    def _read_file(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        given = element.attributes
        name = given.get("name")
        if name is None or name.is_blank:
            hint = 'name="/etc/..." says which file to write'
            self._findings.append(error("FILE-NAME", "this <file> has no name", element.location, hint))
            return []
        mode = self._checks.choice(element, "mode", ("create", "append", "pipe"), "create")
        vars_ = self._checks.choice(element, "vars", ("literal", "expanded"), "literal")
        rcs = (self._checks.plain(element, "rcs") or "true").strip().lower()
        body = self.read(element, IN_TEXT, ())
        if included := self._checks.plain(element, "include"):
            body = (*self._included_text(self._includes.roll_file, included, element.location), *body)
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

    def _read_copy(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        source = self._checks.plain(element, "src")
        if not source:
            self._findings.append(error("COPY-SOURCE", "this <copy> has no src", element.location))
            return []
        found, refused = self._fetch(self._includes.roll_file, source, element.location)
        if refused:
            return []
        if found is None:
            hint = "src is a file of the roll, named from the roll's folder"
            self._findings.append(
                error("INCLUDE-MISSING", f"there is no file {source} to copy", element.location, hint)
            )
            return []
        target = element.attributes.get("dst") or element.attributes["src"]
        return [Copy(target, found[1], guards, element.location)]

    def _read_include(self, element: Element, guards: tuple[Guard, ...]) -> list[Part]:
        name = self._checks.plain(element, "file")
        if not name:
            self._findings.append(error("INCLUDE-MISSING", f"this <{element.tag}> has no file", element.location))
            return []
        found, refused = self._fetch(self._includes.include, name, element.location)
        if refused:
            return []
        if found is None:
            if element.tag == "include":
                hint = "files to include lie in the folder include/ of a roll"
                self._findings.append(
                    error("INCLUDE-MISSING", f"there is no file include/{name}", element.location, hint)
                )
            return []
        text = _included(*found)
        if self._checks.plain(element, "mode") in (None, "quote", "text"):
            return [text]
        fragment = Element("post", element.location, {}, parse_fragment(text.literal or "", element.location))
        return list(self.read(fragment, IN_SCRIPT, guards))

    def _included_text(
        self, reader: Callable[[str], tuple[str, bytes] | None], name: str, location: Location
    ) -> tuple[Text, ...]:
        found, refused = self._fetch(reader, name, location)
        if refused:
            return ()
        if found is None:
            hint = "it is named from the roll's folder"
            self._findings.append(error("INCLUDE-MISSING", f"there is no file {name} to include", location, hint))
            return ()
        return (_included(*found),)

    def _fetch(
        self, reader: Callable[[str], tuple[str, bytes] | None], name: str, location: Location
    ) -> tuple[tuple[str, bytes] | None, bool]:
        try:
            return reader(name), False
        except RollbuildError as problem:
            self._findings.append(error("INCLUDE-OUTSIDE", problem.message, location, problem.hint))
            return None, True

    def read_variable(self, element: Element) -> list[Part]:
        """Keep the value that a <var> gives, or return the one that it asks for."""
        name = self._checks.plain(element, "name")
        if not name:
            self._findings.append(error("VAR-NAME", "this <var> has no name", element.location))
            return []
        value, other = element.attributes.get("val"), self._checks.plain(element, "ref")
        if value is None and other is None:
            if name not in self._variables:
                self._findings.append(warning("UNDEF-VAR", f"<var> {name} is not defined here", element.location))
                return []
            return [self._variables[name]]
        self._variables[name] = value if value is not None else self._variables.get(other or "", Text(""))
        hint = f"use an attribute: &{name};"
        self._findings.append(note("VAR", "<var> is outdated", element.location, hint))
        return []


def _unless_blank(text: Text | None) -> Text | None:
    return None if text is None or text.is_blank else text


def _included(path: str, data: bytes) -> Text:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return Text(path, (Piece(text, 1, 1),) if text else ())
