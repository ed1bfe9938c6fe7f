"""`rollbuild roll enable`: let the distributions to come have rolls."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import show_change, store_option
from rollbuild.rolls import Store, enable_pinned, enable_rolls


@click.command(name="enable", no_args_is_help=True)
@click.argument("names", nargs=-1, metavar="NAME[-VERSION[-RELEASE[.ARCH]]]...")
@store_option
@click.option("--with-requirements", is_flag=True, help="Enable the rolls that they require too.")
@click.option(
    "--lock",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Enable exactly the rolls of a file that `rollbuild roll list --lock` wrote.",
)
@common_options
@pass_session
def command(
    session: Session, /, names: tuple[str, ...], store: Store, with_requirements: bool, lock: Path | None
) -> None:
    """Let distributions made from now on have these rolls.

    A NAME alone is its newest version; another version of it is disabled. Refused when a roll that one of them
    requires is not enabled, or two of them conflict.
    """
    if bool(names) == bool(lock):
        raise click.UsageError("name rolls, or a lock with --lock FILE")
    if lock:
        if with_requirements:
            raise click.UsageError("--with-requirements does not go with --lock, which names every roll")
        show_change(session.console, enable_pinned(store, lock), "all of these are enabled already")
    else:
        change = enable_rolls(store, names, with_requirements=with_requirements)
        show_change(session.console, change, "enabled already")
