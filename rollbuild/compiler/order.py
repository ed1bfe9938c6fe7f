"""The order of nodes: one canonical order for a graph, whatever its files are read in.

Kahn's algorithm over all orders, the smallest name first. Nodes without an order follow alphabetically at TAIL.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from rollbuild.errors import RollbuildError
from rollbuild.language import HEAD, TAIL, Order


def rank_names(orders: Sequence[Order]) -> tuple[str, ...]:
    """All names of the orders with HEAD and TAIL, in canonical order.

    Raises RollbuildError with one cycle, edge by edge, when the orders contradict each other.
    """
    after: dict[str, dict[str, Order | None]] = {HEAD: {}, TAIL: {}}
    for order in orders:
        after.setdefault(order.before, {}).setdefault(order.after, order)
        after.setdefault(order.after, {})
    before: dict[str, list[str]] = {name: [] for name in after}
    for name, followers in after.items():
        for follower in followers:
            before[follower].append(name)
    ahead = _reach([HEAD], before)
    behind = _reach([TAIL], after)
    for name in after:
        if name not in ahead:
            after[HEAD].setdefault(name, None)
        if name not in behind:
            after[name].setdefault(TAIL, None)
    after[HEAD].setdefault(TAIL, None)
    waiting = dict.fromkeys(after, 0)
    for followers in after.values():
        for follower in followers:
            waiting[follower] += 1
    ready = [name for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    ranked: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        ranked.append(name)
        for follower in after[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, follower)
    if len(ranked) < len(after):
        _refuse_cycle({name: after[name] for name in after if waiting[name]})
    return tuple(ranked)


def order_nodes(ranked: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    """The names of a selection in order; those that no order mentions come alphabetically at TAIL."""
    ranked = tuple(ranked)
    unordered = sorted(set(names) - set(ranked))
    result: list[str] = []
    for name in ranked:
        if name == TAIL:
            result += unordered
        elif name in names:
            result.append(name)
    return tuple(result)


def _reach(start: list[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    reached = set(start)
    queue = list(start)
    for name in queue:
        for follower in following[name]:
            if follower not in reached:
                reached.add(follower)
                queue.append(follower)
    return reached


def _refuse_cycle(after: Mapping[str, Mapping[str, Order | None]]) -> None:
    # Names that only follow a cycle have no follower left in it: leave them out until a cycle is all there is.
    cyclic = _cyclic(after)
    path = [min(cyclic)]
    while True:
        following = min(name for name in after[path[-1]] if name in cyclic)
        if following in path:
            cycle = [*path[path.index(following) :], following]
            break
        path.append(following)
    steps = [after[first][second] for first, second in pairwise(cycle)]
    places = "; ".join(f"{step.before} before {step.after} at {step.location}" for step in steps if step is not None)
    location = next((step.location for step in steps if step is not None), None)
    raise RollbuildError(
        f"the order has a cycle: {' -> '.join(cycle)} ({places})",
        location=location,
        hint="remove one of these orders",
        code="ORDER-CYCLE",
    )


def _cyclic(after: Mapping[str, Mapping[str, Order | None]]) -> set[str]:
    names = set(after)
    while True:
        kept = {name for name in names if any(follower in names for follower in after[name])}
        if kept == names:
            return names
        names = kept
