"""`rollbuild distro`: OS trees, and distributions made of one and rolls."""

import click

from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options

VERBS = {
    "import-os": ("rollbuild.commands.distro.import_os", "Import an install DVD, tree or mirror of a release."),
    "create": ("rollbuild.commands.distro.create", "Make a new generation of a distribution."),
    "list": ("rollbuild.commands.distro.list", "List distributions with their generations, and OS trees."),
    "diff": ("rollbuild.commands.distro.diff", "Say what changed between two generations."),
    "rollback": ("rollbuild.commands.distro.rollback", "Use an earlier generation again."),
}


@click.group(cls=LazyGroup, verbs=VERBS)
@common_options
def command() -> None:
    """Import OS trees; join them with rolls to distributions."""
