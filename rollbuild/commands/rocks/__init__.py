"""The command `rocks`: finds the command that the words spell, runs it, and has the front end's files follow."""

import os
import sys
from collections.abc import Mapping, Sequence

from rollbuild.commands.rocks._command import TRUE, Call, RocksCommand
from rollbuild.commands.rocks._grammar import (
    WORDS,
    Found,
    Line,
    fill,
    find_command,
    nearest_command,
    split_line,
)
from rollbuild.commands.rocks._output import Layout
from rollbuild.commands.rocks._registry import Table, is_own, load_command, read_table
from rollbuild.console import Console, escape_unknown_characters
from rollbuild.errors import INTERRUPTED, USAGE, RollbuildError

_COMPLETE = "_ROCKS_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rocks ARGV...` (default: the process's arguments) and return its exit code."""
    escape_unknown_characters()
    words = sys.argv[1:] if argv is None else list(argv)
    console = Console()
    is_debugged = "--debug" in words
    try:
        if os.environ.get(_COMPLETE):
            from rollbuild.commands.rocks._completion import complete

            return complete(console, os.environ[_COMPLETE])
        line = split_line(words)
        console = _make_console(line.options)
        return _run(words, line, console)
    except KeyboardInterrupt:
        console.say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if is_debugged:
            import traceback

            console.say(traceback.format_exc().rstrip())
        from rollbuild.commands._errors import explain

        refusal = explain(error)
        console.print_error(refusal)
        return refusal.exit_code


def _make_console(options: Mapping[str, str]) -> Console:
    color = options.get("--color", "auto")
    if color not in ("auto", "always", "never"):
        raise RollbuildError("--color is auto, always or never", exit_code=USAGE)
    verbosity = bool({"-v", "--verbose"} & options.keys()) - bool({"-q", "--quiet"} & options.keys())
    return Console(color, verbosity)


def _run(argv: Sequence[str], line: Line, console: Console) -> int:
    if "--version" in line.options:
        from rollbuild import __version__

        console.data(f"rocks (rollbuild) {__version__}\n")
        return 0
    table = read_table(console)
    words = line.words
    asks = line.wants_help or (len(words) == 1 and not words[0].strip())
    if words and words[0].lower() == "help":
        words, asks = words[1:], True
    found = find_command(words, table)
    if found.rest == ("help",):
        found, asks = Found(found.words, found.is_command, found.is_group, ()), True
    if asks or not found.is_command:
        return _explain(found, line, table, console, asked=asks)
    command = load_command(found.words, table)
    near = _nearest_deeper(found, table)
    try:
        filled = fill(command, found.rest, line.parameters)
    except RollbuildError as problem:
        if near and problem.code == WORDS:
            hint = f"did you mean `rocks {near}`?"
            raise RollbuildError(problem.message, hint=hint, exit_code=USAGE) from None
        raise
    call = Call(
        command=command,
        arguments=filled.arguments,
        parameters=filled.parameters,
        given=filled.given,
        console=console,
        layout=_make_layout(command, filled.parameters, line.options),
        database_url=line.options.get("--database"),
        store=line.options.get("--store"),
        argv=tuple(argv),
        near=near,
    )
    try:
        code = command.run(call) or 0
        if call.has_written and command.applies:
            from rollbuild.commands.rocks._changing import apply_changes

            code = max(code, apply_changes(call))
        return code
    finally:
        call.close()


def _explain(found: Found, line: Line, table: Table, console: Console, *, asked: bool) -> int:
    """Explain a command or show a group's commands; exit code USAGE where nobody asked for it."""
    from rollbuild.commands.rocks import _help as texts

    summaries = {name: summary for name, (_, summary) in table.items()}
    if dict(line.parameters).get("format") == "markdown" and not found.words:
        commands = [load_command(name, table) for name in table if is_own(table[name])]
        text = texts.write_reference(commands, {one.words: summaries[one.words] for one in commands})
    elif found.is_command:
        text = texts.describe_command(load_command(found.words, table), summaries)
    elif not found.words:
        text = texts.describe_all(summaries)
    else:
        text = texts.describe_group(found.words, summaries)
    console.data(text)
    if not asked:
        hint = f"see `rocks {found.words} NOUN help`" if found.words else "see `rocks VERB NOUN help`"
        console.say(hint)
    return 0 if asked else USAGE


def _nearest_deeper(found: Found, table: Table) -> str:
    """The command that was meant where the first word that is left resembles a noun of a longer command."""
    if not found.rest or not found.is_group:
        return ""
    longer = [name for name in table if name.startswith(f"{found.words} ")]
    spelled = [*found.words.split(), *(word.lower() for word in found.rest)]
    # Hosts may be called a little like nouns: boot-0-1.
    return nearest_command(spelled, longer, least=0.8)


def _make_layout(command: RocksCommand, parameters: Mapping[str, str], options: Mapping[str, str]) -> Layout:
    if not command.lists:
        if "--json" in options:
            raise RollbuildError(f"`rocks {command.words}` prints no table, so it takes no --json", exit_code=USAGE)
        return Layout()
    columns = [name.strip().lower() for name in parameters["output-col"].split(",")]
    return Layout(
        has_header=parameters["output-header"].lower() in TRUE,
        columns=tuple(filter(None, columns)),
        is_json="--json" in options or parameters["json"].lower() in TRUE,
    )
