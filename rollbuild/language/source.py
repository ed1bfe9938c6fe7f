"""XML source: what a file must be before its elements are read.

lxml decides whether a file is well-formed XML. Its tree does not keep columns, nor the lines of text behind
comments, so the elements are built from a scan of the same text, which is unambiguous once it is well-formed.
"""

import re

from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, warning
from rollbuild.language.scanning import build_tree, place_at, referred_names
from rollbuild.language.xmltree import Document, Element, Piece, Text
from rollbuild.location import Location

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes of one XML file; real node files are below 100 kB."""

_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*\?>")
_OPAQUE = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))


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
    root, cdata_references = build_tree(text, file)
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
            location=place_at(text, file, at),
            hint="remove it: attributes such as &hostname; need no declaration",
            code="XML",
        )


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
    # One declaration for every attribute referred to: an undefined one must not stop the parse.
    header = "".join(f'<!ENTITY {name} "">' for name in sorted(referred_names(text)))
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
