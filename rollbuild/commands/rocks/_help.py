"""What `rocks help`, `rocks VERB help` and `rocks VERB NOUN help` say, and the reference of all commands."""

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rollbuild.commands.rocks._command import Argument, Parameter, RocksCommand
from rollbuild.commands.rocks._grammar import LAYOUT, synopsis

Summaries = Mapping[str, str]

OPTIONS = (
    ("--database URL", "The cluster's database.  [ROLLBUILD_DATABASE, else /etc/rollbuild/database.url, else SQLite]"),
    ("--store DIR", "The folder of rolls and distributions.  [ROLLBUILD_STORE, else /export/rollbuild]"),
    ("--json", "Write JSON, where the command prints a table."),
    ("--color WHEN", "Colour the messages: auto, always or never."),
    ("-q, --quiet", "Say only what is wrong."),
    ("-v, --verbose", "Say more."),
    ("--debug", "Show the traceback of an error."),
    ("--version", "Show the version."),
    ("-h, --help", "Show help; so does the word help at the end."),
)
_INDENT = "    "


def describe_all(summaries: Summaries) -> str:
    """The help of `rocks` itself."""
    lines = [
        "rocks VERB NOUN... [ARG...] [NAME=VALUE...]",
        "",
        "List, report and change what the cluster's database holds, and bring the front end's files up to date.",
        "",
        "Commands:",
        *_items(sorted(summaries.items())),
        "",
        "Options:",
        *_items(OPTIONS),
        "",
        "`rocks VERB NOUN help` explains one command, `rocks VERB help` shows those of a verb.",
    ]
    return _text(lines)


def describe_group(words: str, summaries: Summaries) -> str:
    """The commands whose words begin with these, one a line."""
    return _text(_items(below(words, summaries).items()))


def below(words: str, summaries: Summaries) -> dict[str, str]:
    """The commands that begin with these words, or are them."""
    return {
        name: summary
        for name, summary in sorted(summaries.items())
        if not words or name == words or name.startswith(f"{words} ")
    }


def describe_command(command: RocksCommand, summaries: Summaries) -> str:
    """The help of one command: synopsis, description, arguments, parameters, examples, related commands."""
    lines = _wrapped(synopsis(command))
    lines += ["", "Description:", *_paragraphs(_described(command, summaries))]
    if command.changes:
        lines += ["", f"{_INDENT}It changes the cluster's database, which root may do."]
    if command.arguments:
        lines += ["", "Arguments:", *_items((item.synopsis, _explained(item)) for item in command.arguments)]
    if parameters := _parameters(command):
        lines += ["", "Parameters:", *_items((item.synopsis, _explained(item)) for item in parameters)]
    if command.examples:
        lines += ["", "Examples:"]
        for line, meaning in command.examples:
            lines += [f"{_INDENT}{line}", *_filled(meaning, _INDENT * 2)]
    if related := _related(command, summaries):
        lines += ["", "Related Commands:", *(f"{_INDENT}{name}" for name in related)]
    return _text(lines)


def write_reference(commands: Sequence[RocksCommand], summaries: Summaries) -> str:
    """The reference of all commands, as Markdown."""
    lines = [
        "# The commands of `rocks`",
        "",
        "Made from the definitions of the commands by `rocks help format=markdown`; change those, not this page.",
        "",
        "```text",
        "rocks VERB NOUN... [ARG...] [NAME=VALUE...]",
        "```",
        "",
        "Verbs and nouns may be written in any case. `{x}` is required, `[x]` is not, `...` may be repeated. A word",
        "with `=` after a name is a parameter wherever it stands; what follows `--` is none. Hosts are named by name,",
        "alias, name or address or MAC of an interface, appliance (`compute`), membership, rack (`rack0`), patterns",
        '(`compute-1-%`, `compute-0-[0-15]`) and `localhost`. `rocks "add host" profile` says that `profile` is a host',
        "and no noun.",
        "",
        "| Option | |",
        "| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in OPTIONS),
        "",
        "Bash completes verbs, nouns, parameters and hosts after",
        "`_ROCKS_COMPLETE=bash_source rocks >/etc/bash_completion.d/rocks`.",
        "",
        "Commands that print a table also take:",
        "",
        *(f"- `{item.synopsis}`: {_explained(item)}" for item in LAYOUT),
    ]
    for verb in sorted({command.verb for command in commands}):
        lines += ["", f"## {verb}"]
        for command in sorted(commands, key=lambda one: one.words):
            if command.verb == verb:
                lines += _section(command, summaries)
    return _text(lines)


def _section(command: RocksCommand, summaries: Summaries) -> list[str]:
    lines = ["", f"### rocks {command.words}", "", "```text", synopsis(command, shows_layout=False), "```", ""]
    lines.append(_described(command, summaries))
    items: list[Argument | Parameter] = [*command.arguments, *sorted(command.parameters, key=lambda item: item.name)]
    if items:
        lines += ["", *(f"- `{item.synopsis}`: {_explained(item)}" for item in items)]
    if command.examples:
        lines += ["", "```console"]
        for line, meaning in command.examples:
            lines += [f"# {line}    # {meaning}" if meaning else f"# {line}"]
        lines.append("```")
    return lines


def _described(command: RocksCommand, summaries: Summaries) -> str:
    summary, text = summaries.get(command.words, ""), command.description.strip()
    # A description that begins with the summary says it already.
    return text if text.startswith(summary) else "\n\n".join(filter(None, (summary, text)))


def _parameters(command: RocksCommand) -> list[Parameter]:
    return sorted((*command.parameters, *(LAYOUT if command.lists else ())), key=lambda item: item.name)


def _explained(item: Argument | Parameter) -> str:
    text = item.summary
    if item.choices and isinstance(item, Argument):
        text += f" One of {', '.join(item.choices)}."
    if isinstance(item, Argument) and item.is_named:
        text += f" Also as {item.name}=."
    if isinstance(item, Parameter) and item.default:
        text += f"  [{item.default}]"
    return text.strip()


def _related(command: RocksCommand, summaries: Summaries) -> list[str]:
    """Commands of the same nouns by other verbs, and those one noun deeper."""
    nouns = command.words.partition(" ")[2]
    same = {name for name in summaries if name.partition(" ")[2] == nouns} if nouns else set()
    deeper = {name for name in below(command.words, summaries) if name.count(" ") == command.words.count(" ") + 1}
    return sorted((same | deeper) - {command.words})


def _items(items: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(items)
    width = min(max((len(name) for name, _ in pairs), default=0), 32)
    lines = []
    for name, text in pairs:
        start = f"{_INDENT}{name.ljust(width)}  "
        room = " " * (len(_INDENT) + width + 2)
        if len(name) > width:
            lines.append(f"{_INDENT}{name}")
            start = room
        lines += _filled(text, room, start) or [start.rstrip()]
    return lines


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [*([""] if lines else []), *_filled(paragraph, _INDENT)]
    return lines


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _columns(), subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)


def _filled(text: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        _columns(),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns() -> int:
    return max(shutil.get_terminal_size((100, 24)).columns, 60)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
