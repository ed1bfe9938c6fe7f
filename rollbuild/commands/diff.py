"""`rollbuild diff`: what differs between two descriptions, appliance by appliance."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from rollbuild.commands._compare import KINDS, Change, compare, summarize
from rollbuild.commands._contents import Content
from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted, printable
from rollbuild.commands._sides import read_sides
from rollbuild.commands._workspace_options import workspace_options
from rollbuild.workspace import Choice

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}
_WHOLE_LINES = 12
_COLOURS = {"+": "32", "-": "31", "@": "36"}


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one appliance; `status` is added, removed or changed."""

    name: str
    status: str
    summary: str
    changes: tuple[Change, ...]


@click.command(name="diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.argument("appliances", nargs=-1, metavar="[APPLIANCE]...")
@workspace_options
@click.option("--stat", is_flag=True, help="Show the counts of each appliance only.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 when there are differences.")
@common_options
@pass_session
def command(
    session: Session,
    /,
    before: str,
    after: str,
    appliances: tuple[str, ...],
    stat: bool,
    as_json: bool,
    exit_code: bool,
    **choice: object,
) -> int:
    """Say what changes from A to B in the Kickstarts of all APPLIANCEs, or of those named.

    A and B are two folders of rolls, revisions of this checkout (git:REV), attribute files for the same rolls,
    Kickstarts, or folders of Kickstarts. The other options hold for both sides.
    """
    sides = read_sides(before, after, Choice(**choice), appliances)  # type: ignore[arg-type]
    found = tuple(_differences(*sides))
    if as_json:
        session.console.json(_data(sides, found, stat))
    elif found:
        is_coloured = session.console.uses_color(sys.stdout)
        session.console.data("".join(f"{line}\n" for item in found for line in _lines(item, stat, is_coloured)))
    else:
        session.console.say("no differences")
    return int(exit_code and bool(found))


def _differences(before: Mapping[str, Content], after: Mapping[str, Content]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Difference(name, "added", f"added, {_size(after[name])}", ())
        elif name not in after:
            yield Difference(name, "removed", f"removed, {_size(before[name])}", ())
        elif changes := compare(before[name], after[name]):
            yield Difference(name, "changed", summarize(changes), changes)


def _size(content: Content) -> str:
    sizes = ((len(content.nodes), "node"), (len(content.packages), "package"), (len(content.scripts), "script"))
    return ", ".join(counted(count, noun) for count, noun in sizes if count) or "empty"


def _lines(item: Difference, stat: bool, is_coloured: bool) -> Iterator[str]:
    yield f"{item.name}: {item.summary}"
    if stat:
        return
    for kind in KINDS:
        changes = [change for change in item.changes if change.kind == kind]
        if changes:
            yield f"  {kind}"
        for change in changes:
            detail = f"  ({change.detail})" if change.detail else ""
            yield _coloured(f"    {_SIGNS[change.action]} {printable(change.name + detail)}", is_coloured)
            for line in _shortened(change):
                yield _coloured(f"        {printable(line)}", is_coloured)


def _shortened(change: Change) -> tuple[str, ...]:
    """Of what is added or removed as a whole, the first lines."""
    if change.action == "changed" or len(change.diff) <= _WHOLE_LINES:
        return change.diff
    more = counted(len(change.diff) - _WHOLE_LINES, "more line")
    return (*change.diff[:_WHOLE_LINES], f"... {more}")


def _coloured(line: str, is_coloured: bool) -> str:
    colour = _COLOURS.get(line.lstrip(" ")[:1])
    return f"\x1b[{colour}m{line}\x1b[0m" if is_coloured and colour else line


def _data(
    sides: tuple[Mapping[str, Content], Mapping[str, Content]], found: tuple[Difference, ...], stat: bool
) -> dict[str, object]:
    different = []
    for item in found:
        entry: dict[str, object] = {"name": item.name, "status": item.status, "summary": item.summary}
        if not stat:
            entry["changes"] = [
                {
                    "kind": change.kind,
                    "action": change.action,
                    "name": change.name,
                    "detail": change.detail,
                    "diff": list(change.diff),
                }
                for change in item.changes
            ]
        different.append(entry)
    return {"compared": sorted({*sides[0], *sides[1]}), "different": different}
