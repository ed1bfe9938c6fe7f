import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.compiler import order_nodes, rank_names, select_nodes
from rollbuild.errors import RollbuildError
from rollbuild.language import HEAD, TAIL, Order, parse_document, read_graph
from rollbuild.location import Location

ROOT = Path(__file__).parents[2]


def orders(text: str) -> list[Order]:
    """Orders written as `a<b c<d`."""
    pairs = [word.split("<") for word in text.split()]
    return [Order(a, b, Location("g.xml", line), "base") for line, (a, b) in enumerate(pairs, 1)]


def order(text: str, names: str) -> str:
    return " ".join(order_nodes(rank_names(orders(text)), names.split()))


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        # The vectors of the format (V4, V5, V7, V8) and its mini test.
        ("a<b b<c", "c a", "a c"),
        ("b<a", "a b c d", "b a c d"),
        ("", "c b a", "a b c"),
        ("z<HEAD TAIL<a", "a m z", "z m a"),
        ("p<HEAD a<b TAIL<z", "p a b z m c", "p a b c m z"),
        # Also through HEAD and TAIL, ghosts, and far apart.
        ("a<ghost ghost<b x<HEAD", "b a x", "x a b"),
        ("TAIL<z z<y", "y z a", "a z y"),
        ("b<HEAD a<b", "b a c", "a b c"),
        ("a<b a<b b<c a<c", "c b a", "a b c"),
        # Code points, not a language's alphabet.
        ("", "b B 4 a-b a_b", "4 B a-b a_b b"),
        ("B<x a<x", "x a B", "B a x"),
        ("core<HEAD2 HEAD<core", "core b", "core b"),
    ],
)
def test_vectors(text: str, names: str, expected: str) -> None:
    assert order(text, names) == expected


@pytest.mark.parametrize(
    ("text", "cycle", "line"),
    [
        ("a<b b<a", "a -> b -> a", 1),
        ("a<a", "a -> a", 1),
        ("x<a a<b b<c c<a c<d d<e", "a -> b -> c -> a", 2),
        ("a<b TAIL<HEAD", "HEAD -> TAIL -> HEAD", 2),
        ("TAIL<x x<HEAD", "HEAD -> TAIL -> x -> HEAD", 1),
    ],
)
def test_a_cycle_is_named_edge_by_edge(text: str, cycle: str, line: int) -> None:
    with pytest.raises(RollbuildError) as caught:
        rank_names(orders(text))
    message = caught.value.message
    names = cycle.split(" -> ")[:-1]
    turns = [" -> ".join([*names[i:], *names[:i], names[i]]) for i in range(len(names))]
    assert any(turn in message for turn in turns)
    for item in orders(text):
        if item.before in names and item.after in names:
            assert f"{item.before} before {item.after} at {item.location}" in message
    assert caught.value.location is not None
    assert caught.value.location.file == "g.xml"


NAMES = ["a", "b", "c", "d", "e", "f", "g", HEAD, TAIL]


@st.composite
def sound_orders(draw: st.DrawFn) -> list[Order]:
    """Orders without a cycle: all go the same way through a shuffled list that has HEAD before TAIL."""
    line = draw(st.permutations(NAMES))
    head, tail = line.index(HEAD), line.index(TAIL)
    if head > tail:
        line[head], line[tail] = TAIL, HEAD
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14))
    return [
        Order(min(pair, key=line.index), max(pair, key=line.index), Location("g.xml", number), "base")
        for number, pair in enumerate(pairs, 1)
        if pair[0] != pair[1]
    ]


def reach(start: str, pairs: Iterable[tuple[str, str]]) -> set[str]:
    pairs = list(pairs)
    reached = {start}
    while True:
        more = {after for before, after in pairs if before in reached} - reached
        if not more:
            return reached
        reached |= more


@given(sound_orders(), st.sets(st.sampled_from([*NAMES[:7], "u", "v", "w"])), st.randoms())
def test_every_order_holds(given_orders: list[Order], names: set[str], chance: random.Random) -> None:
    ranked = rank_names(given_orders)
    result = order_nodes(ranked, names)
    assert sorted(result) == sorted(names)
    place = {name: index for index, name in enumerate(result)}
    pairs = [(item.before, item.after) for item in given_orders]
    mentioned = {name for pair in pairs for name in pair} | {HEAD, TAIL}
    before_head = {name for name in mentioned if HEAD in reach(name, pairs)}
    after_tail = reach(TAIL, pairs) - {TAIL}
    for first in names & mentioned:
        for second in (reach(first, pairs) - {first}) & names:
            assert place[first] < place[second]
    # Whatever is not tied to HEAD or TAIL lies between them; what no order names follows, sorted, at TAIL.
    unordered = sorted(names - mentioned)
    assert [name for name in result if name in unordered] == unordered
    groups = [names & before_head, (names & mentioned) - before_head - after_tail, set(unordered), names & after_tail]
    assert [set(group) for group in _split(result, [len(group) for group in groups])] == groups
    shuffled = list(given_orders) * 2
    chance.shuffle(shuffled)
    assert rank_names(shuffled) == ranked


