"""Words to commands: which command is meant, which words are its hosts, and which are its parameters.

The grammar is that of Rocks: `rocks VERB NOUN... [ARG...] [NAME=VALUE...]`. The longest command that the words spell
is taken; one quoted word (`rocks "add host" profile`) spells exactly that command.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rollbuild.commands.rocks._command import FALSE, TRUE, Argument, Parameter, RocksCommand
from rollbuild.errors import USAGE, RollbuildError

WORDS = "WORDS"
"""The code of the error that says that a command was given more words than it takes."""

_PARAMETER = re.compile(r"([A-Za-z0-9_+-]+)=(.*)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_OPTION = re.compile(r"-{1,2}[A-Za-z].*", re.DOTALL)
_WITH_VALUE = ("--database", "--store", "--color")
_PLAIN = ("--json", "--help", "-h", "--quiet", "-q", "--verbose", "-v", "--debug", "--version")

_FLAGS = ("--diff", "--force", "--place", "--purge")  # the same as diff=yes

LAYOUT = (
    Parameter("json", "Write JSON; as --json.", kind="boolean", default="no"),
    Parameter("output-col", "Only these columns: names of the header, with commas between them."),
    Parameter("output-header", "Whether the table has a header.", kind="boolean", default="yes"),
)
"""What every command that prints a table takes besides its own parameters."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command line taken apart: plain `words`, `parameters` in the order given, `options` such as --json."""

    words: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def wants_help(self) -> bool:
        return bool({"--help", "-h"} & self.options.keys())


@dataclass(frozen=True, slots=True)
class Found:
    """What words spell: a command or a group of commands (or both), and the words that are left."""

    words: str
    is_command: bool
    is_group: bool
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """What a command is given: values of placed arguments, and all parameters with their defaults."""

    arguments: tuple[str, ...]
    parameters: Mapping[str, str]
    given: frozenset[str]


def split_line(argv: Sequence[str]) -> Line:
    """Take a command line apart. After `--` all is plain words. Raises RollbuildError, exit code USAGE."""
    words: list[str] = []
    parameters: list[tuple[str, str]] = []
    options: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
        elif _OPTION.fullmatch(word):
            name, sign, value = word.partition("=")
            if name in _WITH_VALUE:
                given = value if sign else next(rest, None)
                if given is None:
                    raise RollbuildError(f"{name} needs a value", exit_code=USAGE)
                options[name] = given
            elif name in _PLAIN and not sign:
                options[name] = ""
            elif name in _FLAGS and not sign:
                parameters.append((name.removeprefix("--"), "yes"))
            else:
                raise _unknown_option(word)
        elif not word.startswith("select") and (match := _PARAMETER.fullmatch(word)):
            parameters.append((match[1], match[2]))
        else:
            words.append(word)
    return Line(tuple(words), tuple(parameters), options)


def _unknown_option(word: str) -> RollbuildError:
    name, sign, _ = word.partition("=")
    if sign and name in (*_PLAIN, *_FLAGS):
        raise RollbuildError(f"{name} takes no value", hint=f"write {name} alone", exit_code=USAGE)
    meant = suggest(name, (*_WITH_VALUE, *_PLAIN))
    hint = "parameters are written NAME=VALUE; words that begin with a dash stand after --"
    return RollbuildError(f"there is no option `{name}`{meant}", hint=hint, exit_code=USAGE)


def find_command(words: Sequence[str], commands: Iterable[str]) -> Found:
    """The longest command or group that the words begin with; verbs and nouns in any case.

    Raises RollbuildError, exit code USAGE, where even the first word is no verb, or where what follows a group that
    is no command is none of its words.
    """
    known = set(commands)
    groups = group_names(known)
    is_quoted = bool(words) and " " in words[0].strip()
    spelled = [word.lower() for word in (words[0].split() if is_quoted else words)]
    for length in (len(spelled),) if is_quoted else range(len(spelled), -1, -1):
        name = " ".join(spelled[:length])
        rest = tuple(words[1:] if is_quoted else words[length:])
        if name in known:
            return Found(name, True, name in groups, rest)
        if name in groups:
            if rest and rest != ("help",):
                break
            return Found(name, False, True, rest)
    raise unknown_command(spelled, known)


def group_names(commands: Iterable[str]) -> set[str]:
    """All words that commands begin with, "" among them."""
    split = [name.split() for name in commands]
    return {" ".join(words[:end]) for words in split for end in range(len(words))}


def unknown_command(spelled: Sequence[str], commands: Iterable[str]) -> RollbuildError:
    """Says that there is no such command, and which is meant."""
    near = nearest_command(spelled, commands)
    said = " ".join(["rocks", *spelled])
    meant = f"; did you mean `rocks {near}`?" if near else ""
    return RollbuildError(
        f"there is no command `{said}`{meant}", hint="see them all: rocks help", exit_code=USAGE, code="COMMAND"
    )


