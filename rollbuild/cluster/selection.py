"""Which hosts the words of a command line mean."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from rollbuild.cluster import schema
from rollbuild.cluster.names import nearest, number_order, spell_mac
from rollbuild.errors import USAGE, RollbuildError

_hosts, _interfaces = schema.hosts, schema.interfaces
_RACK = re.compile(r"rack(\d{1,9})")
_NUMBERS = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*")
_WORD_LENGTH = 1024
_MOST_WILDCARDS = 5
_FRONT_END = "frontend"


def select_hosts(c: Connection, words: Sequence[str], *, everything: bool = False) -> tuple[str, ...]:
    """The names of the hosts that words mean, each once, in the order of their names with numbers as numbers.

    A word is the name of a host, one of its aliases or interfaces, also with its zone, an address, a MAC, `localhost`
    (the front end), an appliance or membership, `rackN` (all but the front end), or a pattern: `%` and `_` as in SQL,
    `*`, `?`, `[a-z]` as in a shell, `compute-0-[0-15,20]` with numbers. No word means all hosts where `everything`
    says so. Raises RollbuildError: REFUSED for a word that means nothing here, USAGE where words are needed.
    """
    if not words:
        if not everything:
            hint = "name hosts, an appliance, rackN or a pattern; '%' is all hosts"
            raise RollbuildError("must supply host", hint=hint, exit_code=USAGE)
        return _in_order(c.execute(select(_hosts.c.name)).scalars())
    lookup = _Lookup(c)
    return _in_order({host for word in words for host in lookup.find(word)})


class _Lookup:
    """What a word may mean, read from the database once for all words."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, word: str) -> Iterable[str]:
        if len(word) > _WORD_LENGTH or not word.isprintable():
            raise RollbuildError(f"{word[:40]!r} is no name of hosts", exit_code=USAGE)
        text = word.strip().lower()
        if text.split(None, 1)[:1] == ["select"]:
            raise RollbuildError(
                "hosts are not selected by SQL here",
                hint="use patterns, as 'compute-1-%' or 'compute-0-[0-15]', an appliance or rackN",
                exit_code=USAGE,
            )
        if re.search(r"[%*?\[]", text):
            return self._matching(word, text)
        for meaning in (self._one, self._appliance, self._rack, self._localhost, self._with_zone):
            found = meaning(text)
            if found is not None:
                return found
        raise self._unknown(word, text)

    def _one(self, text: str) -> Iterable[str] | None:
        """A host by its own name, an alias, the name of an interface, an address or a MAC."""
        aliases = schema.aliases
        questions: list[tuple[ColumnElement[str], ColumnElement[str], str]] = [
            (_hosts.c.name, _hosts.c.name, text),
            (aliases.c.host, aliases.c.name, text),
            (_interfaces.c.host, _interfaces.c.name, text),
            (_interfaces.c.host, _interfaces.c.address, text),
        ]
        if (mac := _mac(text)) is not None:
            questions.append((_interfaces.c.host, _interfaces.c.mac, mac))
        for wanted, column, value in questions:
            found = self._connection.execute(select(wanted).where(column == value)).scalar()
            if found is not None:
                return (found,)
        return None

    def _appliance(self, text: str) -> Iterable[str] | None:
        if text not in self._appliances:
            return None
        return self._where(_hosts.c.appliance == self._appliances[text])

    def _rack(self, text: str) -> Iterable[str] | None:
        if not (match := _RACK.fullmatch(text)):
            return None
        found = self._where((_hosts.c.rack == int(match[1])) & (_hosts.c.appliance != _FRONT_END))
        if not found:
            raise RollbuildError(f"no host is in rack {int(match[1])}")
        return found

    def _localhost(self, text: str) -> Iterable[str] | None:
        if text != "localhost":
            return None
        if not (found := self._where(_hosts.c.appliance == _FRONT_END)):
            raise RollbuildError("no front end is in cluster", hint="`rocks add frontend` adds this one")
        return _in_order(found)[:1]

    def _with_zone(self, text: str) -> Iterable[str] | None:
        name, _, zone = text.rstrip(".").partition(".")
        return self._one(name) if name and zone in self._zones else None

    def _matching(self, word: str, text: str) -> Iterable[str]:
        matches = _pattern(text)
        found = [name for name in self._names if matches(name)]
        if not found and text not in ("%", "*"):
            raise RollbuildError(f'no host matches "{word}"', hint="`rocks list host` shows all hosts")
        return found

    def _where(self, condition: ColumnElement[Any]) -> Sequence[str]:
        return self._connection.execute(select(_hosts.c.name).where(condition)).scalars().all()

    def _unknown(self, word: str, text: str) -> RollbuildError:
        hint = nearest(text, [*self._names, *self._appliances])
        return RollbuildError(f'host "{word}" is not in cluster', hint=hint or "`rocks list host` shows all hosts")

    @cached_property
    def _names(self) -> Sequence[str]:
        return self._connection.execute(select(_hosts.c.name)).scalars().all()

    @cached_property
    def _zones(self) -> set[str]:
        return {zone for zone in self._connection.execute(select(schema.networks.c.zone)).scalars() if zone}

    @cached_property
    def _appliances(self) -> dict[str, str]:
        """Appliance by its membership and by its name, in lower case; a name counts more."""
        rows = self._connection.execute(select(schema.appliances.c.name, schema.appliances.c.membership)).all()
        return {row.membership.lower(): row.name for row in rows} | {row.name.lower(): row.name for row in rows}


