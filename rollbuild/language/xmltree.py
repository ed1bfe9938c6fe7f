"""What an XML file holds: text, elements and attribute references, each with its true line and column."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rollbuild.findings import Finding
from rollbuild.location import Location


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

    def stripped_lines(self) -> "list[Text]":
        """Its lines that are not blank, each stripped and at its own place."""
        lines: list[list[Piece]] = [[]]
        for piece in self.pieces:
            if piece.is_reference:
                lines[-1].append(piece)
                continue
            first, *rest = piece.text.split("\n")
            lines[-1].append(piece._replace(text=first))
            lines += [[Piece(part, piece.line + number, 1)] for number, part in enumerate(rest, 1)]
        found = (_stripped(Text(self.file, tuple(line))) for line in lines)
        return [line for line in found if line.pieces]


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
