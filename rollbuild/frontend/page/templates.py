"""The templates of the page: everything they are given is text, and escaped."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rollbuild import __version__
from rollbuild.frontend.page.words import clock_time, counted, exact_time, how_long, printable

STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HOME = "/cluster/"


@cache
def environment() -> Environment:
    """The templates, compiled once."""
    made = Environment(
        loader=PackageLoader("rollbuild.frontend.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters |= {"counted": counted, "exact": exact_time, "how_long": how_long}
    made.globals |= {"home": HOME, "version": version(), "clock_time": clock_time}
    return made


def render(name: str, **values: Any) -> bytes:
    """A page."""
    return environment().get_template(f"{name}.html.j2").render(values).encode()


@cache
def static_file(name: str) -> bytes:
    return (files("rollbuild.frontend.page") / "static" / name).read_bytes()


@cache
def version() -> str:
    """Another one when the page itself is: browsers that look on then load it anew."""
    digest = hashlib.sha256(__version__.encode())
    folder = files("rollbuild.frontend.page")
    for part in ("static", "templates"):
        for file in sorted((folder / part).iterdir(), key=lambda item: item.name):
            if file.is_file():
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) else printable(str(value))
