"""`rollbuild iso modify`: an install ISO gets Kickstarts, arguments and files."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._store import refuse_place, show_size, store_option
from rollbuild.commands.iso._kickstart import read_kickstart
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.media import Modification, modify_iso
from rollbuild.rolls import Store


@click.command(name="modify")
@click.argument("source", metavar="SRC.iso", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="FILE.iso", type=click.Path(path_type=Path), help="The image to write."
)
@click.option("--ks", metavar="FILE", type=click.Path(path_type=Path), help="The Kickstart to put onto it.")
@click.option("--distro", metavar="NAME[@N]", help="Take the Kickstart of --appliance from this distribution.")
@click.option("--appliance", metavar="NAME", help="The appliance whose Kickstart it gets.  [frontend]")
@click.option("--arguments", default="", metavar="TEXT", help="Arguments to add to every kernel line.")
@click.option(
    "--remove-arguments",
    "removed",
    default="",
    metavar="TEXT",
    help="Arguments to take out: as they are written, or by name, whatever their value.",
)
@click.option("--label", default="", metavar="LABEL", help="A new volume id; the menus follow.  [as it is]")
@click.option(
    "--add",
    "added",
    multiple=True,
    metavar="PATH[=PLACE]",
    help="Put a file or a folder onto it; PLACE is where.  [its name, at the top]",
)
@click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    source: Path,
    output: Path,
    ks: Path | None,
    distro: str | None,
    appliance: str | None,
    arguments: str,
    removed: str,
    label: str,
    added: tuple[str, ...],
    as_json: bool,
    store: Store,
) -> None:
    """Copy the install ISO SRC.iso, with a Kickstart, other arguments or more files on it.

    It boots as before, on BIOS and UEFI, disc and stick; loaders are not touched, so Secure Boot works. The Kickstart
    gets `inst.ks=` into every menu, that of the EFI image too. No root is needed.

    Nothing is written when a menu is not understood.
    """
    refuse_place(output, store, "an image")
    kickstart = read_kickstart(store, ks, distro, appliance)
    wanted = Modification(
        kickstart=kickstart.placed() if kickstart else None,
        arguments=tuple(arguments.split()),
        removed=tuple(removed.split()),
        label=label,
        added=dict(_split(text) for text in added),
    )
    if wanted == Modification():
        raise RollbuildError(
            "nothing is to be changed", hint="--ks, --arguments, --remove-arguments, --label or --add", exit_code=USAGE
        )
    console = session.console
    made = modify_iso(source, output, wanted, progress=console.progress)
    console.say(f"wrote {made.path}: {show_size(made.size)}, label {made.label}")
    for menu, count in made.lines.items():
        console.say(f"  {menu}: {counted(count, 'kernel line')}")
    if not made.has_efi:
        console.say("  it has no EFI image: it boots on BIOS only, as before")
    if kickstart:
        kickstart.tell(console)
    if as_json:
        console.json(
            {
                "path": str(made.path),
                "label": made.label,
                "size": made.size,
                "sha256": made.sha256,
                "lines": dict(made.lines),
            }
        )


def _split(text: str) -> tuple[str, Path]:
    path, sign, place = text.rpartition("=")
    if sign and not Path(text).exists():
        return place, Path(path)
    return Path(text).name, Path(text)
