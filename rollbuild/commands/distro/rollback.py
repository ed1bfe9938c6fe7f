"""`rollbuild distro rollback`: use an earlier generation again."""

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import store_option
from rollbuild.commands.distro._differences import summarize_diff
from rollbuild.distribution import compare_generations, roll_back
from rollbuild.errors import RollbuildError
from rollbuild.rolls import Store


@click.command(name="rollback")
@click.argument("name")
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for another rollbuild.  [0]"
)
@click.option("--json", "as_json", is_flag=True, help="Write what is in use now as JSON.")
@store_option
@common_options
@pass_session
def command(session: Session, /, name: str, number: int | None, wait: float, as_json: bool, store: Store) -> None:
    """Use the generation of NAME before the one in use again, or generation NUMBER.

    Nothing is removed: `rollbuild distro rollback NAME NUMBER` also leads back.
    """
    console = session.console
    before, after = roll_back(store, name, number, wait_seconds=wait)
    if before.number == after.number:
        console.say(f"{after} is in use already")
    else:
        console.say(f"{after} is in use now, {before} was: {after.folder.parent / 'current'} is a link to it")
        try:
            for line in summarize_diff(compare_generations(before, after)):
                console.say(f"  {line}")
        except RollbuildError as problem:  # going back from a damaged one must work
            console.say(f"  what changes cannot be said: {problem.message}")
        console.say(f"back again: rollbuild distro rollback {name} {before.number}")
    if as_json:
        console.json({"name": name, "before": before.number, "generation": after.number, "path": str(after.folder)})
