"""The answers that say nothing: one text for each status, so that nobody learns what there is by asking."""

from starlette.responses import PlainTextResponse, Response

from rollbuild.errors import BUSY, DISK, UNREACHABLE, RollbuildError

PLAIN = "text/plain; charset=utf-8"
_TEXTS = {
    400: "this request is not understood",
    403: "not for you, or not now: the log of the front end says why",
    404: "there is nothing here",
    405: "there is nothing here that does this",
    408: "this took too long",
    410: "this was given out",
    413: "this is too large",
    415: "send a form or JSON",
    416: "the file is not that long",
    431: "the headers are too large",
    500: "the front end failed: its log says why",
    503: "not now: try again",
}
_NOT_STORED = {"Cache-Control": "no-store"}
_PASSING = frozenset((BUSY, DISK, UNREACHABLE))


class Refused(Exception):
    """An answer other than the one that was asked for. `reason` is for the log alone."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refusal(status: int) -> Response:
    """The answer of a status."""
    text = _TEXTS.get(status, _TEXTS[400 if status < 500 else 500])
    headers = _NOT_STORED | ({"Retry-After": "5"} if status == 503 else {})
    return PlainTextResponse(f"{text}\n", status, headers)


def is_passing(problem: RollbuildError) -> bool:
    """Whether this is no judgement on the request: the database or the disk cannot be used now."""
    return problem.exit_code in _PASSING
