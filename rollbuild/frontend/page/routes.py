"""The addresses of the page, who gets an answer there, and what a browser may do with it."""

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rollbuild.cluster import activity_mark, configuration_generation, find_appliance, find_host, list_hosts
from rollbuild.errors import RollbuildError
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.page.access import refuse_others
from rollbuild.frontend.page.descriptions import Descriptions, count_severities, installable
from rollbuild.frontend.page.hostview import read_host
from rollbuild.frontend.page.kickstartview import read_kickstart
from rollbuild.frontend.page.overview import read_overview
from rollbuild.frontend.page.states import BY_NAME, STATES
from rollbuild.frontend.page.templates import HOME, STATIC, render, static_file, version
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.service.answers import Refused, refusal
from rollbuild.frontend.service.asking import read_asker

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("rollbuild.page")

AT_ONCE = 4
"""Pages that are made at the same time: the threads are there for Kickstarts first."""
_LONGEST = 100
_HTML = "text/html; charset=utf-8"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The picture of a graph is a page of its own in a frame: it brings its style and its one script, and says so itself.
_DRAWING = {
    **_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts",
    "X-Frame-Options": "SAMEORIGIN",
}

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the snapshot that answers it."""

    c: "Connection"
    request: Request
    now: float

    def word(self, name: str) -> str:
        """A parameter of the address."""
        return str(self.request.path_params.get(name, ""))[: _LONGEST * 3]

    def choice(self, name: str) -> str:
        """A parameter after the question mark."""
        return self.request.query_params.get(name, "").strip()[:_LONGEST]


Answer = Callable[[Asked], Response]


def page_routes(front_end: FrontEnd, maker: KickstartMaker, clock: Callable[[], float] = time.time) -> list[Route]:
    """The routes of the page, for the service. All below /cluster/; `/` leads there.

    Loopback and the network `private` get answers, others 403. `clock` gives UTC seconds since 1970.
    """
    pages = _Pages(maker)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    def guarded(answer: Answer) -> Endpoint:
        def work(request: Request) -> Response:
            with front_end.database.reading() as c:
                refuse_others(c, read_asker(request).address, request.headers.get("host", ""))
                return answer(Asked(c, request, clock()))

        async def run(request: Request) -> Response:
            try:
                return await anyio.to_thread.run_sync(work, request, limiter=limiter)
            except Refused as problem:
                log.warning("%s: %s: %s", read_asker(request).address or "-", problem.status, problem.reason)
                return refusal(problem.status)
            except RollbuildError as problem:
                log.error("the page: 503: %s", problem.message)
                return _problem(503, "This cannot be shown now", problem)

        return run

    def live(answer: Answer) -> Answer:
        """A page that is asked for again and again: what did not change is not made anew."""

        def look(asked: Asked) -> Response:
            # States look at the clock too, so that an hour without any event does not go unseen.
            place = (asked.request.scope["path"], asked.request.scope["query_string"].decode("latin-1"))
            parts = (version(), activity_mark(asked.c), *place, str(int(asked.now // 60)))
            tag = f'W/"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'
            if tag in asked.request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers={**_HEADERS, "ETag": tag})
            response = answer(asked)
            if response.status_code == 200:
                response.headers["ETag"] = tag
            return response

        return look

    table: tuple[tuple[str, Answer], ...] = (
        ("/", lambda asked: Response(status_code=303, headers={**_HEADERS, "Location": HOME})),
        (HOME, live(pages.overview)),
        (f"{HOME}hosts/{{host}}", live(pages.host)),
        (f"{HOME}hosts/{{host}}/kickstart", pages.kickstart),
        (f"{HOME}graph/", pages.graphs),
        (f"{HOME}graph/{{appliance}}", pages.graph),
        (f"{HOME}graph/{{appliance}}/drawing", pages.drawing),
        (f"{HOME}findings", pages.findings),
        (f"{HOME}static/{{name}}", _static),
    )
    return [Route(path, guarded(answer), methods=["GET"]) for path, answer in table]


class _Pages:
    """What is at each address."""

    def __init__(self, maker: KickstartMaker) -> None:
        self._maker = maker
        self._descriptions = Descriptions(maker)

    def overview(self, asked: Asked) -> Response:
        state, search = asked.choice("state"), asked.choice("q")
        state = state if state in BY_NAME else ""
        view = read_overview(asked.c, asked.now, state=state, search=search)
        return _page("overview", asked, view=view, chosen=BY_NAME.get(state), search=search, states=STATES)

    def host(self, asked: Asked) -> Response:
        if missing := _missing(asked):
            return missing
        return _page("host", asked, view=read_host(asked.c, self._maker, asked.word("host"), asked.now))

    def kickstart(self, asked: Asked) -> Response:
        if missing := _missing(asked):
            return missing
        host = find_host(asked.c, asked.word("host"))
        try:
            view = read_kickstart(self._maker, host.name, host.appliance)
        except RollbuildError as problem:
            return _problem(503, f"The Kickstart of {host.name} cannot be made", problem, asked.now)
        return _page("kickstart", asked, view=view, host=host)

    def graphs(self, asked: Asked) -> Response:
        known = installable(asked.c)
        if not known:
            problem = RollbuildError("no appliance has a root node", hint="rocks set appliance NAME node=NODE")
            return _problem(503, "There is no graph", problem, asked.now)
        # What most hosts are, where the site has it.
        first = next((appliance for appliance in known if appliance.name == "compute"), known[0])
        return self._graph(asked, first.name)

    def graph(self, asked: Asked) -> Response:
        return self._graph(asked, asked.word("appliance"))

    def _graph(self, asked: Asked, name: str) -> Response:
        try:
            appliance = find_appliance(asked.c, name)
        except RollbuildError as problem:
            return _problem(404, "There is no such appliance", problem, asked.now)
        view = self._descriptions.graph(appliance, configuration_generation(asked.c))
        return _page("graph", asked, view=view, appliances=installable(asked.c))

    def drawing(self, asked: Asked) -> Response:
        try:
            appliance = find_appliance(asked.c, asked.word("appliance"))
        except RollbuildError as problem:
            return _problem(404, "There is no such appliance", problem, asked.now)
        text = self._descriptions.drawing(appliance, configuration_generation(asked.c))
        return Response(text.encode("utf-8", "replace"), media_type=_HTML, headers=_DRAWING)

    def findings(self, asked: Asked) -> Response:
        used = {host.appliance for host in list_hosts(asked.c)}
        view = self._descriptions.findings(installable(asked.c), used, configuration_generation(asked.c))
        return _page("findings", asked, view=view, counts=count_severities(view))


def _missing(asked: Asked) -> Response | None:
    try:
        find_host(asked.c, asked.word("host"))
    except RollbuildError as problem:
        return _problem(404, "There is no such host", problem, asked.now)
    return None


def _static(asked: Asked) -> Response:
    name = asked.word("name")
    if name not in STATIC:
        raise Refused(404, "no file of the page")
    headers = {**_HEADERS, "Cache-Control": "private, max-age=86400"}
    return Response(static_file(name), media_type=STATIC[name], headers=headers)


def _page(name: str, asked: Asked, **values: Any) -> Response:
    return Response(render(name, now=asked.now, **values), media_type=_HTML, headers=_HEADERS)


def _problem(status: int, title: str, problem: RollbuildError, now: float | None = None) -> Response:
    body = render("problem", now=time.time() if now is None else now, title=title, problem=problem)
    headers = {**_HEADERS, **({"Retry-After": "5"} if status == 503 else {})}
    return Response(body, status, media_type=_HTML, headers=headers)
