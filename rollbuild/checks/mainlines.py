"""The lines of a Kickstart that stand outside of its scripts."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rollbuild.compiler import RESERVED, Profile
from rollbuild.location import Location

_NO_SECTIONS = frozenset(("%include", "%ksappend", "%end"))
_SECTIONS = RESERVED - _NO_SECTIONS


@dataclass(frozen=True, slots=True)
class MainLine:
    """A line that the Kickstart parser itself reads; `number` counts from 1 over the whole Kickstart.

    `words` is None where a quote is not closed. `section` is the section that it opens or stands in (such as
    `%packages`), empty for a command; `opens` tells the line that opens it, `closes` its `%end`. `has_script`: it
    opens a script that a node file declares, whose body and `%end` are left out.
    """

    number: int
    text: str
    words: tuple[str, ...] | None
    section: str
    opens: bool
    closes: bool
    has_script: bool
    location: Location | None

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words[0] if self.words else self.text.split(None, 1)[0]

    @property
    def is_command(self) -> bool:
        """Whether it is a command, or an %include in a command's place."""
        return not self.section and self.words is not None


def read_main_lines(profile: Profile) -> tuple[MainLine, ...]:
    """Every line but blank ones, comments, and the bodies of scripts that node files declare."""
    return tuple(_walk(profile))


def _walk(profile: Profile) -> Iterator[MainLine]:
    number = 0
    section = ""
    for part in profile.sections:
        for index, line in enumerate(part.lines):
            number += 1
            if part.script is not None and index:
                continue
            stripped = line.text.strip()
            if not stripped or stripped.startswith("#"):
                continue
            words = split_line(stripped)
            first = words[0] if words else stripped.split(None, 1)[0]
            # A section that <ks> lines open and never close ends where the next one starts.
            opens = first in _SECTIONS or (not section and first.startswith("%") and first not in _NO_SECTIONS)
            section = first if opens else section
            closes = first == "%end"
            place = line.location or profile.locate(number)
            has_script = part.script is not None
            yield MainLine(number, stripped, words, section, opens, closes, has_script, place)
            if closes or part.script is not None:
                section = ""


def split_line(text: str) -> tuple[str, ...] | None:
    """The words of a line as pykickstart splits it; None when a quote is not closed."""
    if "#" not in text and '"' not in text and "'" not in text and "\\" not in text:
        return tuple(text.split())
    try:
        return tuple(shlex.split(text, comments=True))
    except ValueError:
        return None


def read_option(words: tuple[str, ...], name: str) -> str | None:
    """The value of `--name=value` or `--name value`; empty when nothing follows, None when it is not there."""
    for index, word in enumerate(words):
        if word.startswith(name + "="):
            return word[len(name) + 1 :]
        if word == name:
            following = words[index + 1] if index + 1 < len(words) else ""
            return "" if following.startswith("--") else following
    return None


def read_arguments(words: tuple[str, ...], flags: frozenset[str]) -> tuple[str, ...]:
    """The words of a command that are neither options nor their values; `flags` are options without a value."""
    arguments = []
    skip = True
    for word in words:
        if skip:
            skip = False
        elif word.startswith("--"):
            skip = "=" not in word and word not in flags
        else:
            arguments.append(word)
    return tuple(arguments)
