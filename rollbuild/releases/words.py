"""Kickstart command lines as words that know where they stand, so that an edit leaves other bytes alone."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

# A word as shlex (and so pykickstart) reads it: quoted pieces, escaped and plain characters in any mixture.
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^ \t\r\n"'\\#])+""")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line: `value` without its quotes, `line[start:end]` with them."""

    start: int
    end: int
    value: str


def split_words(line: str) -> tuple[Word, ...] | None:
    """The words of one line up to a `#` comment; None when a quote is not closed."""
    words = []
    position = 0
    while position < len(line):
        if line[position] in " \t\r\n":
            position += 1
            continue
        if line[position] == "#":
            break
        found = _WORD.match(line, position)
        if found is None:
            return None
        raw = found.group()
        value = "".join(shlex.split(raw)) if any(mark in raw for mark in "\"'\\") else raw
        words.append(Word(found.start(), found.end(), value))
        position = found.end()
    return tuple(words)


def edit(line: str, words: tuple[Word, ...], changes: Iterable[tuple[int, str | None]]) -> str:
    """The line with some words replaced, or taken out (None); `changes` are (index of the word, new text)."""
    pieces = []
    position = 0
    for index, text in sorted(changes, key=lambda change: change[0]):
        word = words[index]
        pieces.append(line[position : word.start])
        if text is None:
            position = words[index + 1].start if index + 1 < len(words) else word.end
        else:
            pieces.append(text)
            position = word.end
    pieces.append(line[position:])
    return "".join(pieces).strip()
