"""`rollbuild iso`: install media, made of a distribution or of an ISO that is there."""

import click

from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options

VERBS = {
    "create": ("rollbuild.commands.iso.create", "Make an install DVD of a distribution."),
    "modify": ("rollbuild.commands.iso.modify", "Put Kickstarts and arguments onto an install ISO."),
    "oemdrv": ("rollbuild.commands.iso.oemdrv", "Make a small image that gives a stock DVD its Kickstart."),
}


@click.group(cls=LazyGroup, verbs=VERBS)
@common_options
def command() -> None:
    """Make install media: DVDs, sticks, images for one host."""
