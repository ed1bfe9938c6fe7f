"""Runs a command as a whole program: whatever goes wrong becomes a line and an exit code."""

from collections.abc import Sequence

import click

from rollbuild.commands._errors import explain
from rollbuild.commands._options import Session
from rollbuild.console import escape_unknown_characters
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError


def run_program(command: click.Command, name: str, argv: Sequence[str] | None) -> int:
    """Run `NAME ARGV...` (None: the process's arguments) and return its exit code."""
    escape_unknown_characters()
    session = Session()
    try:
        result = command.main(
            args=None if argv is None else list(argv), prog_name=name, obj=session, standalone_mode=False
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
        refusal = _explain_usage(error, name) if isinstance(error, click.ClickException) else explain(error)
        session.console.print_error(refusal)
        return refusal.exit_code
    return result if isinstance(result, int) else 0


def _explain_usage(error: click.ClickException, name: str) -> RollbuildError:
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else name
        return RollbuildError(error.format_message(), hint=f"see `{command} --help`", exit_code=USAGE)
    return RollbuildError(error.format_message(), exit_code=error.exit_code)
