"""A layered drawing of a directed graph: columns from left to right, few crossings, straight lines.

Sugiyama's method: cycles are broken, nodes get columns by their longest path, long links pass through a bend in every
column between, barycentre sweeps and swaps of neighbours take crossings away, and each column is placed by least
squares near what it is tied to. Equal input gives an equal drawing.
"""

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Link = tuple[str, str]
_Vertex = str | tuple[Link, int]
"""A node by its name, or the bend of a link in a column."""

_SWEEPS = 16
_PLACINGS = 12
_BEND_HEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Route:
    """How a link runs: the height at which it crosses each column between its ends, from left to right."""

    bends: tuple[float, ...]
    is_backward: bool
    """It was turned round to break a cycle: its first name stands to the right of its second."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are: column and height of the middle of each name, and the routes of the links."""

    columns: Mapping[str, int]
    heights: Mapping[str, float]
    routes: Mapping[Link, Route]
    height: float


@dataclass(slots=True)
class _Part:
    """A connected part of the graph in columns; `left` and `right` are the neighbours of each vertex."""

    columns: list[list[_Vertex]]
    left: dict[_Vertex, list[_Vertex]]
    right: dict[_Vertex, list[_Vertex]]
    y: dict[_Vertex, float] = field(default_factory=dict)


def lay_out(sizes: Mapping[str, float], links: Iterable[Link], first: Collection[str] = (), gap: float = 8.0) -> Layout:
    """Place names, whose `sizes` are their heights, by the links between them; a link to itself has no route.

    `first` stand in the first column unless something leads to them. Where nothing else decides, names keep the
    order of `sizes`.
    """
    wanted = list(dict.fromkeys((a, b) for a, b in links if a != b))
    backward = _find_backward(list(sizes), wanted, first)
    forward = {link: (link[::-1] if link in backward else link) for link in wanted}
    columns = _assign_columns(list(sizes), set(forward.values()), first)
    heights: dict[str, float] = {}
    routes: dict[Link, Route] = {}
    top = 0.0
    for names in _components(list(sizes), forward.values(), first):
        inside = set(names)
        part = _make_part(names, {link: ends for link, ends in forward.items() if ends[0] in inside}, columns)
        _reduce_crossings(part)
        bottom = _place(part, sizes, gap)
        heights.update((name, part.y[name] + top) for name in names)
        for link, (start, end) in forward.items():
            if start in inside:
                between = range(columns[start] + 1, columns[end])
                bends = tuple(part.y[link, column] + top for column in between)
                routes[link] = Route(bends, link in backward)
        top += bottom + 3 * gap
    return Layout(columns, heights, routes, max(top - 3 * gap, 0.0))


def _find_backward(names: Sequence[str], links: Sequence[Link], first: Collection[str]) -> set[Link]:
    """The links that close a cycle on a walk from the first names."""
    children: dict[str, list[str]] = {name: [] for name in names}
    has_parent = set()
    for parent, child in links:
        children[parent].append(child)
        has_parent.add(child)
    backward: set[Link] = set()
    state = dict.fromkeys(names, 0)
    for root in sorted(names, key=lambda name: (name not in first, name in has_parent)):
        if state[root]:
            continue
        state[root] = 1
        walk = [(root, iter(children[root]))]
        while walk:
            name, rest = walk[-1]
            child = next(rest, "")
            if not child:
                state[name] = 2
                walk.pop()
            elif state[child] == 1:
                backward.add((name, child))
            elif not state[child]:
                state[child] = 1
                walk.append((child, iter(children[child])))
    return backward


