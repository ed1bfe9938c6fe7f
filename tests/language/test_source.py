import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rollbuild.errors import RollbuildError
from rollbuild.language.source import parse_document, parse_fragment, read_document
from rollbuild.language.xmltree import Element, Piece, Text
from rollbuild.location import Location

VALUES = {"host": "compute-0-0", "a.b-c": "two\nlines", "x": ""}

# --- random documents -----------------------------------------------------------------------------------------------

names = st.sampled_from(["kickstart", "post", "file", "package", "a", "b-c", "d.e", "é"])
plain = st.text(alphabet="abc \n\t%'\"]=>é\u2028\U000f0000\U000f0001-", min_size=1, max_size=8).filter(
    lambda text: "]]>" not in text
)
# What is written, and what it stands for: `&name;` is an attribute's reference.
atoms = st.one_of(
    plain.map(lambda text: (text, text)),
    st.sampled_from(
        [("&amp;", "&"), ("&lt;", "<"), ("&#65;", "A"), ("&#x0A;", "\n"), ("&#xe9;", "é"), ("&quot;", '"')]
    ),
    st.sampled_from([(f"&{name};", f"&{name};") for name in VALUES]),
)
cdata = st.text(alphabet="ab<>&;\n '\"!", max_size=8).filter(lambda text: "]]>" not in text)
noise = st.one_of(
    st.text(alphabet="ab <>&\n;", max_size=8).map(lambda text: f"<!--{text}-->"),
    st.text(alphabet="ab <>&\n!", max_size=8).map(lambda text: f"<?pi {text}?>"),
)
blank = st.sampled_from([" ", "\n", "\n\t ", "  "])


@st.composite
def attribute_texts(draw: st.DrawFn) -> str:
    quote = draw(st.sampled_from("'\""))
    value = "".join(written for written, _ in draw(st.lists(atoms, max_size=3)))
    return quote + value.replace(quote, "&#39;" if quote == "'" else "&quot;") + quote


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> str:
    tag = draw(names)
    keys = draw(st.lists(st.sampled_from(["name", "cond", "x-y"]), unique=True, max_size=2))
    attributes = "".join(
        f"{draw(blank)}{key}{draw(st.sampled_from(['=', ' = ']))}{draw(attribute_texts())}" for key in keys
    )
    content = []
    for _ in range(draw(st.integers(0, 4)) if depth else 0):
        kind = draw(st.integers(0, 3))
        if kind == 0:
            content.append(draw(documents(depth - 1)))
        elif kind == 1:
            content.append(draw(noise))
        elif kind == 2:
            content.append(f"<![CDATA[{draw(cdata)}]]>")
        else:
            content += [written for written, _ in draw(st.lists(atoms, max_size=3))]
    inner = "".join(content)
    space = draw(st.sampled_from(["", " ", "\n"]))
    if not inner and draw(st.booleans()):
        return f"<{tag}{attributes}{space}/>"
    return f"<{tag}{attributes}{space}>{inner}</{tag}{space}>"


def lxml_tree(text: str) -> etree._Element:
    header = "".join(f'<!ENTITY {name} "{value}">' for name, value in VALUES.items())
    parser = etree.XMLParser(remove_comments=True, remove_pis=True, strip_cdata=True)
    body = text.replace("\r\n", "\n")
    return etree.fromstring(f"<!DOCTYPE x [{header}]>".encode() + body.encode(), parser)


def shape_of_lxml(element: etree._Element) -> object:
    content: list[object] = [element.text or ""]
    for child in element:
        content += [shape_of_lxml(child), child.tail or ""]
    return element.tag, {str(key): value for key, value in element.attrib.items()}, content


def shape(element: Element) -> object:
    content: list[object] = [""]
    for item in element.content:
        if isinstance(item, Element):
            content += [shape(item), ""]
        else:
            content[-1] = str(content[-1]) + item.expand(VALUES.__getitem__)
    # In an attribute XML turns the line ends of an entity into blanks; the compiler refuses such values there.
    attributes = {
        key: text.expand(lambda name: VALUES[name].replace("\n", " ")) for key, text in element.attributes.items()
    }
    return element.tag, attributes, content


