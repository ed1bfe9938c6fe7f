"""What the service says of itself: GET /openapi.json."""

from typing import Any

from rollbuild import __version__
from rollbuild.frontend.service.events import STAGE

_HOST = r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"
_PLAIN = {"text/plain": {"schema": {"type": "string"}}}


def _answers(*statuses: int, **given: Any) -> dict[str, Any]:
    """The answers of a route: those given, and the statuses whose text is the same everywhere."""
    texts = {
        400: "The request is not understood.",
        403: "Not for who asks, or not now; it is not said why.",
        404: "There is nothing here.",
        405: "Another method is needed.",
        408: "The body took too long.",
        410: "It was given out.",
        413: "The body is too large.",
        415: "The body is neither a form nor JSON.",
        416: "The file is not that long.",
        503: "The front end cannot do it now; for a Kickstart the text says why.",
    }
    found = {str(status): {"description": texts[status], "content": _PLAIN} for status in statuses}
    return {**{name.removeprefix("s"): answer for name, answer in given.items()}, **found}


def _path(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


_TOKEN = {
    "name": "X-RB-Token",
    "in": "header",
    "required": True,
    "description": "The token of the install, as it stands in the Kickstart.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
}
_EVENT = {
    "type": "object",
    "required": ["host", "stage"],
    "additionalProperties": False,
    "properties": {
        "host": {"type": "string", "pattern": _HOST},
        "stage": {"type": "string", "pattern": f"^{STAGE}$"},
        "detail": {"type": "string", "maxLength": 65536},
    },
}
_KICKSTART = {"description": "The Kickstart.", "content": _PLAIN}
_DONE = {"description": "It is kept."}


def describe() -> dict[str, Any]:
    """The description, as OpenAPI 3.1 has it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rollbuild serve",
            "version": __version__,
            "description": "Hands hosts their Kickstarts and secrets; takes the reports and logs of their installs.",
        },
        "paths": {
            "/ks/{host}": {
                "get": {
                    "summary": "The Kickstart of a host that asks for itself, while it is to install.",
                    "parameters": [
                        _path("host", _HOST),
                        {
                            "name": "X-RHN-Provisioning-MAC-0",
                            "in": "header",
                            "description": "Device and MAC address, by Anaconda's inst.ks.sendmac; 1, 2 and so on too.",
                            "schema": {"type": "string", "pattern": "^[a-z0-9]+ ([0-9a-f]{2}:){5}[0-9a-f]{2}$"},
                        },
                    ],
                    "responses": _answers(400, 403, 503, s200=_KICKSTART),
                }
            },
            "/ks/t/{token}": {
                "get": {
                    "summary": "The Kickstart of the host that this URL was made for; once.",
                    "parameters": [_path("token", "^[A-Za-z0-9_-]{1,128}$")],
                    "responses": _answers(400, 403, 503, s200=_KICKSTART),
                }
            },
            "/events/": {
                "post": {
                    "summary": "How far an install is.",
                    "parameters": [_TOKEN],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/x-www-form-urlencoded": {"schema": _EVENT},
                            "application/json": {"schema": _EVENT},
                        },
                    },
                    "responses": _answers(400, 403, 408, 413, 415, 503, s204=_DONE),
                }
            },
            "/secrets/{host}": {
                "get": {
                    "summary": "What only this host may know, over TLS, once for each install.",
                    "parameters": [_path("host", _HOST), _TOKEN],
                    "responses": _answers(
                        *(400, 403, 410, 503),
                        s200={
                            "description": "A tar of plain files without folders.",
                            "content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}},
                        },
                    ),
                }
            },
            "/logs/{host}": {
                "post": {
                    "summary": "The logs of an install that failed.",
                    "parameters": [_path("host", _HOST), _TOKEN],
                    "requestBody": {
                        "required": True,
                        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
                    },
                    "responses": _answers(400, 403, 408, 413, 503, s204=_DONE),
                }
            },
            "/healthz": {
                "get": {
                    "summary": "Whether the service and its database answer.",
                    "responses": _answers(503, s200={"description": "They do.", "content": _PLAIN}),
                }
            },
            "/openapi.json": {
                "get": {
                    "summary": "This description.",
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
    }
