"""`rollbuild roll remove`: take rolls out of the store."""

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import show_size, store_option
from rollbuild.rolls import Store, remove_rolls


@click.command(name="remove", no_args_is_help=True)
@click.argument("names", nargs=-1, required=True, metavar="NAME[-VERSION[-RELEASE[.ARCH]]]...")
@store_option
@click.option("--force", is_flag=True, help="Remove enabled rolls too.")
@common_options
@pass_session
def command(session: Session, /, names: tuple[str, ...], store: Store, force: bool) -> None:
    """Remove rolls from the store; a NAME alone means all its versions.

    Distributions that were made before keep what they have: the disk space that they share with a roll is free once
    their generations are gone.
    """
    for removal in remove_rolls(store, names, force=force):
        session.console.say(f"removed {removal.roll}: {show_size(removal.size)}")
