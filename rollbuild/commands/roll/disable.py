"""`rollbuild roll disable`: leave rolls out of the distributions to come."""

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import show_change, store_option
from rollbuild.rolls import Store, disable_rolls


@click.command(name="disable", no_args_is_help=True)
@click.argument("names", nargs=-1, required=True, metavar="NAME[-VERSION[-RELEASE[.ARCH]]]...")
@store_option
@common_options
@pass_session
def command(session: Session, /, names: tuple[str, ...], store: Store) -> None:
    """Leave these rolls out of distributions made from now on; they stay in the store.

    Refused when an enabled roll requires one of them. Distributions that were made before keep them.
    """
    show_change(session.console, disable_rolls(store, names), "disabled already")