def check_places(element: Element, lines: list[str]) -> None:
    place = element.location
    assert lines[place.line - 1][place.column - 1 :].startswith(f"<{element.tag}")
    for text in element.attributes.values():
        check_text(text, lines)
    for item in element.content:
        if isinstance(item, Element):
            check_places(item, lines)
        else:
            check_text(item, lines)


def check_text(text: Text, lines: list[str]) -> None:
    for piece in text.pieces:
        there = lines[piece.line - 1][piece.column - 1 :]
        if piece.is_reference:
            assert there.startswith(f"&{piece.text};")
            continue
        # As far as the first escape the characters stand there as they are (blanks for line ends in attributes).
        there = "\n".join([there, *lines[piece.line :]])
        plain = re.match(r"[^&]*", there)
        assert plain is not None
        common = min(len(piece.text), len(plain[0]))
        assert piece.text[:common].split() == plain[0][:common].split()
        assert common or not piece.text or there.startswith("&"), (piece, there)


@given(documents(), st.sampled_from(["", '<?xml version="1.0"?>\n', "<!-- <a> &x; -->\n\n"]), st.booleans())
@settings(max_examples=300)
def test_tree_and_places_are_those_of_the_file(body: str, prolog: str, dos: bool) -> None:
    text = prolog + body + " \n"
    document = parse_document(text.replace("\n", "\r\n") if dos else text, "f.xml")
    without_declaration = text.removeprefix('<?xml version="1.0"?>')
    assert shape(document.root) == shape_of_lxml(lxml_tree(without_declaration))
    check_places(document.root, text.split("\n"))


@given(st.lists(atoms, max_size=6))
def test_expanded_lines_start_where_they_stand(parts: list[tuple[str, str]]) -> None:
    body = "".join(written for written, _ in parts)
    text = parse_document(f"<a>\n{body}</a>", "f.xml").root.text
    lines = text.expand_lines(lambda name: f"[{name}]")
    assert "\n".join(line for line, _ in lines) == text.expand(lambda name: f"[{name}]")
    source = f"<a>\n{body}</a>".split("\n")
    for line, number in lines:
        start = re.match(r"[^\[&<]*", line)
        assert start is not None
        if line:
            raw = source[number - 1]
            assert start[0][:3] in raw or "&" in raw


# --- one by one -----------------------------------------------------------------------------------------------------


def root_of(text: str) -> Element:
    return parse_document(text, "f.xml").root


def text_of(text: str, **values: str) -> str:
    return root_of(text).text.expand(lambda name: values.get(name, ""))


# format.md 18, those about characters and markup: what the text of the root is.
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<a>no header</a>", "no header"),
        ("<!-- first --><a>x</a> \n<?pi x?>", "x"),
        ('\n\n<?xml version="1.0" standalone="no"?>\n<a>x</a>', "x"),
        ('<a><![CDATA[<?xml version="1.0"?>\n<!DOCTYPE s>\n<s/>]]></a>', '<?xml version="1.0"?>\n<!DOCTYPE s>\n<s/>'),
        ("<a>1<!-- 2\n -->3</a>", "13"),
        ("<a>[&nosuch;]</a>", "[]"),
        ("<a>&group-of.img; ;</a>", "v ;"),
        ("<a><![CDATA[&os;]]></a>", "&os;"),
        ("<a><!-- &os; --></a>", ""),
        ("<a><![CDATA[\n#!/bin/sh]]></a>", "\n#!/bin/sh"),
        ("<a>&#38;os; &#60;b></a>", "&os; <b>"),
        ("<a>&A;.&B;:&C;</a>", "1.2:3"),
        ("<a>a &gt; b &amp;&amp; c</a>", "a > b && c"),
        ("<a>tab\there\\n `x` $y</a>", "tab\there\\n `x` $y"),
        ("<a>$Log$ $Id: x $</a>", "$Log$ $Id: x $"),
        ("<a>\r\nx\r\ny\rz</a>", "\nx\ny\nz"),
        ("<a>é ü 漢 😀</a>", "é ü 漢 😀"),
        ("<a>]]&gt;</a>", "]]>"),
        ("<a><![CDATA[x]]]]><![CDATA[>]]></a>", "x]]>"),
        ("<a></a>", ""),
        ("<a/>", ""),
    ],
)
def test_text(source: str, expected: str) -> None:
    values = {"group-of.img": "v", "A": "1", "B": "2", "C": "3", "os": "linux"}
    assert text_of(source, **values) == expected


