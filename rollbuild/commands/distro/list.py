"""`rollbuild distro list`: distributions with their generations, and OS trees."""

from datetime import datetime

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._store import store_option
from rollbuild.console import Console
from rollbuild.distribution import (
    Generation,
    OsTree,
    Provenance,
    distribution_names,
    list_os_trees,
    read_generations,
    read_provenance,
)
from rollbuild.errors import RollbuildError
from rollbuild.files import explained
from rollbuild.rolls import Store

_HEADERS = ("distribution", "generation", "in use", "made", "os", "rolls", "packages", "kickstarts")
_Row = tuple[Generation, Provenance | None]


@click.command(name="list")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@store_option
@common_options
@pass_session
def command(session: Session, /, name: str | None, as_json: bool, store: Store) -> None:
    """List the distributions of the store with their generations, and the OS trees; or the generations of NAME."""
    console = session.console
    if name:
        from rollbuild.distribution import find_generation

        find_generation(store, name)  # says that there is none, and what there is
    found: list[_Row] = []
    for distribution in (name,) if name else distribution_names(store):
        for generation in read_generations(store, distribution):
            found.append((generation, _read(console, generation)))
    trees = () if name else list_os_trees(store)
    if as_json:
        console.json({"distributions": [_data(*row) for row in found], "os": [tree.to_json() for tree in trees]})
        return
    if found:
        console.table(_HEADERS, [_cells(*row) for row in found])
    if trees:
        if found:
            console.data("\n")
        console.table(("os tree", "release", "what", "repositories"), [_cells_of(tree) for tree in trees])
    if not found and not trees:
        console.say(f"there is nothing in {store.folder}: start with rollbuild distro import-os ISO-OR-DIR-OR-URL")
    elif not found:
        console.say("there is no distribution yet; make one: rollbuild distro create NAME --os " + trees[0].name)


def _read(console: Console, generation: Generation) -> Provenance | None:
    try:
        return read_provenance(generation.folder)
    except RollbuildError as problem:
        console.print_error(problem)
        return None


def _made_at(generation: Generation) -> str:
    with explained("cannot read", generation.folder):
        seconds = generation.folder.stat().st_mtime
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _cells(generation: Generation, provenance: Provenance | None) -> tuple[object, ...]:
    first = (generation.distribution, generation.number, "yes" if generation.is_current else "", _made_at(generation))
    if provenance is None:
        return (*first, "damaged", "", "", "")
    rolls = ", ".join(f"{roll.id.name} {roll.id.version}-{roll.id.release}" for roll in provenance.rolls)
    packages = sum(count for *_, count in provenance.repositories)
    return (*first, provenance.os_name, rolls or "-", packages, len(provenance.appliances))


def _cells_of(tree: OsTree) -> tuple[object, ...]:
    what = f"{tree.family} {tree.version} {tree.arch}"
    return tree.name, tree.release, what, ", ".join(variant.uid for variant in tree.variants)


def _data(generation: Generation, provenance: Provenance | None) -> dict[str, object]:
    data: dict[str, object] = {
        "name": generation.distribution,
        "generation": generation.number,
        "current": generation.is_current,
        "path": str(generation.folder),
        "made": _made_at(generation),
        "whole": provenance is not None,
    }
    if provenance is not None:
        data |= {
            "os": provenance.os_name,
            "release": provenance.os_release,
            "arch": provenance.arch,
            "rolls": [
                {"name": roll.id.name, "id": str(roll.id), "digest": roll.digest, "packages": roll.packages}
                for roll in provenance.rolls
            ],
            "packages": sum(count for *_, count in provenance.repositories),
            "kickstarts": list(provenance.appliances),
        }
    return data
