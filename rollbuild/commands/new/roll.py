"""`rollbuild new roll`: a roll's source to start from."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.rolls import write_skeleton


@click.command(name="roll", no_args_is_help=True)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder to make the roll's folder in.  [./rolls where there is one, else .]",
)
@click.option("--version", "version", metavar="VERSION", default="1.0", help="The roll's version.  [1.0]")
@common_options
@pass_session
def command(session: Session, /, name: str, output: Path | None, version: str) -> None:
    """Start a new roll called NAME in a folder of its own: it compiles and builds as it is.

    Nothing is written over.
    """
    parent = output or (Path("rolls") if Path("rolls").is_dir() else Path("."))
    folder = parent / name
    files = write_skeleton(name, folder, version)
    console = session.console
    console.say(f"made {folder}:")
    for file in files:
        console.say(f"  {file}")
    console.say("next:")
    console.say(f"  change {folder / 'nodes' / name}.xml and the lines of {folder / 'roll.yaml'}")
    console.say(f"  rollbuild check {folder}")
    console.say(f"  rollbuild roll build {folder}")