def _assign_columns(names: Sequence[str], links: Collection[Link], first: Collection[str]) -> dict[str, int]:
    parents: dict[str, list[str]] = {name: [] for name in names}
    children: dict[str, list[str]] = {name: [] for name in names}
    for parent, child in sorted(links):
        parents[child].append(parent)
        children[parent].append(child)
    waiting = {name: len(parents[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    columns = dict.fromkeys(names, 0)
    for name in ready:
        for child in children[name]:
            columns[child] = max(columns[child], columns[name] + 1)
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    # Links get shorter when a node with more children than parents stands next to them.
    for name in reversed(ready):
        if name not in first and len(children[name]) > len(parents[name]):
            columns[name] = min(columns[child] for child in children[name]) - 1
    return columns


def _components(names: Sequence[str], links: Iterable[Link], first: Collection[str]) -> list[list[str]]:
    """The names of each connected part; parts with first names, then large ones, come first."""
    ties: dict[str, list[str]] = {name: [] for name in names}
    for a, b in links:
        ties[a].append(b)
        ties[b].append(a)
    part_of: dict[str, int] = {}
    for number, root in enumerate(names):
        queue = [] if root in part_of else [root]
        for name in queue:
            if name not in part_of:
                part_of[name] = number
                queue += ties[name]
    parts: dict[int, list[str]] = {}
    for name in names:
        parts.setdefault(part_of[name], []).append(name)
    return sorted(parts.values(), key=lambda part: (not any(name in first for name in part), -len(part)))


def _make_part(names: Sequence[str], links: Mapping[Link, Link], columns: Mapping[str, int]) -> _Part:
    left: dict[_Vertex, list[_Vertex]] = {name: [] for name in names}
    right: dict[_Vertex, list[_Vertex]] = {name: [] for name in names}
    rank = {name: index for index, name in enumerate(names)}
    for link, (start, end) in sorted(links.items(), key=lambda item: (rank[item[1][0]], rank[item[1][1]], item[0])):
        bends: list[_Vertex] = [(link, column) for column in range(columns[start] + 1, columns[end])]
        chain: list[_Vertex] = [start, *bends, end]
        for one, other in pairwise(chain):
            right.setdefault(one, []).append(other)
            left.setdefault(other, []).append(one)
            left.setdefault(one, [])
            right.setdefault(other, [])
    # The first order is that of a walk: what hangs together stands together.
    filled: list[list[_Vertex]] = [[] for _ in range(max(columns.values(), default=0) + 1)]
    seen: set[_Vertex] = set()
    for root in sorted(names, key=lambda name: (columns[name], rank[name])):
        stack: list[_Vertex] = [root]
        while stack:
            vertex = stack.pop()
            if vertex not in seen:
                seen.add(vertex)
                filled[_column(vertex, columns)].append(vertex)
                stack += reversed(right[vertex])
    return _Part(filled, left, right)


def _column(vertex: _Vertex, columns: Mapping[str, int]) -> int:
    return columns[vertex] if isinstance(vertex, str) else vertex[1]


def _reduce_crossings(part: _Part) -> None:
    first = {vertex: index for column in part.columns for index, vertex in enumerate(column)}
    best = [list(column) for column in part.columns]
    fewest = _count_crossings(part)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        to_right = sweep % 2 == 0
        order = range(1, len(part.columns)) if to_right else range(len(part.columns) - 2, -1, -1)
        for number in order:
            beside = part.columns[number - 1 if to_right else number + 1]
            place = {vertex: index for index, vertex in enumerate(beside)}
            neighbours = part.left if to_right else part.right
            _sort_by_barycentre(part.columns[number], neighbours, place, first)
        _swap_neighbours(part)
        crossings = _count_crossings(part)
        if crossings < fewest:
            fewest, best = crossings, [list(column) for column in part.columns]
    part.columns = best


def _sort_by_barycentre(
    column: list[_Vertex],
    neighbours: Mapping[_Vertex, list[_Vertex]],
    place: Mapping[_Vertex, int],
    first: Mapping[_Vertex, int],
) -> None:
    """Sort what has neighbours by their mean place; what has none stays where it is."""
    tied = [vertex for vertex in column if neighbours[vertex]]
    tied.sort(
        key=lambda vertex: (sum(place[other] for other in neighbours[vertex]) / len(neighbours[vertex]), first[vertex])
    )
    following = iter(tied)
    column[:] = [next(following) if neighbours[vertex] else vertex for vertex in column]


def _swap_neighbours(part: _Part) -> None:
    place = {vertex: index for column in part.columns for index, vertex in enumerate(column)}
    for column in part.columns:
        for index in range(len(column) - 1):
            one, other = column[index], column[index + 1]
            gain = 0
            for neighbours in (part.left, part.right):
                ones = [place[vertex] for vertex in neighbours[one]]
                others = [place[vertex] for vertex in neighbours[other]]
                gain += sum((a > b) - (a < b) for a in ones for b in others)
            if gain > 0:
                column[index], column[index + 1] = other, one
                place[one], place[other] = index + 1, index


def _count_crossings(part: _Part) -> int:
    total = 0
    for column, beside in pairwise(part.columns):
        place = {vertex: index for index, vertex in enumerate(beside)}
        seen: list[int] = []
        for vertex in column:
            ends = sorted(place[other] for other in part.right[vertex])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _place(part: _Part, sizes: Mapping[str, float], gap: float) -> float:
    """Give every vertex its height, from 0; return the height of the whole."""
    size = {vertex: sizes[vertex] if isinstance(vertex, str) else _BEND_HEIGHT for vertex in part.left}
    offsets = {}
    for column in part.columns:
        at = 0.0
        for index, vertex in enumerate(column):
            if index:
                before = column[index - 1]
                close = not isinstance(before, str) and not isinstance(vertex, str)
                at += (size[before] + size[vertex]) / 2 + (gap / 2 if close else gap)
            offsets[vertex] = at
    part.y = dict(offsets)
    for step in range(_PLACINGS):
        to_right = step % 2 == 0
        last = step >= _PLACINGS - 2
        for column in part.columns if to_right else reversed(part.columns):
            sides = (part.left, part.right) if last else ((part.left,) if to_right else (part.right,))
            _settle(column, sides, offsets, part.y)
    if not part.y:
        return 0.0
    top = min(part.y[vertex] - size[vertex] / 2 for vertex in part.y)
    part.y = {vertex: y - top for vertex, y in part.y.items()}
    return max(part.y[vertex] + size[vertex] / 2 for vertex in part.y)


def _settle(
    column: Sequence[_Vertex],
    sides: Sequence[Mapping[_Vertex, list[_Vertex]]],
    offsets: Mapping[_Vertex, float],
    y: dict[_Vertex, float],
) -> None:
    """Move a column's vertices as near to the mean of their neighbours as their order and distances allow.

    Least squares under an order: neighbours that would overlap are pooled and move as one.
    """
    pools: list[tuple[float, float, int]] = []
    for vertex in column:
        near = [other for side in sides for other in side[vertex]]
        straight = 6.0 if not isinstance(vertex, str) else 1.0
        weights = [straight * (3.0 if not isinstance(other, str) else 1.0) for other in near]
        weight = sum(weights) or 0.05
        wish = sum(w * y[other] for w, other in zip(weights, near, strict=True)) / weight if near else y[vertex]
        pool = (weight, wish - offsets[vertex], 1)
        while pools and pools[-1][1] > pool[1]:
            before = pools.pop()
            both = before[0] + pool[0]
            pool = (both, (before[0] * before[1] + pool[0] * pool[1]) / both, before[2] + pool[2])
        pools.append(pool)
    shifts = [value for _, value, count in pools for _ in range(count)]
    for vertex, shift in zip(column, shifts, strict=True):
        y[vertex] = shift + offsets[vertex]