def _pattern(text: str) -> Callable[[str], bool]:
    """Whether a name matches a pattern in lower case."""
    pieces: list[str] = []
    ranges: list[list[tuple[int, int]]] = []
    is_like = "%" in text
    place = 0
    if sum(text.count(wildcard) for wildcard in "%*") > _MOST_WILDCARDS:
        raise RollbuildError(f"a pattern has at most {_MOST_WILDCARDS} of % and *", exit_code=USAGE)
    while place < len(text):
        character = text[place]
        end = text.find("]", place + 2) if character == "[" else -1
        if character == "[" and end < 0:
            raise RollbuildError(f"the pattern {text!r} has a [ without its ]", exit_code=USAGE)
        inside = text[place + 1 : end] if end > 0 else ""
        if inside and _NUMBERS.fullmatch(inside):
            # A number is a whole one, unless digits stand beside it in the pattern.
            before, after = text[place - 1 : place], text[end + 1 : end + 2]
            number = r"(\d)" if max(map(len, re.findall(r"\d+", inside))) == 1 else r"(\d+)"
            left = "" if before.isdigit() or before == "]" else r"(?<!\d)"
            right = "" if after.isdigit() or after == "[" else r"(?!\d)"
            pieces.append(left + number + right)
            ranges.append(_ranges(inside))
        elif inside:
            pieces.append(fnmatch.translate(f"[{inside}]").removeprefix("(?s:").removesuffix(r")\Z"))
        elif character in "%*":
            pieces.append(".*")
        elif character == "?" or (is_like and character == "_"):
            pieces.append(".")
        else:
            pieces.append(re.escape(character))
        place = end + 1 if end > 0 else place + 1
    expression = re.compile("".join(pieces))

    def matches(name: str) -> bool:
        found = expression.fullmatch(name)
        return found is not None and all(
            any(low <= int(number) <= high for low, high in some)
            for number, some in zip(found.groups(), ranges, strict=True)
        )

    return matches


def _ranges(text: str) -> list[tuple[int, int]]:
    found = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        if high and int(high) < int(low):
            raise RollbuildError(f"the range {part} of a pattern ends before it begins", exit_code=USAGE)
        found.append((int(low), int(high or low)))
    return found


def _mac(text: str) -> str | None:
    if not re.fullmatch(r"[0-9a-f]{1,4}([:.-][0-9a-f]{1,4})+", text):
        return None
    try:
        return spell_mac(text)
    except RollbuildError:
        return None


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=number_order))
