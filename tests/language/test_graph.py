import pytest

from rollbuild.errors import RollbuildError
from rollbuild.findings import Severity
from rollbuild.language.graph import Graph, read_graph
from rollbuild.language.source import parse_document
from rollbuild.location import Location


def graph_of(body: str, **attributes: str) -> Graph:
    return read_graph(parse_document(f"<graph>\n{body}\n</graph>", "g.xml"), "base", attributes)


def edges_of(body: str, **attributes: str) -> list[tuple[str, str]]:
    return [(edge.parent, edge.child) for edge in graph_of(body, **attributes).edges]


def orders_of(body: str) -> list[tuple[str, str]]:
    return [(order.before, order.after) for order in graph_of(body).orders]


def codes_of(body: str, **attributes: str) -> list[str]:
    return [finding.code for finding in graph_of(body, **attributes).findings]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<edge from="a" to="b"/>', [("a", "b")]),
        ('<edge from="a"><to>b</to><to>c</to></edge>', [("a", "b"), ("a", "c")]),
        ('<edge to="b"><from>a</from><from>c</from></edge>', [("a", "b"), ("c", "b")]),
        # G1: nested ends win over the attribute's.
        ('<edge from="a" to="x"><to>b</to></edge>', [("a", "b")]),
        # G3: names are trimmed.
        ('<edge from=" a "><to>\n b </to></edge>', [("a", "b")]),
        # G4: repeats are kept, they may have different conditions.
        ('<edge from="a" to="b" cond="x"/><edge from="a" to="b" cond="y"/>', [("a", "b"), ("a", "b")]),
        # A9: references are allowed.
        ('<edge from="a"><to>&os;-base</to></edge>', [("a", "linux-base")]),
        ("<edge/>", []),
        ('<edge from="a"/>', []),
        ('<edge from="a"><!-- <to>b</to> --></edge>', []),
        ('<edge from="411-x" to="a.b_c+d-e"/>', [("411-x", "a.b_c+d-e")]),
    ],
)
def test_edges(body: str, expected: list[tuple[str, str]]) -> None:
    assert edges_of(body, os="linux") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<order head="a" tail="b"/>', [("a", "b")]),
        ('<order head="a"><tail>b</tail><tail>c</tail></order>', [("a", "b"), ("a", "c")]),
        ('<order tail="HEAD"><head>a</head><head>b</head></order>', [("a", "HEAD"), ("b", "HEAD")]),
        ('<order head="TAIL"><tail>z</tail></order>', [("TAIL", "z")]),
        ('<order head="a" tail="x"><tail>b</tail></order>', [("a", "b")]),
        # G9: an order for another generator is left out, and nothing else.
        ('<order gen="other" head="a" tail="b"/>', []),
        ('<order gen="kgen" head="a" tail="b"/>', [("a", "b")]),
        ('<order head="a"><tail gen="other">b</tail><tail>c</tail></order>', [("a", "c")]),
        ('<order head="a"/>', []),
    ],
)
def test_orders(body: str, expected: list[tuple[str, str]]) -> None:
    assert orders_of(body) == expected