@pytest.mark.parametrize("value", ['a&b <c> "q" 100% it\'s', "&os;", "]]>", "<!-- x -->", "\U000f0000os\U000f0001", ""])
def test_a_value_is_never_markup(value: str) -> None:
    element = root_of('<a name="&v;">&v;</a>')
    assert element.text.expand(lambda name: value) == value
    assert element.attributes["name"].expand(lambda name: value) == value


def test_private_use_characters_in_a_file_are_plain_text() -> None:
    marks = "\U000f0000os\U000f0001"
    assert text_of(f"<a>{marks}&os;</a>", os="linux") == f"{marks}linux"


def test_attributes_normalise_blanks_but_not_character_references() -> None:
    attributes = root_of("<a x='1\n2\t3&#10;4' y = \"it's &gt; 7\"/>").attributes
    assert {key: text.literal for key, text in attributes.items()} == {"x": "1 2 3\n4", "y": "it's > 7"}


def test_lines_past_65535_are_true() -> None:
    text = "<a>\n" + "x\n" * 70_000 + "<b>&r;</b>\n</a>"
    (b,) = root_of(text).elements
    assert b.location == Location("f.xml", 70_002, 1)
    assert b.text.references == (("r", Location("f.xml", 70_002, 4)),)
    with pytest.raises(RollbuildError) as caught:
        root_of("<a>\n" + "x\n" * 70_000 + "<b></a>")
    assert caught.value.location is not None
    assert caught.value.location.line == 70_002


def test_references_in_cdata_are_told_with_their_place() -> None:
    document = parse_document("<a>\n <![CDATA[x &os;\n&arch; &amp;]]></a>", "f.xml")
    assert document.cdata_references == (("os", Location("f.xml", 2, 13)), ("arch", Location("f.xml", 3, 1)))


# --- what is refused ------------------------------------------------------------------------------------------------

BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
XXE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (BOMB, 1, "DOCTYPE"),
        (XXE, 1, "DOCTYPE"),
        ('<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "http://localhost/x.dtd">\n<a/>', 2, "DOCTYPE"),
        ("<!-- <a> -->\n<!DOCTYPE a>\n<a/>", 2, "DOCTYPE"),
        # A processing instruction must not hide it behind what looks like a comment.
        (f"<?x <!-- ?>{XXE}<?y --> ?>", 1, "DOCTYPE"),
        (
            "<?x <![CDATA[ ?>\n<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/hostname'> %p;]><a/><?y ]]> ?>",
            2,
            "DOCTYPE",
        ),
        ("", 1, "empty"),
        ("   \n ", 2, "'<' not found"),
        ("text", 1, "'<' not found"),
        ("<a>\n<b>\n</a>", 3, "mismatch"),
        ("<a>\n\n<post>\nls", 4, "Premature end"),
        ("<a>\nx && y</a>", 2, "xmlParseEntityRef"),
        ("<a>\n if a < b</a>", 2, "invalid element name"),
        ("<a/>\n<b/>", 2, "Extra content"),
        ("<a b=1/>", 1, "AttValue"),
        ("<a b='1' b='2'/>", 1, "redefined"),
        ("<a>\n\x00</a>", 2, "0x0 out of allowed range"),
        ("<a>&#0;</a>", 1, "CharRef"),
        ("<a>&#xD800;</a>", 1, "CharRef"),
        ("<a>&#99999999999;</a>", 1, "CharRef"),
        ("<a>\x0b</a>", 1, "invalid Char value 11"),
        ("<a>" * 300 + "</a>" * 300, 1, "depth"),
        ("<a>\n<!-- x</a>", 2, "not well-formed"),
        ("<a>\n<![CDATA[ x</a>", 2, "CData section not finished"),
    ],
)
def test_refused(text: str, line: int, words: str) -> None:
    with pytest.raises(RollbuildError, match=re.escape(words)) as caught:
        parse_document(text, "f.xml")
    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("f.xml", line)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE" + "<!--" * 300_000,
        "<" * 1_000_000,
        "&" * 1_000_000,
        "<a " + "x=" * 300_000,
        "<a>" + "<![CDATA[" * 300_000,
        "<a>" + "&" + "b" * 1_000_000,
        "<?" * 400_000 + "<!DOCTYPE",
        "<a x='" + "&b" * 300_000 + "'/>",
    ],
    ids=["comments", "tags", "references", "attributes", "cdata", "name", "instructions", "value"],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    with pytest.raises(RollbuildError):
        parse_document(text, "f.xml")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("<a>x</a>".encode("utf-16"), "UTF-16"),
        ("<a>x</a>".encode("utf-16-le"), "binary"),
        (b"\x00" * 100, "binary"),
        (bytes(range(256)), "binary"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b"<a>\xff\x00</a>", "binary"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "f.xml"
    file.write_bytes(data)
    with pytest.raises(RollbuildError, match=words) as caught:
        read_document(str(file))
    assert caught.value.location is not None
    assert caught.value.location.file == str(file)


def test_byte_order_mark_and_latin_1(tmp_path: Path) -> None:
    file = tmp_path / "f.xml"
    file.write_bytes(b'\xef\xbb\xbf<?xml version="1.0" encoding="latin1"?>\n<a>\xc3\xa9</a>')
    document = read_document(str(file))
    assert document.root.text.literal == "é"
    assert document.root.location == Location(str(file), 2, 1)
    assert document.findings == ()
    file.write_bytes(b"<a>\n\xe9 &os;</a>")
    document = read_document(str(file))
    assert document.root.text.expand(str.upper) == "\né OS"
    assert [(finding.code, finding.location) for finding in document.findings] == [("ENC", Location(str(file), 2))]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "f.xml"
    with file.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    started = time.process_time()
    with pytest.raises(RollbuildError):
        read_document(str(file))
    assert time.process_time() - started < 1


def test_too_many_elements_are_refused() -> None:
    with pytest.raises(RollbuildError, match="elements"):
        parse_document("<a>" + "<b/>" * 200_001 + "</a>", "f.xml")


@given(st.binary(max_size=60))
def test_any_bytes_give_a_document_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.xml"
    file.write_bytes(data)
    try:
        assert read_document(str(file)).root.tag
    except RollbuildError as problem:
        assert problem.location is not None


# --- fragments ------------------------------------------------------------------------------------------------------


def test_all_places_of_a_fragment_are_where_it_was_asked_for() -> None:
    here = Location("nodes/a.xml", 7, 3)
    text, file = parse_fragment('mkdir x\n<file name="/etc/&x;">1\n2</file>', here)
    assert isinstance(text, Text)
    assert isinstance(file, Element)
    assert text.pieces == (Piece("mkdir x\n", 7, 0),)
    assert file.location == here
    assert file.attributes["name"].references == (("x", Location("nodes/a.xml", 7)),)


@pytest.mark.parametrize("text", ["a < b", "</fragment><fragment>", "<a>", "&", "<!DOCTYPE a><a/>", "<a/></fragment>"])
def test_a_fragment_that_is_no_xml_is_refused_at_its_place(text: str) -> None:
    here = Location("nodes/a.xml", 7, 3)
    with pytest.raises(RollbuildError) as caught:
        parse_fragment(text, here)
    assert caught.value.location == here
