"""XML source: text, elements and attribute references, each with its true line and column.

lxml decides whether a file is well-formed XML. Its tree does not keep columns, nor the lines of text behind
comments, so the elements are built from a scan of the same text, which is unambiguous once it is well-formed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, warning
from rollbuild.location import Location

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes of one XML file; real node files are below 100 kB."""
ELEMENT_LIMIT = 200_000

_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*\?>")
_REFERENCE = re.compile(r"&(?:#(?:x([0-9A-Fa-f]+)|([0-9]+))|([^\W\d][\w.-]*));")
_TOKEN = re.compile(
    r"<!--.*?-->"
    r"|<!\[CDATA\[(?P<cdata>.*?)\]\]>"
    r"|<\?.*?\?>"
    r"|</(?P<end>[^\s>]+)\s*>"
    r"|<(?P<start>[^\s/>!?]+)(?P<attributes>(?:\s+[^\s=/>]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(?P<empty>/?)>",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([^\s=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_OPAQUE = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))
_BLANKS = str.maketrans({"\n": " ", "\t": " "})


class Piece(NamedTuple):
    """A stretch of text at a place; a reference piece holds the name of an attribute."""

    text: str
    line: int
    column: int
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Literals and attribute references of one file, in order."""

    file: str
    pieces: tuple[Piece, ...] = ()

    @property
    def references(self) -> tuple[tuple[str, Location], ...]:
        """The attributes it refers to, each with its place."""
        return tuple((p.text, Location(self.file, p.line, p.column)) for p in self.pieces if p.is_reference)

    @property
    def literal(self) -> str | None:
        """Its text when it refers to no attribute."""
        if any(piece.is_reference for piece in self.pieces):
            return None
        return "".join(piece.text for piece in self.pieces)

    @property
    def is_blank(self) -> bool:
        """Nothing but white space."""
        return not any(piece.is_reference or piece.text.strip() for piece in self.pieces)

    def expand(self, lookup: Callable[[str], str]) -> str:
        """Its text with every reference looked up."""
        return "".join(lookup(p.text) if p.is_reference else p.text for p in self.pieces)

    def expand_lines(self, lookup: Callable[[str], str]) -> list[tuple[str, int]]:
        """Its lines, without line ends, each with the line of the file that it starts on."""
        lines: list[tuple[str, int]] = []
        current: list[str] = []
        started = 0
        for piece in self.pieces:
            text = lookup(piece.text) if piece.is_reference else piece.text
            line = piece.line
            if not any(current):
                started = line
            first, *rest = text.split("\n")
            current.append(first)
            for part in rest:
                lines.append(("".join(current), started))
                if not piece.is_reference:
                    line += 1
                current = [part]
                started = line
        if current:
            lines.append(("".join(current), started))
        return lines


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a file; `content` holds its texts and elements in order, without comments."""

    tag: str
    location: Location
    attributes: Mapping[str, Text]
    content: tuple["Text | Element", ...]

    @property
    def elements(self) -> Iterator["Element"]:
        """Its child elements."""
        return (item for item in self.content if isinstance(item, Element))

    @property
    def text(self) -> Text:
        """All of its own text, that of child elements left out."""
        pieces = [p for item in self.content if isinstance(item, Text) for p in item.pieces]
        return Text(self.location.file, tuple(pieces))


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read."""

    root: Element
    cdata_references: tuple[tuple[str, Location], ...] = ()
    findings: tuple[Finding, ...] = ()


def read_document(path: str) -> Document:
    """Read one XML file.

    Raises RollbuildError for what cannot be read or is not well-formed, with its place; for a DOCTYPE
    (entities are rollbuild's own); for files over 16 MiB.
    """
    data = read_limited(path, FILE_LIMIT)
    text, findings = _decode(data, path)
    return parse_document(text, path, findings)


def parse_document(text: str, file: str, findings: tuple[Finding, ...] = ()) -> Document:
    """The same for text in memory; `file` is what locations name."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    declaration = _DECLARATION.match(text)
    if declaration:
        text = re.sub(r"[^\n]", " ", declaration[0]) + text[declaration.end() :]
    _refuse_doctype(text, file)
    _check_well_formed(text, file)
    root, cdata_references = _build(text, file)
    return Document(root, cdata_references, findings)


def parse_fragment(text: str, location: Location) -> tuple[Text | Element, ...]:
    """What a program or an included file gave in XML: its texts and elements.

    Every place in it is given as that of `location`, which is where it was asked for.
    """
    try:
        root = parse_document(f"<fragment>{text}</fragment>", location.file).root
    except RollbuildError as error:
        where = f" (line {error.location.line} of it)" if error.location else ""
        raise RollbuildError(
            f"this gave text that is not XML: {error.message}{where}", location=location, code="XML"
        ) from None
    return _moved(root, location).content


def _moved(element: Element, to: Location) -> Element:
    content = tuple(
        _moved(item, to) if isinstance(item, Element) else _moved_text(item, to) for item in element.content
    )
    attributes = {key: _moved_text(text, to) for key, text in element.attributes.items()}
    return Element(element.tag, to, attributes, content)


def _moved_text(text: Text, to: Location) -> Text:
    return Text(to.file, tuple(Piece(p.text, to.line, 0, p.is_reference) for p in text.pieces))


def _decode(data: bytes, file: str) -> tuple[str, tuple[Finding, ...]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RollbuildError(
            "this file is UTF-16",
            location=Location(file, 1),
            hint="save it as UTF-8 (iconv -f UTF-16 -t UTF-8)",
            code="XML",
        )
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise RollbuildError("this is binary data, not XML", location=Location(file, line), code="XML")
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        place = Location(file, data.count(b"\n", 0, error.start) + 1)
    return data.decode("latin-1"), (warning("ENC", "not UTF-8: read as ISO-8859-1", place, "save the file as UTF-8"),)


def _refuse_doctype(text: str, file: str) -> None:
    if "<!DOCTYPE" not in text:
        return
    at = text.find("<")
    while at >= 0 and not text.startswith("<!DOCTYPE", at):
        end = at
        for opening, closing in _OPAQUE:
            if text.startswith(opening, at):
                end = text.find(closing, at + len(opening))
                if end < 0:
                    return  # never closed: the parser refuses it
        at = text.find("<", end + 1)
    if at >= 0:
        raise RollbuildError(
            "a DOCTYPE is not allowed in node and graph files",
            location=_place(text, file, at),
            hint="remove it: attributes such as &hostname; need no declaration",
            code="XML",
        )


def _place(text: str, file: str, offset: int) -> Location:
    return Location(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


_HINTS = (
    ("EntityRef", "write & as &amp;, or put the text in <![CDATA[ ... ]]>"),
    ("StartTag: invalid element name", "write < as &lt;, or put the text in <![CDATA[ ... ]]>"),
    ("Premature end", "the file is cut short: compare it with its original"),
    ("mismatch", "every element needs its own end tag; text with tags in it belongs in <![CDATA[ ... ]]>"),
    ("Excessive depth", "node files are never nested that deep"),
    ("Start tag expected", "a node file starts with <kickstart>, a graph file with <graph>"),
    ("Document is empty", "a node file starts with <kickstart>, a graph file with <graph>"),
)


def _check_well_formed(text: str, file: str) -> None:
    names = {match[3] for match in _REFERENCE.finditer(text) if match[3]} - _PREDEFINED.keys()
    # One declaration for every attribute referred to: an undefined one must not stop the parse.
    header = "".join(f'<!ENTITY {name} "">' for name in sorted(names))
    header = f"<!DOCTYPE x [{header}]>" if header else ""
    try:
        parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities="internal",  # type: ignore[arg-type]  # newer than the stubs
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        etree.fromstring((header + text).encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.lineno or 1, error.offset or 0
        if line == 1:
            column = max(column - len(header), 0)
        # libxml2 quotes a piece of the text below some messages.
        first = (error.msg or "it cannot be read").split("\n")[0]
        message = re.sub(r",? line \d+, column \d+.*$", "", first)
        hint = next((hint for key, hint in _HINTS if key in message), "")
        raise RollbuildError(
            f"not well-formed XML: {message}", location=Location(file, line, column), hint=hint, code="XML"
        ) from None


class _Builder:
    """Elements out of the tokens of well-formed text."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: list[tuple[str, Location, dict[str, Text], list[Text | Element]]] = []
        self.pieces: list[Piece] = []
        self.cdata_references: list[tuple[str, Location]] = []
        self.root: Element | None = None
        self.count = 0

    def start(self, tag: str, location: Location, attributes: dict[str, Text]) -> None:
        self.count += 1
        if self.count > ELEMENT_LIMIT:
            raise RollbuildError(f"more than {ELEMENT_LIMIT} elements in one file", location=location, code="XML")
        self._close_text()
        self.open.append((tag, location, attributes, []))

    def end(self) -> None:
        self._close_text()
        tag, location, attributes, content = self.open.pop()
        element = Element(tag, location, attributes, tuple(content))
        if self.open:
            self.open[-1][3].append(element)
        else:
            self.root = element

    def _close_text(self) -> None:
        if self.pieces:
            if self.open:
                self.open[-1][3].append(Text(self.file, tuple(self.pieces)))
            self.pieces = []


def _build(text: str, file: str) -> tuple[Element, tuple[tuple[str, Location], ...]]:
    builder = _Builder(file)
    line = 1
    line_start = 0
    done = 0
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        if start > done:
            builder.pieces += _pieces(text[done:start], line, done - line_start + 1)
            line, line_start = _advance(text, done, start, line, line_start)
        kind = token.lastgroup
        if kind == "empty":
            tag, raw, empty = token.group("start", "attributes", "empty")
            attributes = _attributes(token, file, line, line_start) if raw else {}
            builder.start(tag, Location(file, line, start - line_start + 1), attributes)
            if empty:
                builder.end()
        elif kind == "end":
            builder.end()
        elif kind == "cdata":
            _add_cdata(builder, token["cdata"], line, start - line_start + 1 + len("<![CDATA["))
        done = end
        line, line_start = _advance(text, start, done, line, line_start)
    if builder.root is None:
        raise RollbuildError("not well-formed XML: no element found", location=Location(file, 1))
    return builder.root, tuple(builder.cdata_references)


def _advance(text: str, start: int, end: int, line: int, line_start: int) -> tuple[int, int]:
    newlines = text.count("\n", start, end)
    if newlines:
        return line + newlines, text.rfind("\n", start, end) + 1
    return line, line_start


def _add_cdata(builder: _Builder, data: str, line: int, column: int) -> None:
    if not data:
        return
    builder.pieces.append(Piece(data, line, column))
    if "&" in data:
        for match in _REFERENCE.finditer(data):
            if match[3] and match[3] not in _PREDEFINED:
                place = _place(data, builder.file, match.start())
                first = column if place.line == 1 else 1
                location = Location(builder.file, line + place.line - 1, place.column + first - 1)
                builder.cdata_references.append((match[3], location))


def _attributes(token: re.Match[str], file: str, line: int, line_start: int) -> dict[str, Text]:
    raw = token["attributes"]
    offset = token.start("attributes")
    text = token.string
    attributes = {}
    for match in _ATTRIBUTE.finditer(raw):
        group = 2 if match[2] is not None else 3
        start = offset + match.start(group)
        at_line, at_start = _advance(text, token.start(), start, line, line_start)
        pieces = _pieces(match[group], at_line, start - at_start + 1, _BLANKS)
        attributes[match[1]] = Text(file, tuple(pieces))
    return attributes


def _pieces(raw: str, line: int, column: int, blanks: Mapping[int, str] | None = None) -> list[Piece]:
    """Raw character data as pieces: escapes replaced, references to attributes kept apart.

    `blanks` translates what stands there itself, but not what character references give.
    """
    if "&" not in raw:
        return [Piece(raw.translate(blanks) if blanks else raw, line, column)]
    pieces: list[Piece] = []
    literal: list[str] = []
    started = (line, column)
    done = 0
    for match in _REFERENCE.finditer(raw):
        before = raw[done : match.start()]
        literal.append(before.translate(blanks) if blanks else before)
        newlines = before.count("\n")
        line += newlines
        column = len(before) - before.rfind("\n") if newlines else column + len(before)
        done = match.end()
        name = match[3]
        character = _PREDEFINED.get(name, "") if name else chr(int(match[1], 16) if match[1] else int(match[2]))
        if character and character != "\n":
            literal.append(character)
            column += len(match[0])
            continue
        if text := "".join(literal):
            pieces.append(Piece(text, *started))
        literal = []
        pieces.append(Piece(character or name, line, column, not character))
        column += len(match[0])
        started = (line, column)
    literal.append(raw[done:].translate(blanks) if blanks else raw[done:])
    if text := "".join(literal):
        pieces.append(Piece(text, *started))
    return pieces
