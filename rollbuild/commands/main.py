"""The command `rollbuild`: finds the verb, and turns whatever goes wrong into a line and an exit code."""

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from rollbuild import __version__
from rollbuild.commands._options import Session, common_options
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError
from rollbuild.files import explain_os_error

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# verb -> module with its `command`, and what the help says. Help and completion import none of them.
VERBS = {
    "compile": ("rollbuild.commands.compile", "Compile appliances or hosts into Kickstarts."),
    "check": ("rollbuild.commands.check", "Report what is wrong in rolls and the Kickstarts they make."),
    "list": ("rollbuild.commands.list", "List appliances, nodes, packages or attributes."),
    "graph": ("rollbuild.commands.graph", "Draw the graph of all appliances or of one."),
    "explain": ("rollbuild.commands.explain", "Say why a package, file, line or attribute is there."),
    "diff": ("rollbuild.commands.diff", "Compare what two descriptions compile to, per appliance."),
}


class _Verbs(click.Group):
    """A group that imports a verb's module when that verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, short_help = VERBS[cmd_name]
        command: click.Command = import_module(module).command
        command.short_help = short_help
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"there is no command `{args[0]}`{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, short_help) for verb, (_, short_help) in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(verb, help=short_help)
            for verb, (_, short_help) in VERBS.items()
            if verb.startswith(incomplete)
        ]
        # The group's own would import every verb for its help text; a command's completes the options.
        return items + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    name="rollbuild",
    cls=_Verbs,
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
