"""The graphs of 19 real Rocks 7 rolls: names, edges, orders and conditions, and what five appliances select."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rollbuild.compiler import order_nodes, rank_names, select_nodes
from rollbuild.language import HEAD, TAIL, Edge, Graph, Guard, Order, compile_condition
from rollbuild.location import Location

DATA = Path(__file__).parents[1] / "data" / "rocks7"
FACTS: dict[str, Any] = json.loads((DATA / "graph.json").read_text())
APPLIANCES: dict[str, Any] = json.loads((DATA / "appliances.json").read_text())


@cache
def graph() -> Graph:
    edges, orders = [], []
    for number, fact in enumerate(FACTS["edges"], 1):
        place = Location("graph.json", number)
        guards = (Guard(condition=compile_condition(fact["cond"], place)),) if fact["cond"] else ()
        edges.append(Edge(fact["from"], fact["to"], guards, place, fact["roll"]))
    for number, fact in enumerate(FACTS["orders"], 1):
        orders.append(Order(fact["head"], fact["tail"], Location("graph.json", number), fact["roll"]))
    return Graph(tuple(edges), tuple(orders))


@cache
def followers() -> dict[str, frozenset[str]]:
    """Whatever comes after each name of the orders, also through others."""
    after: dict[str, set[str]] = {}
    for order in graph().orders:
        after.setdefault(order.before, set()).add(order.after)
        after.setdefault(order.after, set())
    while True:
        more = {name: names.union(*(after[other] for other in names)) for name, names in after.items()}
        if more == after:
            return {name: frozenset(names) for name, names in after.items()}
        after = more


def test_the_facts_are_whole() -> None:
    assert len(FACTS["edges"]) > 200
    assert len(FACTS["orders"]) > 100
    assert len(APPLIANCES) == 5
    assert any(order.before == TAIL for order in graph().orders)


@pytest.mark.parametrize("name", sorted(APPLIANCES))
def test_selection_is_the_real_one(name: str) -> None:
    fact = APPLIANCES[name]
    found = select_nodes(graph(), fact["root"], fact["attributes"]).names
    assert sorted(found) == sorted(fact["nodes"])


@pytest.mark.parametrize("name", sorted(APPLIANCES))
def test_order_satisfies_every_order_edge(name: str) -> None:
    names = set(APPLIANCES[name]["nodes"])
    order = order_nodes(rank_names(graph().orders), names)
    assert sorted(order) == sorted(names)
    place = {node: index for index, node in enumerate(order)}
    after = followers()
    checked = 0
    for first in names & after.keys():
        for second in after[first] & names:
            assert place[first] < place[second], (first, second)
            checked += 1
    assert checked > 15
    before_head = [node for node in order if HEAD in after.get(node, ())]
    after_tail = [node for node in order if node in after[TAIL]]
    unordered = sorted(names - after.keys())
    rest = [node for node in order if node not in {*before_head, *after_tail, *unordered}]
    assert list(order) == [*before_head, *rest, *unordered, *after_tail]
    assert unordered


def test_the_first_and_last_nodes_of_compute() -> None:
    order = order_nodes(rank_names(graph().orders), APPLIANCES["compute"]["nodes"])
    assert order[0] == "partitions-save"
    assert order.index("client") > order.index("client-firewall")
    assert "compute" in order[-6:]
