"""YAML and JSON read as written: scalars keep their text (`yes`, `007`, `1.10`), every part knows its place.

Read from parser events, so that nothing is constructed: no tags, no anchors, no aliases, no deep nesting,
and no key twice in one mapping.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from rollbuild.errors import RollbuildError
from rollbuild.location import Location

MAX_DEPTH = 16
_QUOTE_IT = "put the value in quotes"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_STRING_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_Loader: "type[yaml.CSafeLoader] | type[yaml.SafeLoader]" = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value or key as written; `null`: an unquoted null or nothing at all, whose text is empty."""

    text: str
    location: Location
    null: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping without repeated keys, in the order written."""

    items: tuple[tuple[Scalar, "Node"], ...]
    location: Location


Node = Scalar | Sequence | Mapping


def read_yaml(text: str, file: str) -> Node:
    """The one document of a YAML text; an empty text is a null scalar. Raises RollbuildError."""
    try:
        events = yaml.parse(text, Loader=_Loader)
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return Scalar("", Location(file, 1, 1), null=True)
        document = _from_events(events, next(events), file, 1)
        next(events)
        after = next(events)
        if not isinstance(after, yaml.StreamEndEvent):
            _refuse("a second document starts here", _place(after, file), "write one document per file")
        return document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        tab = "\\t" in problem or "tab character" in problem
        hint = "indent with blanks, not with tabs" if tab else f"look at the indentation, or {_QUOTE_IT}"
        raise RollbuildError(f"not valid YAML: {problem}", location=location, hint=hint) from None
    except yaml.reader.ReaderError as error:
        # The position counts bytes or characters, depending on the parser; it only serves to find the line.
        before = text.encode("utf-8", "replace")[: error.position]
        hint = "write control characters as escapes in double quotes"
        raise RollbuildError(
            "not valid YAML: it holds a character that YAML does not allow",
            location=Location(file, before.count(b"\n") + 1),
            hint=hint,
        ) from None


def _from_events(events: Iterator[yaml.Event], event: yaml.Event, file: str, depth: int) -> Node:
    place = _place(event, file)
    if isinstance(event, yaml.AliasEvent):
        _refuse(f"`*{event.anchor}` would repeat another value", place, f"write the value out, or {_QUOTE_IT}")
    if not isinstance(event, yaml.NodeEvent):
        _refuse("a value is missing here", place, _QUOTE_IT)
    if event.anchor is not None:
        _refuse(f"`&{event.anchor}` would name a value", place, f"leave it out, or {_QUOTE_IT}")
    if isinstance(event, yaml.ScalarEvent):
        if event.tag not in _STRING_TAGS:
            _refuse(f"the tag `{event.tag}` cannot be used", place, f"leave it out, or {_QUOTE_IT}")
        null = bool(event.implicit[0]) and event.value in _NULLS
        return Scalar("" if null else event.value, place, null)
    if isinstance(event, yaml.CollectionStartEvent) and event.tag not in (None, "!"):
        _refuse(f"the tag `{event.tag}` cannot be used", place, "leave it out")
    _check_depth(depth, place)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_from_events(events, event, file, depth + 1))
        return Sequence(tuple(items), place)
    pairs = []
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _key_from_event(events, event, file, depth)
        pairs.append((key, _from_events(events, next(events), file, depth + 1)))
    return _mapping(pairs, place)


def _key_from_event(events: Iterator[yaml.Event], event: yaml.Event, file: str, depth: int) -> Scalar:
    key = _from_events(events, event, file, depth + 1)
    if not isinstance(key, Scalar):
        _refuse("a key must be a name", key.location, "values like `{{ x }}` must stand in quotes")
    # A key is a name whatever it looks like, also where it is spelled `null`.
    return Scalar(getattr(event, "value", ""), key.location)


def read_json(text: str, file: str) -> Node:
    """A JSON text; numbers, true and false keep their text. Raises RollbuildError."""
    import json

    try:
        # The reader of the standard library judges and explains the syntax; what it builds is thrown away.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise RollbuildError(
            f"not valid JSON: {error.msg}",
            location=Location(file, error.lineno, error.colno),
            hint="names and texts stand in double quotes; a comma stands between entries, not after the last",
        ) from None
    except RecursionError:
        _check_depth(MAX_DEPTH + 1, Location(file))
    except _NoJson as problem:
        _refuse(f"not valid JSON: {problem} is no value", Location(file), "put it in double quotes")
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    tokens = iter(_TOKEN.finditer(text))

    def place(token: re.Match[str]) -> Location:
        line = bisect_right(starts, token.start())
        return Location(file, line, token.start() - starts[line - 1] + 1)

    def read(token: re.Match[str], depth: int) -> Node:
        word = token[0]
        if word == "{" or word == "[":
            _check_depth(depth, place(token))
            pairs: list[tuple[Scalar, Node]] = []
            items: list[Node] = []
            end = "}" if word == "{" else "]"
            while (part := next(tokens))[0] != end:
                if part[0] == ",":
                    continue
                if word == "[":
                    items.append(read(part, depth + 1))
                    continue
                key = Scalar(str(json.loads(part[0])), place(part))
                next(tokens)
                pairs.append((key, read(next(tokens), depth + 1)))
            return Sequence(tuple(items), place(token)) if word == "[" else _mapping(pairs, place(token))
        if word.startswith('"'):
            return Scalar(str(json.loads(word)), place(token))
        return Scalar("" if word == "null" else word, place(token), word == "null")

    return read(next(tokens), 1)


class _NoJson(Exception):
    """NaN or an infinity, which the standard library would take."""


def _no_constant(word: str) -> NoReturn:
    raise _NoJson(word)


def _mapping(pairs: list[tuple[Scalar, Node]], place: Location) -> Mapping:
    seen: dict[str, Location] = {}
    for key, _ in pairs:
        if key.text in seen:
            message = f"`{key.text}` is given twice, first at {seen[key.text]}"
            _refuse(message, key.location, "leave one of the two out")
        seen[key.text] = key.location
    return Mapping(tuple(pairs), place)


def _check_depth(depth: int, place: Location) -> None:
    if depth > MAX_DEPTH:
        _refuse(f"nested deeper than {MAX_DEPTH} levels", place, "keep the file flat")


def _place(event: yaml.Event, file: str) -> Location:
    mark = event.start_mark
    return Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)


def _refuse(message: str, location: Location, hint: str) -> NoReturn:
    raise RollbuildError(message, location=location, hint=hint)
