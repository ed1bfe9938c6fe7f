"""Bodies of requests: never more than is allowed, and never waited for for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from rollbuild.frontend.service.answers import Refused

_FORM = "application/x-www-form-urlencoded"
_FIELDS = 32


async def stream_limited(request: Request, limit: int, seconds: float) -> AsyncIterator[bytes]:
    """The pieces of a body of at most `limit` bytes that comes within `seconds`. Raises Refused."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise Refused(413, f"a body of {length} bytes")
    size = 0
    stream = request.stream().__aiter__()
    end = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(end):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(408, f"the body did not come within {seconds:g} seconds") from None
        except ClientDisconnect:
            raise Refused(400, "the connection was cut within the body") from None
        size += len(piece)
        if size > limit:
            raise Refused(413, f"a body of more than {limit} bytes")
        yield piece


async def read_limited_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole of such a body. Raises Refused."""
    return b"".join([piece async for piece in stream_limited(request, limit, seconds)])


def parse_fields(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a form or of a JSON object, by the content type. Raises Refused for anything else."""
    name = kind.partition(";")[0].strip().lower()
    try:
        if name == "application/json":
            return _plain(json.loads(body))
        if name == _FORM:
            fields = parse_qs(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                max_num_fields=_FIELDS,
                errors="strict",
            )
            if any(len(values) > 1 for values in fields.values()):
                raise ValueError("a field stands there twice")
            return {key: values[0] for key, values in fields.items()}
    except (ValueError, RecursionError) as problem:
        raise Refused(400, f"the body is no {name}: {type(problem).__name__}") from None
    raise Refused(415, "the body is neither a form nor JSON")


def _plain(content: Any) -> dict[str, str]:
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError("no object of texts")
    for value in content.values():
        value.encode()  # half a surrogate pair is no text
    return content
