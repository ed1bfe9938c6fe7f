"""The option --store, and where the store is without it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rollbuild.rolls import Store

_Function = TypeVar("_Function", bound=Callable[..., Any])
_CHECKOUT = Path("build/store")
_FRONT_END = "export/rollbuild"


def store_option(function: _Function) -> _Function:
    """Give a command --store; its parameter `store` is a Store."""
    option = click.option(
        "--store",
        metavar="DIR",
        envvar="ROLLBUILD_STORE",
        callback=lambda _context, _parameter, value: find_store(value),
        help="The folder of rolls, OS trees and distributions.  [ROLLBUILD_STORE, else ./build/store in a "
        "checkout, else /export/rollbuild]",
    )
    return option(function)


def find_store(named: str | None) -> Store:
    """The store that was named, else ./build/store where it or a folder of rolls is, else that of the front end."""
    if named:
        return Store(Path(named))
    front_end = Path(os.environ.get("ROLLBUILD_ROOT", "/"), _FRONT_END)
    if _CHECKOUT.is_dir() or Path("rolls").is_dir() or not front_end.is_dir():
        return Store(_CHECKOUT)
    return Store(front_end)