@pytest.mark.parametrize(
    ("edge", "attributes", "holds"),
    [
        ('<edge from="a" to="b" arch="i386,x86_64"/>', {"arch": "x86_64"}, True),
        ('<edge from="a" to="b" arch="i386, x86_64"/>', {"arch": "x86_64"}, True),
        ('<edge from="a" to="b" arch="i386"/>', {"arch": "x86_64"}, False),
        # C5: both the edge's condition and the end's.
        ('<edge from="a" cond="x"><to cond="y">b</to></edge>', {"x": "1", "y": "1"}, True),
        ('<edge from="a" cond="x"><to cond="y">b</to></edge>', {"x": "1"}, False),
        ('<edge from="a"><to cond="y">b</to></edge>', {}, False),
        ('<edge to="b"><from os="linux">a</from></edge>', {"os": "linux"}, True),
        # C2: parenthesised.
        ('<edge from="a" to="b" arch="ppc" cond="x or y"/>', {"arch": "i386", "y": "1"}, False),
    ],
)
def test_guards(edge: str, attributes: dict[str, str], holds: bool) -> None:
    (found,) = graph_of(edge).edges
    assert found.holds(attributes) is holds


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ('<edge from="a" to="b"/><description>&lt;x</description><changelog/><copyright/>', []),
        ('<edge from="a" to="b" gen="x"/>', ["UNKNOWN-ATTR"]),
        ("<egde/>", ["GRAPH-UNKNOWN"]),
        ('<edge from="a"><two>b</two><to>c</to></edge>', ["GRAPH-UNKNOWN"]),
        ('<edge from="a"/>', ["GRAPH-EDGE"]),
        ('<edge from="a"><to> </to></edge>', ["NODE-NAME"]),
        ('<edge from="a"><to>b/c</to></edge>', ["NODE-NAME"]),
        ('<edge from="a"><to>../c</to></edge>', ["NODE-NAME"]),
        ('<edge from="a"><to>-c</to></edge>', ["NODE-NAME"]),
        ("<edge><to>c</to></edge>", ["GRAPH-EDGE"]),
        ("<order><tail>c</tail></order>", ["GRAPH-ORDER"]),
        # G5: HEAD and TAIL are for orders only.
        ('<edge from="HEAD" to="b"/>', ["GRAPH-EDGE"]),
        ('<edge from="a"><to>&nosuch;</to></edge>', ["UNDEF-ATTR", "NODE-NAME"]),
        ("<appliance/>", ["GRAPH-APPLIANCE"]),
    ],
)
def test_findings(body: str, codes: list[str]) -> None:
    assert codes_of(body) == codes
    assert all(finding.location is not None and finding.location.line == 2 for finding in graph_of(body).findings)


def test_undefined_attribute_is_an_error_at_its_place() -> None:
    finding = graph_of('<edge from="a">\n  <to>&nosuch;</to></edge>').findings[0]
    assert (finding.severity, finding.location) == (Severity.ERROR, Location("g.xml", 3, 7))


def test_every_edge_and_order_knows_its_place() -> None:
    graph = graph_of('<edge from="a">\n  <to>b</to>\n</edge>\n  <edge from="a" to="c"/><order head="a" tail="b"/>')
    assert [edge.location for edge in graph.edges] == [Location("g.xml", 3, 3), Location("g.xml", 5, 3)]
    assert [order.location for order in graph.orders] == [Location("g.xml", 5, 26)]
    assert [edge.roll for edge in graph.edges] == ["base", "base"]


def test_a_comment_may_come_first_and_the_roll_may_be_named() -> None:
    document = parse_document('<!-- old -->\n<graph roll="core"><edge from="a" to="b"/></graph> ', "g.xml")
    (edge,) = read_graph(document, "base", {}).edges
    assert edge.roll == "core"


def test_appliances() -> None:
    graph = graph_of(
        '<appliance name="login"/><appliance name="vm-container" root="vm" membership="VM Container of &os;"/>', os="x"
    )
    assert [(item.name, item.root, item.membership) for item in graph.appliances] == [
        ("login", "login", "Login"),
        ("vm-container", "vm", "VM Container of x"),
    ]


@pytest.mark.parametrize(("text", "hint"), [("<kickstart/>", "nodes/"), ("<grph/>", ""), ("<to>a</to>", "")])
def test_another_root_is_refused(text: str, hint: str) -> None:
    with pytest.raises(RollbuildError, match="<graph>") as caught:
        read_graph(parse_document(text, "g.xml"), "base", {})
    assert hint in caught.value.hint
    assert caught.value.location == Location("g.xml", 1, 1)


def test_a_bad_condition_is_an_error_at_its_place() -> None:
    (finding,) = graph_of('<edge from="a">\n<to cond="len(x)">b</to></edge>').findings
    assert (finding.code, finding.severity, finding.location) == ("COND-SYNTAX", "error", Location("g.xml", 3, 1))
