"""`rollbuild new`: starts something from a skeleton."""

import click

from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options

VERBS = {"roll": ("rollbuild.commands.new.roll", "Start a new roll in a folder of its own.")}


@click.group(cls=LazyGroup, verbs=VERBS)
@common_options
def command() -> None:
    """Start a new roll."""
