"""`rollbuild iso oemdrv`: a Kickstart for a stock DVD, as an image that its installer finds by its label."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import refuse_place, show_size, store_option
from rollbuild.commands.iso._kickstart import read_kickstart
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.media import write_oemdrv
from rollbuild.rolls import Store, choose_epoch

_EPOCH = 946_684_800  # the year 2000: a Kickstart has no date of its own


@click.command(name="oemdrv")
@click.option("--ks", metavar="FILE", type=click.Path(path_type=Path), help="The Kickstart.")
@click.option("--distro", metavar="NAME[@N]", help="Take the Kickstart of --appliance from this distribution.")
@click.option("--appliance", metavar="NAME", help="The appliance whose Kickstart it gets.  [frontend]")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The image: .iso for a drive of discs, .img for a stick or a disk.",
)
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    ks: Path | None,
    distro: str | None,
    appliance: str | None,
    output: Path,
    store: Store,
) -> None:
    """Make a small image with the label OEMDRV, for those who start a stock DVD.

    The installer takes ks.cfg from whatever has this label, when the kernel's line names no other Kickstart. Attach it
    as a second drive, or write the .img to a stick.
    """
    refuse_place(output, store, "an image")
    kickstart = read_kickstart(store, ks, distro, appliance)
    if kickstart is None:
        raise RollbuildError("no Kickstart is named", hint="--ks FILE, or --distro NAME", exit_code=USAGE)
    write_oemdrv(kickstart.placed()[1], output, epoch=choose_epoch(_EPOCH))
    session.console.say(f"wrote {output}: {show_size(output.stat().st_size)}, label OEMDRV, with ks.cfg")
    kickstart.tell(session.console)
