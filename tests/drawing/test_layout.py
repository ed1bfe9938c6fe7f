"""The layout of a graph: every box in its column, few crossings, straight chains."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.drawing.layout import Layout, lay_out

_names = st.integers(0, 12).map(lambda number: f"n{number:02}")


def crossings(layout: Layout, links: list[tuple[str, str]]) -> int:
    lines = [(layout.columns[a], layout.heights[a], layout.heights[b]) for a, b in links]
    return sum(
        one[0] == other[0] and (one[1] - other[1]) * (one[2] - other[2]) < 0
        for index, one in enumerate(lines)
        for other in lines[index + 1 :]
    )


@given(st.lists(st.tuples(_names, _names), max_size=40), st.sets(_names, max_size=3))
def test_any_graph_is_laid_out(links: list[tuple[str, str]], first: set[str]) -> None:
    names = sorted({name for link in links for name in link} | first)
    sizes = {name: 20.0 + 10 * (index % 3) for index, name in enumerate(names)}
    layout = lay_out(sizes, links, first)
    assert set(layout.columns) == set(layout.heights) == set(names)
    assert set(layout.routes) == {link for link in links if link[0] != link[1]}
    for (start, end), route in layout.routes.items():
        left, right = (end, start) if route.is_backward else (start, end)
        assert len(route.bends) == layout.columns[right] - layout.columns[left] - 1
    for column in range(max(layout.columns.values(), default=-1) + 1):
        inside = sorted((layout.heights[name], name) for name in names if layout.columns[name] == column)
        for (upper, one), (lower, other) in pairwise(inside):
            assert lower - upper >= (sizes[one] + sizes[other]) / 2
    for name in names:
        assert sizes[name] / 2 - 1e-6 <= layout.heights[name] <= layout.height - sizes[name] / 2 + 1e-6


def test_crossings_that_need_not_be_are_taken_away() -> None:
    links = [(f"a{index}", f"b{(index * 5 + 3) % 8}") for index in range(8)]
    layout = lay_out(dict.fromkeys(sorted({name for link in links for name in link}), 20.0), [*links, ("a0", "b0")])
    assert crossings(layout, links) == 0


def test_a_chain_is_straight_and_a_parent_stands_amid_its_children() -> None:
    names = ["a", "b", "c", "d1", "d2", "d3"]
    links = [("a", "b"), ("b", "c"), ("c", "d1"), ("c", "d2"), ("c", "d3")]
    layout = lay_out(dict.fromkeys(names, 20.0), links, {"a"})
    assert [layout.columns[name] for name in names] == [0, 1, 2, 3, 3, 3]
    for name in ("a", "b", "c"):
        assert layout.heights[name] == pytest.approx(layout.heights["d2"], abs=0.5)
