"""What a shell offers after `rocks ...`: verbs, nouns, parameters, hosts. It asks by the variable _ROCKS_COMPLETE."""

import os
import shlex
from collections.abc import Iterable

from rollbuild.commands.rocks._command import Argument, Parameter, RocksCommand
from rollbuild.commands.rocks._grammar import LAYOUT, find_command, split_line
from rollbuild.commands.rocks._help import OPTIONS
from rollbuild.commands.rocks._registry import Table, load_command, read_table
from rollbuild.console import Console
from rollbuild.errors import USAGE, RollbuildError

BASH = """\
_rocks_completion() {
    local IFS=$'\\n' line current="${COMP_WORDS[COMP_CWORD]}"
    if [ "$current" = "=" ]; then current=""; fi
    COMPREPLY=()
    while read -r line; do
        COMPREPLY+=("$line")
    done < <(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" _ROCKS_COMPLETE=bash_complete "$1" 2>/dev/null)
    if [ "${#COMPREPLY[@]}" = 1 ] && [ "${COMPREPLY[0]: -1}" = "=" ]; then compopt -o nospace; fi
}
complete -o default -F _rocks_completion rocks
"""


def complete(console: Console, instruction: str) -> int:
    """Print the script that a shell sources (`bash_source`), or what it may offer now (`bash_complete`)."""
    if instruction == "bash_source":
        console.data(BASH)
        return 0
    if instruction != "bash_complete":
        raise RollbuildError(f"_ROCKS_COMPLETE={instruction} is not known", hint="bash_source", exit_code=USAGE)
    line = os.environ.get("COMP_LINE", "")
    point = os.environ.get("COMP_POINT", "")
    line = line[: int(point)] if point.isdigit() else line
    for word in offer(line, read_table(Console(verbosity=-1))):
        console.data(f"{word}\n")
    return 0


def offer(line: str, table: Table) -> list[str]:
    """The words that may stand where a command line ends, in the form that bash puts in place of its last word."""
    words, current = split_words(line)
    candidates = sorted(set(_candidates(words[1:], current, table)))
    # Bash breaks words at `=` and `:`; what stands before the last of them stays as it is.
    broken = max(current.rfind("="), current.rfind(":")) + 1
    return [word[broken:] for word in candidates if word.startswith(current)]


def split_words(line: str) -> tuple[list[str], str]:
    """The finished words of a line, and the one that is being typed ("" after a space)."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quote that is still open
        words = line.replace('"', "").replace("'", "").split()
    if not line or line[-1].isspace() or not words:
        return words, ""
    return words[:-1], words[-1]


def _candidates(words: list[str], current: str, table: Table) -> Iterable[str]:
    if current.startswith("-"):
        yield from (name.split()[0].rstrip(",") for option, _ in OPTIONS for name in option.split(", "))
        return
    try:
        line = split_line(words)
    except RollbuildError:
        return
    plain = line.words[1:] if line.words[:1] == ("help",) else line.words
    if not line.words and "help".startswith(current):
        yield "help"
    # The nouns that continue what was typed.
    before = [word.lower() for word in plain]
    for name in table:
        nouns = name.split()
        if len(nouns) > len(before) and nouns[: len(before)] == before:
            yield nouns[len(before)]
    try:
        found = find_command(plain, table)
    except RollbuildError:
        return
    if not found.is_command or line.words[:1] == ("help",):
        return
    command = load_command(found.words, table)
    yield from _of_command(command, list(found.rest), {name for name, _ in line.parameters}, current, line.options)


def _of_command(
    command: RocksCommand, rest: list[str], given: set[str], current: str, options: object
) -> Iterable[str]:
    items: dict[str, Argument | Parameter] = {item.name: item for item in command.named}
    items |= {item.name: item for item in command.parameters}
    if command.lists:
        items |= {item.name: item for item in LAYOUT}
    name, sign, _ = current.partition("=")
    url = options.get("--database") if isinstance(options, dict) else None
    if sign:
        if name in items:
            yield from (f"{name}={value}" for value in _values(items[name], url))
        return
    yield from (f"{name}=" for name in items if name not in given)
    if not rest:
        yield "help"
    placed = command.placed
    if placed and (len(rest) < len(placed) or placed[-1].is_repeated):
        yield from _values(placed[min(len(rest), len(placed) - 1)], url)
    elif len(rest) - len(placed) < len(command.named):
        yield from _values(command.named[len(rest) - len(placed)], url)


def _values(item: Argument | Parameter, url: str | None) -> Iterable[str]:
    if item.choices:
        yield from item.choices
    elif isinstance(item, Parameter) and item.kind == "boolean":
        yield from ("yes", "no")
    elif item.completes in ("host", "appliance", "network"):
        from rollbuild.cluster import list_appliances, list_hosts, list_networks, open_database

        try:
            with open_database(url) as database, database.reading() as c:
                if item.completes != "network":
                    yield from (appliance.name for appliance in list_appliances(c))
                if item.completes == "host":
                    yield from (host.name for host in list_hosts(c))
                if item.completes == "network":
                    yield from (network.name for network in list_networks(c))
        except RollbuildError:
            return  # a shell that asks for words wants no message
