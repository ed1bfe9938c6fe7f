"""Elements out of a scan of text that is well-formed XML, and so unambiguous."""

import re
from collections.abc import Mapping

from rollbuild.errors import RollbuildError
from rollbuild.language.xmltree import Element, Piece, Text
from rollbuild.location import Location

ELEMENT_LIMIT = 200_000

_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
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
_BLANKS = str.maketrans({"\n": " ", "\t": " "})


def referred_names(text: str) -> set[str]:
    """The attributes that a file's text refers to, wherever it does."""
    return {match[3] for match in _REFERENCE.finditer(text) if match[3]} - _PREDEFINED.keys()


def place_at(text: str, file: str, offset: int) -> Location:
    """Where the character at an offset of a file's text stands."""
    return Location(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


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


def build_tree(text: str, file: str) -> tuple[Element, tuple[tuple[str, Location], ...]]:
    """The root element of well-formed text, and the references that stand in CDATA, each with its place.

    Raises RollbuildError for more than ELEMENT_LIMIT elements, and for none.
    """
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
                place = place_at(data, builder.file, match.start())
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
