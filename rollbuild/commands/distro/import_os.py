"""`rollbuild distro import-os`: an install DVD, tree or mirror becomes an OS tree of the store."""

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.commands._shown import counted
from rollbuild.commands._store import store_option
from rollbuild.distribution import ImportedOs, import_os
from rollbuild.rolls import Store


@click.command(name="import-os")
@click.argument("source", metavar="ISO-OR-DIR-OR-URL")
@click.option("--name", default="", help="What to call it.  [from its .treeinfo, as in rocky-9.4-x86_64]")
@click.option("--no-verify", is_flag=True, help="Do not hash the packages; everything else is checked all the same.")
@click.option("--replace", "replace_other", is_flag=True, help="Take the place of another OS tree of this name.")
@click.option("--copy", "copies", is_flag=True, help="Copy the files of a folder, even where links can be made.")
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
@store_option
@common_options
@pass_session
def command(
    session: Session,
    /,
    source: str,
    name: str,
    no_verify: bool,
    replace_other: bool,
    copies: bool,
    as_json: bool,
    store: Store,
) -> None:
    """Import the install DVD of a release into the store, for `rollbuild distro create`.

    Give the ISO of a whole DVD (read without mounting it), a folder with its content, or the URL of an ISO or of a
    mirror's tree (the folder that has .treeinfo). Whatever is cut short, changed or missing is refused: the image's
    size and own checksum, the checksums in .treeinfo, the metadata and every package.

    The files of a folder on the store's disk are hard links afterwards: the same file with a second name. Do not
    change them in the folder then, or use --copy.
    """
    console = session.console
    imported = import_os(
        store,
        source,
        name=name,
        verify=not no_verify,
        replace_other=replace_other,
        copies=copies,
        progress=console.progress,
    )
    tree = imported.tree
    for note in imported.notes:
        console.say(f"note: {note}")
    what = f"{tree.family} {tree.version} for {tree.arch} ({tree.release})"
    if not imported.is_new:
        console.say(f"{tree.name} is there already, with the same content: {what}")
    else:
        console.say(f"imported {tree.name}: {what}")
        packages = sum(path.endswith(".rpm") for path in tree.read_files())
        repositories = ", ".join(variant.uid for variant in tree.variants)
        console.say(f"  {counted(packages, 'package')} in {repositories}; {_how(imported, source)}")
    if as_json:
        console.json({**tree.to_json(), "path": str(tree.folder), "is_new": imported.is_new})


def _how(imported: ImportedOs, source: str) -> str:
    if not imported.linked:
        return f"{counted(imported.written, 'file')} written"
    written = f", {imported.written:,} written" if imported.written else ""
    return f"{counted(imported.linked, 'file')} linked{written}: do not change them in {source}"
