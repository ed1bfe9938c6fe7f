"""`rollbuild roll add`: bring rolls into the store."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._store import MebibyteProgress, print_findings, show_size, store_option, store_words
from rollbuild.rolls import ADDED, REPLACED, Adding, Store, add_rolls


@click.command(name="add", no_args_is_help=True)
@click.argument("sources", nargs=-1, required=True, metavar="ISO-OR-DIR-OR-URL...")
@store_option
@click.option("--replace", is_flag=True, help="Replace a roll that the store has with other contents.")
@click.option("--enable", is_flag=True, help="Enable the rolls too.")
@click.option("--require-signed", is_flag=True, help="Refuse packages without a signature of a known key.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A public key to know besides those of the rolls. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: what became of each roll.")
@common_options
@pass_session
def command(
    session: Session,
    /,
    sources: tuple[str, ...],
    store: Store,
    replace: bool,
    enable: bool,
    require_signed: bool,
    keys: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Add rolls to the store: all that are named, or none.

    Each is an ISO, a folder or a URL that holds one roll or several, also one that Rocks 5 to 7 built; of a roll on
    several disks name all of them. Everything is verified before anything changes: no file missing or changed, every
    package whole, every signature right.
    """
    console = session.console
    with MebibyteProgress(console, "adding rolls") as progress:
        how = Adding(store, replace, enable, require_signed, keys, progress.advance, progress.expect, console.say)
        done = add_rolls(sources, how)
    print_findings(console, done.findings)
    for addition in done.rolls:
        packages = counted(sum(package.arch != "src" for package in addition.built.packages), "package")
        enabled = ", enabled" if addition.roll.enabled else ""
        if addition.what in (ADDED, REPLACED):
            console.say(f"{addition.what} {addition.roll.id}: {packages}, {show_size(addition.size)}{enabled}")
        else:
            console.say(f"{addition.roll.id} is in the store already, with the same contents{enabled}")
    for roll in done.disabled:
        console.say(f"disabled {roll}: another version of it is enabled now")
    if any(addition.what == REPLACED for addition in done.rolls):
        console.say("distributions that were made before keep what they have")
    if as_json:
        console.json(
            [
                {
                    "roll": str(addition.roll.id),
                    "done": addition.what,
                    "enabled": addition.roll.enabled,
                    "digest": addition.roll.digest,
                    "packages": len(addition.built.packages),
                    "size": addition.size,
                }
                for addition in done.rolls
            ]
        )
    elif not all(addition.roll.enabled for addition in done.rolls):
        names = " ".join(dict.fromkeys(item.roll.id.name for item in done.rolls if not item.roll.enabled))
        console.say(f"next: rollbuild roll enable{store_words(store)} {names}")
