"""The command `rollbuild`: finds the verb, and turns whatever goes wrong into a line and an exit code."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from rollbuild import __version__
from rollbuild.commands._lazy import LazyGroup
from rollbuild.commands._options import Session, common_options
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError
from rollbuild.files import explain_os_error

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
    for stream in (sys.stdout, sys.stderr):
        # A file name or package summary outside the locale's characters is no reason to fail.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    session = Session()
    try:
        result = group.main(
            args=None if argv is None else list(argv),
            prog_name="rollbuild",
            obj=session,
            standalone_mode=False,
        )
    except (KeyboardInterrupt, click.Abort):
        session.console.say("interrupted")
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except Exception as error:
        if session.debug:
            import traceback

            session.console.say(traceback.format_exc().rstrip())
        refusal = _explain(error)
        session.console.print_error(refusal)
        return refusal.exit_code
    return result if isinstance(result, int) else 0


def _explain(error: Exception) -> RollbuildError:
    """What to tell a user about whatever went wrong."""
    if isinstance(error, RollbuildError):
        return error
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "rollbuild"
        return RollbuildError(error.format_message(), hint=f"see `{command} --help`", exit_code=USAGE)
    if isinstance(error, click.ClickException):
        return RollbuildError(error.format_message(), exit_code=error.exit_code)
    if isinstance(error, OSError):
        return explain_os_error(error, "cannot use", _named(error))
    if isinstance(error, MemoryError):
        return RollbuildError("there is not enough memory", hint="run fewer jobs at once, or on a larger machine")
    if isinstance(error, RecursionError):
        return RollbuildError("the input is nested too deeply", hint="--debug shows where rollbuild gave up")
    return RollbuildError(
        f"rollbuild itself failed: {type(error).__name__}: {error}",
        hint="this is a fault in rollbuild; please report it with what --debug shows",
    )


def _named(error: OSError) -> str:
    name = error.filename
    if isinstance(name, bytes):
        return name.decode("utf-8", "backslashreplace")
    return "the system's files" if name is None else str(name)
