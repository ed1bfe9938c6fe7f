"""The service: which address leads to what, and what is said where something fails."""

import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from rollbuild.cluster import configuration_generation
from rollbuild.errors import RollbuildError
from rollbuild.frontend.kickstarts import KickstartMaker
from rollbuild.frontend.place import FrontEnd
from rollbuild.frontend.service import bundles, events, giving, hostlogs, publicfiles
from rollbuild.frontend.service.answers import Refused, refusal
from rollbuild.frontend.service.asking import read_asker
from rollbuild.frontend.service.bodies import parse_fields, read_limited_body, stream_limited
from rollbuild.frontend.service.description import describe
from rollbuild.frontend.service.limits import Limits
from rollbuild.frontend.service.work import Work, log

BODY_SECONDS = 30.0
LOGS_SECONDS = 120.0
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)*\Z", re.ASCII)
_URL_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}\Z", re.ASCII)
_SECRET_PATH = re.compile(r"(/ks/t/).*", re.DOTALL)
_SHOWN = 200

Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(front_end: FrontEnd, files: Path | None = None, *, work: Work | None = None) -> Starlette:
    """The service of a front end. With `files`, that folder is /install/ too."""
    work = work or Work(front_end, KickstartMaker(front_end))
    routes: list[BaseRoute] = [
        _get("/ks/t/{token:path}", _give_by_url_token, work),
        _get("/ks/{host:path}", _give_by_name, work),
        _get("/secrets/{host:path}", _give_secrets, work),
        Route("/events/", _guarded(_take_event, work), methods=["POST"]),
        Route("/logs/{host:path}", _guarded(_take_logs, work), methods=["POST"]),
        _get("/healthz", _tell_health, work),
        _get("/openapi.json", _tell_description, work),
    ]
    if files is not None:
        routes.append(Route("/install/{path:path}", _guarded(_give_files(files), work), methods=["GET"]))
    routes += _pages(work)
    handlers = {HTTPException: _on_http, Exception: _on_fault}
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Limits)],
        exception_handlers=handlers,  # type: ignore[arg-type]
    )
    # A redirection would say what there is, at an address that the request's own Host header chose.
    app.router.redirect_slashes = False
    return app


def _pages(work: Work) -> Sequence[BaseRoute]:
    from rollbuild.frontend.page import page_routes

    return page_routes(work.front_end, work.maker, work.clock)


def _get(path: str, answer: "Answer", work: Work) -> Route:
    return Route(path, _guarded(answer, work), methods=["GET"])


Answer = Callable[[Work, Request], Awaitable[Response]]


def _guarded(answer: Answer, work: Work) -> Endpoint:
    """Turns whatever goes wrong into an answer that says nothing, and a line of the log that does."""

    async def run(request: Request) -> Response:
        try:
            response = await answer(work, request)
        except Refused as problem:
            log.warning("%s: %s: %s", request_line(request), problem.status, problem.reason)
            return refusal(problem.status)
        except RollbuildError as problem:
            log.error("%s: 503: %s", request_line(request), problem.message)
            return refusal(503)
        log.debug("%s: %s", request_line(request), response.status_code)
        return response

    return run


async def _on_http(request: Request, problem: HTTPException) -> Response:
    response = refusal(problem.status_code)
    response.headers.update(problem.headers or {})
    return response


async def _on_fault(request: Request, problem: Exception) -> Response:
    # Starlette raises it again for the server's log, after this answer.
    return refusal(500)


def request_line(request: Request) -> str:
    """Who asks for what, in one line without secrets."""
    path = _SECRET_PATH.sub(r"\1(token)", request.scope.get("raw_path", b"").decode("ascii", "backslashreplace"))
    method = request.method if request.method.isalpha() else "?"
    return f"{read_asker(request).address or '-'} {method[:10]} {ascii(path[:_SHOWN])[1:-1]}"


def _host(request: Request) -> str:
    name = request.path_params["host"]
    if not _HOST.match(name):
        raise Refused(403, "no host can have this name")
    return str(name)


async def _give_by_name(work: Work, request: Request) -> Response:
    records = request.method != "HEAD"
    return await run_in_threadpool(giving.give_by_name, work, _host(request), read_asker(request), records=records)


async def _give_by_url_token(work: Work, request: Request) -> Response:
    token = request.path_params["token"]
    if not _URL_TOKEN.match(token):
        raise Refused(403, "no URL can have this token")
    records = request.method != "HEAD"
    return await run_in_threadpool(giving.give_by_url_token, work, token, read_asker(request), records=records)


async def _give_secrets(work: Work, request: Request) -> Response:
    if request.method == "HEAD":
        raise Refused(403, "secrets have no HEAD")
    return await run_in_threadpool(bundles.give_secrets, work, _host(request), read_asker(request))


async def _take_event(work: Work, request: Request) -> Response:
    asker = read_asker(request)
    if not asker.token:
        raise Refused(403, "there is no token")
    body = await read_limited_body(request, events.BODY_LIMIT, BODY_SECONDS)
    fields = parse_fields(request.headers.get("content-type", ""), body)
    return await run_in_threadpool(events.take_event, work, fields, asker)


async def _take_logs(work: Work, request: Request) -> Response:
    body = stream_limited(request, hostlogs.BODY_LIMIT, LOGS_SECONDS)
    return await hostlogs.take_logs(work, _host(request), read_asker(request), body)


async def _tell_health(work: Work, request: Request) -> Response:
    def look() -> None:
        with work.front_end.database.reading() as c:
            configuration_generation(c)

    await run_in_threadpool(look)
    return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})


async def _tell_description(work: Work, request: Request) -> Response:
    return JSONResponse(describe())


def _give_files(folder: Path) -> Answer:
    async def give(work: Work, request: Request) -> Response:
        return await run_in_threadpool(publicfiles.give_file, folder, request.path_params["path"])

    return give
