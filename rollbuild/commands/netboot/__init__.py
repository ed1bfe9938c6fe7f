"""`rollbuild netboot`: what hosts boot from the network."""

import click

from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options

VERBS = {
    "create": ("rollbuild.commands.netboot.create", "Make or update the tree that hosts boot from the network."),
}


@click.group(cls=LazyGroup, verbs=VERBS)
@common_options
def command() -> None:
    """Make the tree that hosts boot from the network."""
