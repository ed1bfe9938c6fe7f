"""What every verb takes: the options of the group, also after the verb, and the session they set."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click

from rollbuild.console import Console

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """What the global options say; they may stand before the verb, after it or both, so it changes."""

    console: Console = field(default_factory=Console)
    debug: bool = False


pass_session = click.make_pass_decorator(Session, ensure=True)


def common_options(function: _Function) -> _Function:
    """Give a command --color, -q, -v and --debug; they change the session and reach no parameter."""
    options = [
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            callback=_set_color,
            expose_value=False,
            help="Colour the messages: auto (on a terminal, unless NO_COLOR is set), always or never.",
        ),
        click.option(
            "-q",
            "--quiet",
            count=True,
            callback=_be_quiet,
            expose_value=False,
            help="Say only what is wrong.",
        ),
        click.option("-v", "--verbose", count=True, callback=_be_verbose, expose_value=False, help="Say more."),
        click.option(
            "--debug",
            is_flag=True,
            callback=_set_debug,
            expose_value=False,
            help="Show the traceback of an error.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _set_color(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        session = context.ensure_object(Session)
        session.console = replace(session.console, color=value)


def _be_quiet(context: click.Context, _: click.Parameter, count: int) -> None:
    _be_verbose(context, _, -count)


def _be_verbose(context: click.Context, _: click.Parameter, count: int) -> None:
    session = context.ensure_object(Session)
    session.console = replace(session.console, verbosity=session.console.verbosity + count)


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).debug = True