def nearest_command(spelled: Sequence[str], commands: Iterable[str], *, least: float = 0.6) -> str:
    """The command that the words resemble most, or "": each word like the one that stands in its place.

    `least` is how much alike any two must be, 1.0 for equal ones.
    """
    best, best_score = "", 0.0
    for name in sorted(commands):
        nouns = name.split()
        if len(nouns) > len(spelled):
            continue
        likeness = [difflib.SequenceMatcher(None, *pair).ratio() for pair in zip(nouns, spelled, strict=False)]
        # Longer commands explain more of what was typed.
        score = min(likeness) + len(nouns) / 100
        if min(likeness) >= least and score > best_score:
            best, best_score = name, score
    return best


def fill(command: RocksCommand, words: Sequence[str], parameters: Sequence[tuple[str, str]]) -> Filled:
    """Give a command its words and parameters.

    Named arguments that no parameter gives are filled from the right where an argument before them takes many
    words, else from the left. Raises RollbuildError, exit code USAGE, for parameters that the command does not know,
    that are given twice, missing or of the wrong kind, and for words that are too many or too few.
    """
    known = {item.name: item for item in (*command.named, *command.parameters, *(LAYOUT if command.lists else ()))}
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise _unknown_parameter(command, name, value, known)
        if given.get(name, value) != value:
            raise RollbuildError(f"{name}= is given twice", exit_code=USAGE)
        given[name] = value
    left = list(words)
    open_names = [argument.name for argument in command.named if argument.name not in given]
    repeated = any(argument.is_repeated for argument in command.placed)
    placed_most = len(command.placed)
    if repeated:
        for name in reversed(open_names):
            if left:
                given[name] = left.pop()
    else:
        after = left[placed_most:]
        left = left[:placed_most]
        if len(after) > len(open_names):
            raise _too_many(command, after[len(open_names) :])
        given.update(zip(open_names, after, strict=False))
    _check_required(command, left, given)
    values = {name: _default(item) for name, item in known.items()}
    values |= {name: check_value(known[name], value) for name, value in given.items()}
    for name, item in known.items():
        if isinstance(item, Parameter) and item.is_required and name not in given:
            raise RollbuildError(f"missing {name}=", hint=_usage(command), exit_code=USAGE)
    arguments = tuple(left)
    for argument, value in zip(command.placed, arguments, strict=False):
        if argument.choices:
            arguments = tuple(check_value(argument, value) for value in arguments)
    return Filled(arguments, values, frozenset(given))


def _check_required(command: RocksCommand, left: Sequence[str], given: Mapping[str, str]) -> None:
    required = [argument for argument in command.placed if argument.is_required]
    if len(left) < len(required):
        missing = required[len(left)]
        raise RollbuildError(f"must supply {missing.name}", hint=_usage(command), exit_code=USAGE)
    for argument in command.named:
        if argument.is_required and argument.name not in given:
            raise RollbuildError(f"missing {argument.name}", hint=_usage(command), exit_code=USAGE)


def _default(item: Argument | Parameter) -> str:
    return item.default if isinstance(item, Parameter) else ""


def check_value(item: Argument | Parameter, value: str) -> str:
    """The value as the command takes it. Raises RollbuildError, exit code USAGE, for one of the wrong kind."""
    if item.choices:
        if value.lower() in item.choices:
            return value.lower()
        if value in item.choices:
            return value
        choices = ", ".join(filter(None, item.choices))
        raise RollbuildError(f'{item.name} cannot be "{value}"', hint=f"it is one of {choices}", exit_code=USAGE)
    kind = item.kind if isinstance(item, Parameter) else "string"
    if kind == "integer" and not _INTEGER.fullmatch(value):
        raise RollbuildError(f'{item.name} must be an integer, not "{value}"', exit_code=USAGE)
    if kind == "boolean" and value.lower() not in TRUE | FALSE:
        raise RollbuildError(f'{item.name} must be yes or no, not "{value}"', exit_code=USAGE)
    return value


def _too_many(command: RocksCommand, words: Sequence[str]) -> RollbuildError:
    said = f'`rocks {command.words}` takes no "{words[0]}"'
    return RollbuildError(said, hint=_usage(command), exit_code=USAGE, code=WORDS)


def _unknown_parameter(command: RocksCommand, name: str, value: str, known: Iterable[str]) -> RollbuildError:
    names = sorted(known)
    meant = suggest(name, names, form="{}=")
    if not names:
        hint = "it takes none"
    elif meant:
        hint = f"it takes {', '.join(names)}"
    else:
        hint = f"it takes {', '.join(names)}; a word with = in it stands after --"
    return RollbuildError(f"`rocks {command.words}` has no parameter {name}={meant}", hint=hint, exit_code=USAGE)


def suggest(word: str, names: Iterable[str], *, form: str = "{}") -> str:
    """`; did you mean NAME?`, or nothing."""
    near = difflib.get_close_matches(word.lower(), list(names), n=1)
    return f"; did you mean {form.format(near[0])}?" if near else ""


def _usage(command: RocksCommand) -> str:
    return synopsis(command, shows_layout=False)


def synopsis(command: RocksCommand, *, shows_layout: bool = True) -> str:
    """`rocks set host boot {host}... [action=string]`; parameters by name."""
    parameters = [*command.parameters, *(LAYOUT if command.lists and shows_layout else ())]
    items: list[Argument | Parameter] = [*command.arguments, *sorted(parameters, key=lambda item: item.name)]
    return " ".join(["rocks", command.words, *(item.synopsis for item in items)])
