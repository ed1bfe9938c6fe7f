"""The options that say what a verb works on."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rollbuild.releases import RELEASES
from rollbuild.workspace import DEFAULT_RELEASE

_Function = TypeVar("_Function", bound=Callable[..., Any])


def attribute_options(function: _Function) -> _Function:
    """Give a command --attrs and -A; its parameters are `attrs` and `assignments`."""
    for option in (
        click.option("-A", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one attribute."),
        click.option("--attrs", multiple=True, metavar="FILE", help="Attributes: YAML, JSON or Rocks key:value lines."),
    ):
        function = option(function)
    return function


def workspace_options(function: _Function) -> _Function:
    """Give a command the options that `make_workspace` takes."""
    options = [
        click.option(
            "--rolls",
            multiple=True,
            metavar="DIR",
            help="A roll, or a folder of rolls; give it once for each.  [./rolls and ./graphs]",
        ),
        click.option("--graph", default="default", metavar="NAME", show_default=True, help="The graph set to use."),
        click.option("--root", metavar="NODE", help="Start from this node instead of an appliance's."),
        click.option(
            "--os-release",
            type=click.Choice(RELEASES),
            default=DEFAULT_RELEASE,
            show_default=True,
            help="The release to compile for.",
        ),
        attribute_options,
        click.option("--data", metavar="FILE", help="YAML that templates may use: hosts, networks, rolls."),
        click.option(
            "--eval",
            "eval_mode",
            type=click.Choice(["off", "run", "fail"]),
            default="off",
            show_default=True,
            help="What to do with <eval>: nothing, run its program here, or refuse it.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function
