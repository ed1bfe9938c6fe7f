"""Conditions: the `cond`, `arch`, `os` and `release` tests of edges and elements."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollbuild.errors import RollbuildError
from rollbuild.language.expressions import QUOTED, BadForm, BadKinds, Test, compile_text, shorten
from rollbuild.location import Location

SYNTAX = "COND-SYNTAX"
TYPE = "COND-TYPE"


class ConditionError(RollbuildError):
    """A condition that cannot be read (`COND-SYNTAX`) or compares things of different kinds (`COND-TYPE`)."""

    def __init__(self, code: str, message: str, *, location: Location | None = None, hint: str = "") -> None:
        super().__init__(message, location=location, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition; `names` are the attributes that it looks at.

    Two conditions are equal when text and location are; pickling keeps these two and compiles again.
    """

    text: str
    names: frozenset[str]
    location: Location
    _test: Test = field(repr=False, compare=False)

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether the condition is true for these attributes (raw texts; what is missing counts as None).

        Raises ConditionError `COND-TYPE` when a number is ordered against a text.
        """
        try:
            return bool(self._test(attributes))
        except BadKinds as problem:
            message = f"condition `{shorten(self.text)}`: {problem}"
            raise ConditionError(TYPE, message, location=self.location, hint=problem.hint) from None

    def __reduce__(self) -> tuple[object, ...]:
        return compile_condition, (self.text, self.location)


@dataclass(frozen=True, slots=True)
class Guard:
    """All the tests on one edge or element, joined by `and`; an empty tuple or None is no test.

    `arch`, `os` and `release` compare the raw text of the attribute. `release` also holds when an item
    equals the attribute `os_release`.
    """

    arch: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    condition: Condition | None = None

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether every test holds; raises ConditionError like `Condition.holds`."""
        if self.os and attributes.get("os") not in self.os:
            return False
        if self.arch and attributes.get("arch") not in self.arch:
            return False
        if (
            self.release
            and attributes.get("release") not in self.release
            and attributes.get("os_release") not in self.release
        ):
            return False
        return self.condition is None or self.condition.holds(attributes)

    @property
    def names(self) -> frozenset[str]:
        """The attributes that the tests look at."""
        names = set(self.condition.names) if self.condition else set()
        if self.arch:
            names.add("arch")
        if self.os:
            names.add("os")
        if self.release:
            names.update(("release", "os_release"))
        return frozenset(names)

    def text(self) -> str:
        """The tests for a reader, such as `arch in (i386, x86_64) and rocks_version_major == 7`."""
        parts = [
            f"{name} == {items[0]}" if len(items) == 1 else f"{name} in ({', '.join(items)})"
            for name, items in (("arch", self.arch), ("os", self.os), ("release", self.release))
            if items
        ]
        if self.condition:
            text = self.condition.text
            joined = parts and re.search(r"\bor\b", QUOTED.sub("", text))
            parts.append(f"({text})" if joined else text)
        return " and ".join(parts)


ALWAYS = Guard()


def condition_of(guards: Iterable[Guard]) -> str:
    """All the guards as one condition; empty when there are none."""
    texts = [guard.text() for guard in guards]
    if len(texts) == 1:
        return texts[0]
    return " and ".join(f"({text})" if " or " in text else text for text in texts)


def make_guard(attributes_of_element: Mapping[str, str], location: Location) -> Guard:
    """The guard that an element's `arch`, `os`, `release` and `cond` spell; ALWAYS when it has none of them.

    Raises ConditionError `COND-SYNTAX` for a condition that cannot be read and for a list that names nothing.
    """
    cond = attributes_of_element.get("cond")
    arch, os, release = (
        _read_list(name, attributes_of_element.get(name), location) for name in ("arch", "os", "release")
    )
    if cond is None and not (arch or os or release):
        return ALWAYS
    return Guard(arch, os, release, None if cond is None else compile_condition(cond, location))


def _read_list(name: str, text: str | None, location: Location) -> tuple[str, ...]:
    if text is None:
        return ()
    items = tuple(item for item in (part.strip() for part in text.split(",")) if item)
    if not items:
        hint = f"name at least one {name}, or remove the attribute"
        raise ConditionError(SYNTAX, f'{name}="{shorten(text)}" names nothing', location=location, hint=hint)
    return items


def compile_condition(text: str, location: Location) -> Condition:
    """Compile an expression such as `rocks_version_major >= 7 and not xen`.

    Raises ConditionError `COND-SYNTAX` for whatever is not in the allowed forms, is longer than 2000
    characters or is nested deeper than 50 levels.
    """
    text = text.strip()
    try:
        names, test = compile_text(text)
    except BadForm as problem:
        message = f"condition `{shorten(text)}`: {problem}"
        raise ConditionError(SYNTAX, message, location=location, hint=problem.hint) from None
    return Condition(text, names, location, test)
