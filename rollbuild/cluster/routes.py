"""Routes of the hosts of a scope."""

import ipaddress
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from rollbuild.cluster import schema
from rollbuild.cluster.appliances import find_appliance
from rollbuild.cluster.hosts import find_host
from rollbuild.cluster.names import check_word, spell_address
from rollbuild.cluster.networks import find_network
from rollbuild.cluster.values import Route
from rollbuild.errors import USAGE, RollbuildError

_table = schema.routes


def list_routes(c: Connection, scope: str | None = None, key: str | None = None) -> tuple[Route, ...]:
    """All routes, or those of a scope and key; from the widest scope to the narrowest."""
    query = select(_table).order_by(_table.c.key, _table.c.destination)
    if scope is not None:
        query = query.where(_table.c.scope == scope)
    if key is not None:
        query = query.where(_table.c.key == key)
    found = [_route(row) for row in c.execute(query)]
    return tuple(sorted(found, key=lambda route: schema.SCOPES.index(route.scope)))


def add_route(c: Connection, route: Route) -> Route:
    """Add a route, as it is then spelled.

    Raises RollbuildError: USAGE for what is none, REFUSED where the scope has one to this destination, or there is
    no such network, appliance or host.
    """
    route = replace(
        route,
        key=check_scope(c, route.scope, route.key),
        destination=_spell_destination(route.destination),
        gateway=spell_address(route.gateway) if route.gateway else "",
    )
    if bool(route.gateway) == bool(route.network):
        raise RollbuildError(
            "a route goes through a gateway, or out to a network: name one of the two", exit_code=USAGE
        )
    if route.network:
        find_network(c, route.network)
    if c.execute(select(_table).where(*_same(route.scope, route.key, route.destination))).first():
        raise RollbuildError(f"{_whose(route.scope, route.key)} a route to {route.destination} already")
    c.execute(insert(_table).values(**{**asdict(route), "network": route.network or None}))
    return route


def remove_route(c: Connection, scope: str, key: str, destination: str) -> None:
    """Raises RollbuildError where the scope has no route to the destination."""
    destination = _spell_destination(destination)
    if not c.execute(delete(_table).where(*_same(scope, key, destination))).rowcount:
        known = [route.destination for route in list_routes(c, scope, key)]
        raise RollbuildError(
            f"{_whose(scope, key)} no route to {destination}",
            hint=f"there are routes to {', '.join(known)}" if known else "there are none",
        )


def check_scope(c: Connection, scope: str, key: str) -> str:
    """The key of a scope as it is stored: of an appliance's membership its name. Raises RollbuildError."""
    match scope:
        case "global":
            return ""
        case "appliance":
            return find_appliance(c, key).name
        case "host":
            return find_host(c, key).name
        case "rack":
            if not (key.isascii() and key.isdigit()):
                raise RollbuildError(f'"{key}" is no rack', hint="a rack is a number", exit_code=USAGE)
            return str(int(key))
        case "os":
            return check_word(key, "an OS")
    raise RollbuildError(f'"{scope}" is no scope', hint=f"it is one of {', '.join(schema.SCOPES)}", exit_code=USAGE)


def _spell_destination(text: str) -> str:
    try:
        whole = ipaddress.IPv4Network(text.strip())
    except ValueError as problem:
        hint = "it looks like 10.2.0.0/16 or 10.2.0.0/255.255.0.0; 0.0.0.0/0 is the default route"
        raise RollbuildError(f"{text!r} is no destination of a route", hint=hint, exit_code=USAGE) from problem
    return str(whole)


def _same(scope: str, key: str, destination: str) -> tuple[Any, ...]:
    return _table.c.scope == scope, _table.c.key == key, _table.c.destination == destination


def _whose(scope: str, key: str) -> str:
    return "all hosts have" if scope == "global" else f"{scope} {key} has"


def _route(row: Row[Any]) -> Route:
    return Route(**{**row._mapping, "network": row.network or ""})
