"""`rollbuild roll`: build rolls, keep them in the store, bring one to a running host."""

import click

from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options

VERBS = {
    "build": ("rollbuild.commands.roll.build", "Build rolls from their sources."),
    "add": ("rollbuild.commands.roll.add", "Add built rolls to the store."),
    "list": ("rollbuild.commands.roll.list", "List the rolls of the store."),
    "enable": ("rollbuild.commands.roll.enable", "Let distributions made from now on have these rolls."),
    "disable": ("rollbuild.commands.roll.disable", "Leave these rolls out of distributions made from now on."),
    "remove": ("rollbuild.commands.roll.remove", "Remove rolls from the store."),
    "script": ("rollbuild.commands.roll.script", "Write the shell script that brings a roll to a running host."),
}


@click.group(cls=LazyGroup, verbs=VERBS)
@common_options
def command() -> None:
    """Build rolls; add, enable and remove them; bring one to a running host."""
