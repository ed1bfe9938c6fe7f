"""Connections: nobody holds one for longer than it takes to be served, or speaks for others without being the proxy."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from rollbuild.frontend.service.answers import refusal
from rollbuild.frontend.service.peers import LOOPBACK, may_speak_for_others

HEADER_SECONDS = 15.0
SEND_SECONDS = 60.0
HEADER_LIMIT = 16 * 1024
"""Bytes of a request's line and headers together."""


class ImpatientProtocol(H11Protocol):
    """HTTP by uvicorn, which itself waits for ever for a request that is begun and not ended.

    A user of this machine who is no web server has no address: nothing that is for a host is given to it.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.client is not None and self.client[0] in LOOPBACK:
            connection = transport.get_extra_info("socket")
            if connection is None or not may_speak_for_others(connection):
                self.client = None
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_served():
            self._cancel()
        elif self._timer is None:
            self._wait_for_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _is_served(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_request(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._is_served() and not self.transport.is_closing():
            self.transport.abort()


class Limits:
    """Refuses what is too large before anything looks at it, and ends an answer that its reader does not take: each
    piece has a time of its own. uvicorn's own limit is for headers that come in pieces only."""

    def __init__(self, app: ASGIApp, seconds: float = SEND_SECONDS) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: Message) -> None:
            await asyncio.wait_for(send(message), self._seconds)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _size(scope) > HEADER_LIMIT:
            await refusal(431)(scope, receive, send_soon)
        else:
            await self._app(scope, receive, send_soon)


def _size(scope: Scope) -> int:
    line = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
