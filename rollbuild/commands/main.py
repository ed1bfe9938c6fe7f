"""The command `rollbuild` and its verbs."""

from collections.abc import Sequence

import click

from rollbuild import __version__
from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import common_options
from rollbuild.commands._program import run_program

# verb -> module with its `command`, and what the help says. Help and completion import none of them.
VERBS = {
    "compile": ("rollbuild.commands.compile", "Compile appliances or hosts into Kickstarts."),
    "check": ("rollbuild.commands.check", "Report what is wrong in rolls and the Kickstarts they make."),
    "list": ("rollbuild.commands.list", "List appliances, nodes, packages or attributes."),
    "graph": ("rollbuild.commands.graph", "Draw the graph of all appliances or of one."),
    "explain": ("rollbuild.commands.explain", "Say why a package, file, line or attribute is there."),
    "diff": ("rollbuild.commands.diff", "Compare what two descriptions compile to, per appliance."),
    "init": ("rollbuild.commands.init", "Ask for the site's facts; write site.yaml."),
    "new": ("rollbuild.commands.new", "Start a new roll."),
    "roll": ("rollbuild.commands.roll", "Build rolls; add, enable and remove them; bring one to a running host."),
    "distro": ("rollbuild.commands.distro", "Import OS trees; join them with rolls to distributions."),
    "iso": ("rollbuild.commands.iso", "Make install DVDs, put Kickstarts onto ISOs."),
    "netboot": ("rollbuild.commands.netboot", "Make the tree that hosts boot from the network."),
    "serve": ("rollbuild.commands.serve", "Hand hosts their Kickstarts; take the reports of their installs."),
}


@click.group(
    name="rollbuild",
    cls=LazyGroup,
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="rollbuild", message="%(prog)s %(version)s")
@common_options
def group() -> None:
    """Describe a cluster once, as rolls of node files and graphs, and build everything that installs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rollbuild ARGV...` (default: the process's arguments) and return its exit code."""
    return run_program(group, "rollbuild", argv)