def _split(items: tuple[str, ...], sizes: list[int]) -> Iterable[tuple[str, ...]]:
    start = 0
    for size in sizes:
        yield items[start : start + size]
        start += size


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=8))
def test_orders_are_refused_exactly_when_there_is_a_cycle(pairs: list[tuple[str, str]]) -> None:
    given_orders = [Order(a, b, Location("g.xml", 1), "base") for a, b in pairs]
    cyclic = any(any(item in reach(after, pairs) for before, after in pairs if before == item) for item in "abcd")
    if cyclic:
        with pytest.raises(RollbuildError, match="cycle"):
            rank_names(given_orders)
    else:
        rank_names(given_orders)


def selected(body: str, **attributes: str) -> set[str]:
    graph = read_graph(parse_document(f"<graph>{body}</graph>", "g.xml"), "base", {})
    return set(select_nodes(graph, "r", attributes).names)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # V1, V2, V3: every false edge is dropped, whatever its form.
        ('<edge from="r" to="a"/><edge from="a" to="b" cond="no"/><edge from="b" to="c"/>', "ra"),
        ('<edge from="r"><to>a</to></edge><edge from="a" cond="no"><to>b</to></edge><edge from="b" to="c"/>', "ra"),
        ('<edge from="r" to="a"/><edge from="r" to="x"/><edge from="a" to="x" cond="false"/>', "rax"),
        ('<edge from="a" to="x" cond="false"/><edge from="r" to="a"/><edge from="r" to="x"/>', "rax"),
        ('<edge from="r" to="a"/><edge from="a" to="r"/>', "ra"),
        ('<edge from="a" to="b"/>', "r"),
        ('<edge from="r" to="a" os="sunos"/><edge from="r" to="b" os="linux,sunos"/>', "rb"),
    ],
)
def test_selection(body: str, expected: str) -> None:
    assert selected(body, os="linux") == set(expected)


def test_the_path_to_a_node_is_a_shortest_one() -> None:
    body = '<edge from="r" to="a"/><edge from="a" to="b"/><edge from="b" to="c"/><edge from="r" to="b" cond="x"/>'
    graph = read_graph(parse_document(f"<graph>{body}</graph>", "g.xml"), "base", {})
    assert [edge.child for edge in select_nodes(graph, "r", {}).path_to("c")] == ["a", "b", "c"]
    assert [edge.child for edge in select_nodes(graph, "r", {"x": "1"}).path_to("c")] == ["b", "c"]
    assert select_nodes(graph, "r", {}).path_to("r") == ()


PROGRAM = """
import os, random, sys
sys.path.insert(0, sys.argv[1])
listdir, scandir = os.listdir, os.scandir
chance = random.Random(int(sys.argv[3]))
os.listdir = lambda path: chance.sample(names := listdir(path), len(names))
from rollbuild.compiler import Compiler, Target
from rollbuild.language import find_rolls, read_description
from rollbuild.releases import load_release
rolls = find_rolls([sys.argv[2]])
compiler = Compiler(read_description(rolls), load_release("el9"))
profile = compiler.compile(Target("c", "c", "r", {"hostname": "c", "x": "1"}))
sys.stdout.write(profile.text + repr(profile.findings) + repr(compiler.description.findings))
"""


def test_hash_seeds_and_listings_change_nothing(tmp_path: Path) -> None:
    for number in range(12):
        roll = tmp_path / f"roll{number % 3}"
        for folder in ("nodes", "graphs/default"):
            (roll / folder).mkdir(parents=True, exist_ok=True)
        name = f"n{number:02}"
        (roll / "nodes" / f"{name}.xml").write_text(
            f"<kickstart wrong='1' bad='2'><package>p{number % 5}</package><package>q</package>"
            f"<post perm='1'><file name='/etc/{name}' vars='x' perm='y'>&nosuch;</file></post></kickstart>"
        )
        (roll / "graphs/default" / f"{name}.xml").write_text(
            f'<graph a="1" b="2"><edge from="r" to="{name}" cond="x"/>'
            f'<order head="{name}" tail="n{number // 2:02}x"/></graph>'
        )
    (roll / "nodes" / "r.xml").write_text("<kickstart/>")
    results = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(ROOT), str(tmp_path), str(seed)],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed), "PATH": "/usr/bin:/bin"},
        ).stdout
        for seed in range(4)
    }
    assert len(results) == 1
    assert b"n07" in results.pop()
