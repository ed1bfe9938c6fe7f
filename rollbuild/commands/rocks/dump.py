"""`rocks dump`, and `rocks load`, which takes it back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rollbuild.commands.rocks._command import Argument, Call, RocksCommand
from rollbuild.commands.rocks._grammar import fill, find_command, split_line
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.location import Location

if TYPE_CHECKING:
    from sqlalchemy import Connection

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+)|(?P<end>\n)|(?P<remark>\#[^\n]*)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)\""""
    r"""|\\(?P<escaped>.)|(?P<plain>[^ \t\r\n'"\\#][^ \t\r\n'"\\]*)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\([\\"$`])')
_LIMIT = 256 * 1024 * 1024
_VERBS = frozenset({"add", "set", "remove"})
# These use what is beside the database.
_NOT_LOADED = frozenset({"add roll", "add frontend", "remove roll", "remove host vm"})


def _dump(call: Call) -> None:
    from rollbuild.cluster import dump_commands

    with call.reading() as connection:
        text = "".join(f"{line}\n" for line in dump_commands(connection))
    if not call.argument:
        call.write(text)
        return
    write_atomically(call.argument, text.encode(), mode=0o600, sync=True)
    call.console.say(f"wrote {call.argument}: it holds secrets, and only its owner may read it")


def _load(call: Call) -> None:
    from rollbuild.commands.rocks._registry import load_command, read_table

    file = call.argument
    text = read_limited(file, _LIMIT)
    try:
        lines = list(_split(text.decode("utf-8-sig"), file))
    except UnicodeDecodeError:
        raise RollbuildError("not UTF-8 text", location=Location(file), hint="is it a dump?") from None
    table = read_table(call.console)
    with call.writing() as connection:
        for number, words in lines:
            try:
                line = split_line(words)
                if line.options:
                    hint = "a dump has none; nothing was changed"
                    raise RollbuildError(
                        f"the option {next(iter(line.options))} is not loaded", hint=hint, exit_code=USAGE
                    )
                found = find_command(line.words, table)
                if found.words.partition(" ")[0] not in _VERBS or found.words in _NOT_LOADED or not found.is_command:
                    hint = "commands that add, set and remove what the database has are; nothing was changed"
                    raise RollbuildError(f"`rocks {found.words}` is not loaded", hint=hint, exit_code=USAGE)
                command = load_command(found.words, table)
                filled = fill(command, found.rest, line.parameters)
                loaded = _LoadedCall(command, filled.arguments, filled.parameters, filled.given, Console(verbosity=-1))
                loaded.connection = connection
                command.run(loaded)
            except RollbuildError as problem:
                raise RollbuildError(
                    problem.message,
                    location=Location(file, number),
                    hint=problem.hint or "nothing of the file was loaded",
                    exit_code=problem.exit_code,
                ) from None
    call.console.say(f"loaded {file}: {len(lines):,} commands")


class _LoadedCall(Call):
    """A call inside the one transaction of a load."""

    connection: "Connection"
    is_loaded = True

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        yield self.connection

    @contextmanager
    def writing(self) -> "Iterator[Connection]":
        yield self.connection


def _split(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """The commands of a dump: (line, words without `rocks`). Quotes may reach over lines; # begins a remark.

    No shell reads it: a dollar, a backquote, a semicolon are letters as others are. Raises RollbuildError.
    """
    words: list[str] = []
    word: list[str] | None = None
    number = first = 1
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise RollbuildError("a quote is not closed", location=Location(file, number), hint="is the file whole?")
        place = match.end()
        kind, piece = match.lastgroup, match[match.lastgroup or 0]
        if kind == "remark" and word is None:
            continue
        if kind == "remark":
            # Inside of a word it is a letter as others are.
            place, piece = match.start() + 1, "#"
        if kind in ("blank", "end"):
            if word is not None:
                words.append("".join(word))
                word = None
            if kind == "end":
                number += 1
                if words:
                    yield first, _without_program(words, Location(file, first))
                words, first = [], number
            continue
        word = [] if word is None else word
        word.append(_ESCAPED.sub(r"\1", piece) if kind == "double" else piece)
        number += text.count("\n", match.start(), place)
    if word is not None:
        words.append("".join(word))
    if words:
        yield first, _without_program(words, Location(file, first))


def _without_program(words: list[str], place: Location) -> list[str]:
    if Path(words[0]).name != "rocks" or len(words) < 2:
        hint = "each command of a dump is `rocks VERB NOUN ...`"
        raise RollbuildError("this is no command of rocks", location=place, hint=hint)
    return words[1:]


DUMP = RocksCommand(
    "dump",
    _dump,
    arguments=(
        Argument(
            "file", "Where to, readable by its owner only.  [standard output]", is_required=False, completes="file"
        ),
    ),
    description="Write the commands that make this cluster out of a fresh database: its backup. Secrets are in it.",
    examples=(("rocks dump /root/cluster.rocks", ""), ("rocks dump | ssh other 'cat > cluster.rocks'", "")),
)
LOAD = RocksCommand(
    "load",
    _load,
    arguments=(Argument("file", "A file that `rocks dump` wrote.", completes="file"),),
    description="Run the commands of a dump: all of them, or none where one is refused. No shell is involved.",
    examples=(("rocks load /root/cluster.rocks", "Into a fresh database."),),
    changes=True,
)
