"""`rollbuild distro diff`: what changed between two generations."""

import re
import sys

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import store_option
from rollbuild.commands.distro._differences import data_of, lines_of, summarize_diff
from rollbuild.distribution import Generation, compare_generations, find_before, find_generation
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.rolls import Store

_SIDE = re.compile(r"([^@]+)(?:@([1-9][0-9]{0,8}))?\Z")
_COLOURS = {"+": "32", "-": "31", "@": "36"}
_SHAPES = "as in: cluster, cluster@2, cluster@2 cluster@5, cluster 2 5, or cluster other"


@click.command(name="diff")
@click.argument("sides", nargs=-1, required=True, metavar="A [B]")
@click.option("--stat", is_flag=True, help="Show the counts only.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@store_option
@common_options
@pass_session
def command(session: Session, /, sides: tuple[str, ...], stat: bool, as_json: bool, store: Store) -> None:
    """Say what changed from A to B in packages, node files, Kickstarts, attributes and the OS tree.

    A and B are NAME@NUMBER, or NAME for its generation in use. NAME alone compares the generation before the one in
    use with it, NAME@NUMBER alone that generation with it; NAME 2 5 compares these two. -v shows long lists and
    diffs whole. Secrets of the Kickstarts are not shown.
    """
    before, after = find_sides(store, sides)
    diff = compare_generations(before, after)
    console = session.console
    if as_json:
        console.json(data_of(diff))
        return
    if not diff and not diff.hidden:
        console.say(f"no differences between {before} and {after}")
        return
    is_coloured = console.uses_color(sys.stdout)
    lines = summarize_diff(diff) if stat else lines_of(diff, whole=console.verbosity > 0)
    console.data("".join(f"{_coloured(line) if is_coloured else line}\n" for line in lines))


def find_sides(store: Store, sides: tuple[str, ...]) -> tuple[Generation, Generation]:
    """The two generations that arguments name. Raises RollbuildError, exit code USAGE."""
    if len(sides) == 3 and all(re.fullmatch(r"[1-9][0-9]{0,8}", number) for number in sides[1:]):
        return find_generation(store, sides[0], int(sides[1])), find_generation(store, sides[0], int(sides[2]))
    if len(sides) > 2:
        raise RollbuildError("there are two generations to compare", hint=_SHAPES, exit_code=USAGE)
    parsed = []
    for side in sides:
        match = _SIDE.match(side)
        if match is None:
            raise RollbuildError(f"{side!r} names no generation", hint=_SHAPES, exit_code=USAGE)
        parsed.append((match[1], int(match[2]) if match[2] else None))
    found = [find_generation(store, name, number) for name, number in parsed]
    if len(found) == 2:
        return found[0], found[1]
    if parsed[0][1] is None:
        return find_before(store, found[0]), found[0]
    return found[0], find_generation(store, parsed[0][0])


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line.lstrip(" ")[:1])
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line
