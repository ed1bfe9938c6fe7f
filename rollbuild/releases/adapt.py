"""Writing what was meant for one release so that another understands it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rollbuild.releases.release import RELEASES, ArgumentRule, CommandRule, Release, load_release
from rollbuild.releases.words import Word, edit, split_words

Status = Literal["ok", "rewritten", "dropped", "unknown"]
_NO_RULE = CommandRule()


@dataclass(frozen=True, slots=True)
class Adapted:
    """A command as a release wants it.

    `lines` are Kickstart lines; `origins` has for each the line of the given text that it comes from (0 is
    the first). `notes` tell every change, or why the command is unknown; `nearest` is then a known name
    like it.
    """

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    status: Status = "ok"
    origins: tuple[int, ...] = ()
    nearest: str = ""


@dataclass(slots=True)
class _Rewrite:
    """A command line on its way: the command's name and text, lines that came out of it, what was done."""

    name: str
    body: str
    dropped: bool = False
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def adapt_command(release: Release, name: str, text: str) -> Adapted:
    """A command (an element's name and text) as Kickstart lines that the release accepts.

    The text's further lines, and a first line that starts with `%`, are Kickstart lines of their own: they
    are kept as they are, even when the command is dropped. An unknown command's lines are given unchanged.
    """
    start, first, further = _split_text(text)
    if name not in release.known_commands and name not in release.adaptations:
        note, nearest = _explain_unknown(release, name)
        result = _Rewrite(name, first, notes=[note])
        return _collect(result, start, further, "unknown", nearest)
    result = _Rewrite(name, first)
    _apply_rules(release, result)
    status: Status = "ok"
    if result.dropped and not result.lines:
        status = "dropped"
    elif result.notes:
        status = "rewritten"
    return _collect(result, start, further, status)


def adapt_packages_options(release: Release, options: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options of `%packages` as the release names them, without those it lacks; a note on each change."""
    kept: list[str] = []
    notes: list[str] = []
    skip_value = False
    for option in options:
        if skip_value:
            skip_value = False
            continue
        name, equals, value = option.partition("=")
        rule = release.packages_options.get(name)
        if rule is None:
            kept.append(option)
            continue
        if rule.becomes:
            kept.append(rule.becomes + equals + value)
        else:
            skip_value = rule.value and not equals
        notes.append(_tell_argument(release, "%packages", name, rule))
    return tuple(kept), tuple(notes)


def _split_text(text: str) -> tuple[int, str, list[tuple[int, str]]]:
    """Where the command's own line stands, that line, and the lines of their own with their places."""
    start = text[: len(text) - len(text.lstrip())].count("\n")
    lines = text.strip().split("\n")
    own = "" if lines[0].startswith("%") else lines.pop(0).rstrip()
    offset = start + 1 if own or not lines else start
    return start, own, [(offset + index, line.rstrip()) for index, line in enumerate(lines) if line.strip()]


def _collect(
    result: _Rewrite, start: int, further: list[tuple[int, str]], status: Status, nearest: str = ""
) -> Adapted:
    own = [] if result.dropped else [f"{result.name} {result.body}".rstrip()]
    placed = [(start, line) for line in own + result.lines] + further
    return Adapted(
        lines=tuple(line for _, line in placed),
        notes=tuple(result.notes),
        status=status,
        origins=tuple(place for place, _ in placed),
        nearest=nearest,
    )


def _explain_unknown(release: Release, name: str) -> tuple[str, str]:
    others = [
        other.name
        for other in map(load_release, RELEASES)
        if name in other.known_commands and name not in other.adaptations
    ]
    if others:
        return f"{name}: {release.name} has no such command; its releases are {', '.join(others)}", ""
    import difflib

    nearest = difflib.get_close_matches(name, sorted(release.known_commands), n=1)
    return f"{name}: no release has a Kickstart command of this name", nearest[0] if nearest else ""


def _apply_rules(release: Release, result: _Rewrite) -> None:
    rule = release.adaptations.get(result.name, _NO_RULE)
    if rule.becomes:
        result.notes.append(f"{result.name}: written as {rule.becomes} for {release.name}: {rule.because}")
        result.name = rule.becomes
        rule = release.adaptations.get(result.name, _NO_RULE)
    if rule.drop:
        result.notes.append(f"{result.name}: left out for {release.name}: {rule.because}")
        result.dropped = True
    elif rule.arguments:
        _adapt_arguments(release, result, rule)


def _adapt_arguments(release: Release, result: _Rewrite, rule: CommandRule) -> None:
    words = split_words(result.body)
    if words is None:
        return
    name = result.name
    changes: dict[int, str | None] = {}
    for index, word in enumerate(words):
        option, argument = _find_argument(rule.arguments, word)
        if argument is None or index in changes:
            continue
        result.notes.append(_tell_argument(release, name, option, argument))
        if argument.drop_command:
            result.dropped = True
        elif argument.becomes:
            changes[index] = _rename(result.body[word.start : word.end], word, option, argument.becomes)
        else:
            changes[index] = None
            value = word.value[len(option) + 1 :]
            if argument.value and word.value == option and index + 1 < len(words):
                changes[index + 1] = None
                value = words[index + 1].value
            if argument.command:
                result.name = argument.command
            elif argument.line:
                result.lines += _write_lines(argument, value)
    result.body = edit(result.body, words, changes.items()) if changes else result.body
    if not rule.bare and len(words) == sum(text is None for text in changes.values()) > 0:
        result.dropped = True


def _find_argument(rules: Mapping[str, ArgumentRule], word: Word) -> tuple[str, ArgumentRule | None]:
    name = word.value.partition("=")[0]
    return name, rules.get(name)


def _rename(raw: str, word: Word, old: str, new: str) -> str:
    if raw.startswith(old):
        return new + raw[len(old) :]
    return shlex.quote(new + word.value[len(old) :])


def _write_lines(rule: ArgumentRule, value: str) -> list[str]:
    if not rule.value:
        return [rule.line]
    return [rule.line.replace("{}", shlex.quote(part.strip())) for part in value.split(",") if part.strip()]


def _tell_argument(release: Release, name: str, option: str, rule: ArgumentRule) -> str:
    if rule.becomes:
        done = f"written as {rule.becomes}"
    elif rule.line:
        done = f"written as {rule.line.split()[0]}"
    elif rule.command:
        done = f"written as {rule.command}"
    elif rule.drop_command:
        done = "the whole command is left out"
    else:
        done = "left out"
    return f"{name} {option}: {done} for {release.name}: {rule.because}"
