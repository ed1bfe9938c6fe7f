"""The table of commands with those that rolls add, and loading one of them."""

from collections.abc import Mapping
from importlib import import_module

from rollbuild.commands.rocks._command import RocksCommand
from rollbuild.commands.rocks._table_of_commands import TABLE
from rollbuild.console import Console
from rollbuild.errors import RollbuildError

Table = Mapping[str, tuple[str, str]]
"""Words of a command -> (MODULE:NAME of its RocksCommand, summary)."""

GROUP = "rollbuild.rocks"
_OURS = "rollbuild."


def read_table(console: Console) -> Table:
    """All commands.

    A package adds its own by entry points of the group `rollbuild.rocks`, each the name of a dictionary like TABLE.
    One that fails, or would take the place of a command, is told and left out.
    """
    from importlib.metadata import entry_points

    found: dict[str, tuple[str, str]] = {}
    for entry in entry_points(group=GROUP):
        try:
            added = {
                " ".join(words.lower().split()): (str(place), str(text))
                for words, (place, text) in entry.load().items()
            }
        except Exception as problem:
            console.say(f"warning: the commands of {entry.value} are left out: {type(problem).__name__}: {problem}")
            continue
        for words, item in added.items():
            if words in TABLE or words in found or not words:
                console.say(f"warning: {entry.value} may not take the place of `rocks {words}`")
            else:
                found[words] = item
    return {**TABLE, **found}


def is_own(item: tuple[str, str]) -> bool:
    """Whether a command comes with rollbuild."""
    return item[0].startswith(_OURS)


def load_command(words: str, table: Table) -> RocksCommand:
    """Import the module of a command. Raises RollbuildError for one that a package adds wrongly."""
    module, _, name = table[words][0].partition(":")
    try:
        command = getattr(import_module(module), name)
    except (ImportError, AttributeError) as problem:
        if is_own(table[words]):
            raise
        raise RollbuildError(f"`rocks {words}` cannot be loaded from {module}: {problem}") from problem
    if not isinstance(command, RocksCommand):
        raise RollbuildError(f"`rocks {words}` is no command: {module}:{name} is none")
    return command
