"""Mappings of a file, read field by field: whatever is wrong becomes a fault at its place, and reading goes on."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rollbuild.cluster.names import check_number, nearest
from rollbuild.errors import RollbuildError
from rollbuild.findings import Finding
from rollbuild.language import YamlMapping, YamlNode, YamlScalar, YamlSequence
from rollbuild.location import Location

NUMBER = re.compile(r"[0-9]{1,9}")
_TRUE, _FALSE = frozenset({"yes", "true", "on", "y", "1"}), frozenset({"no", "false", "off", "n", "0"})


@dataclass(slots=True)
class Faults:
    """What was found wrong, and where things stand in the file: by section (a field of State) and key."""

    found: list[Finding] = field(default_factory=list)
    places: dict[tuple[str, Any], Location] = field(default_factory=dict)

    def add(self, message: str, place: Location | None, hint: str = "") -> None:
        self.found.append(RollbuildError(message, location=place, hint=hint).as_finding())


class Group:
    """A mapping of the file: unknown keys and values of the wrong shape become faults, and defaults stand in."""

    def __init__(self, faults: Faults, node: YamlNode, keys: tuple[str, ...] | None, what: str) -> None:
        self.faults = faults
        self.location = node.location
        self.values: dict[str, tuple[YamlScalar, YamlNode]] = {}
        if isinstance(node, YamlMapping):
            self.values = {key.text: (key, value) for key, value in node.items}
        elif not (isinstance(node, YamlScalar) and node.null):
            faults.add(f"{what} is a mapping, as `name: value`", node.location)
        for name, (key, _) in list(self.values.items()):
            if keys is not None and name not in keys:
                hint = nearest(name, keys) or f"there can be {', '.join(keys)}"
                faults.add(f"{what} has no `{name}`", key.location, hint)
                del self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def place(self, name: str) -> Location:
        return self.values[name][1].location if name in self.values else self.location

    def has_all(self, names: tuple[str, ...], what: str) -> bool:
        missing = [name for name in names if name not in self.values]
        if missing:
            self.faults.add(f"{what} has no {' and no '.join(missing)}", self.location)
        return not missing

    def named(self, section: str, key: str, check: Callable[[str], str]) -> str | None:
        """What this group is called; None, after a fault, where that is nothing or no such name."""
        if not self.has_all((key,), f"an entry of {section}"):
            return None
        before = len(self.faults.found)
        name = self.text(key, "", check)
        if len(self.faults.found) > before:
            return None
        self.faults.places.setdefault((section, name), self.location)
        return name

    def text(self, name: str, former: str, check: Callable[[str], str], what: str = "") -> str:
        if name not in self.values:
            return former
        node = self.values[name][1]
        if not isinstance(node, YamlScalar):
            self.faults.add(f"`{name}` is one text", node.location)
            return former
        return self.check(name, node.text, check, what)

    def check(self, name: str, text: str, check: Callable[[str], str], what: str = "") -> str:
        try:
            return check(text)
        except RollbuildError as problem:
            self.faults.add(problem.message, self.place(name), problem.hint)
        except ValueError:
            self.faults.add(f"{text!r} is not {what or 'right'}", self.place(name))
        return text

    def number(self, name: str, former: int, lowest: int, highest: int) -> int:
        def read(text: str) -> str:
            if not NUMBER.fullmatch(text):
                raise RollbuildError(f"`{name}` is a whole number, not {text!r}")
            return str(check_number(int(text), f"`{name}`", lowest, highest))

        before = len(self.faults.found)
        text = self.text(name, str(former), read)
        return int(text) if len(self.faults.found) == before else former

    def flag(self, name: str, former: bool) -> bool:
        def read(text: str) -> str:
            if text.lower() not in _TRUE | _FALSE:
                raise RollbuildError(f"`{name}` is yes or no, not {text!r}")
            return text.lower()

        return self.text(name, "yes" if former else "no", read) in _TRUE

    def choice(self, name: str, former: str, words: tuple[str, ...]) -> str:
        def read(text: str) -> str:
            if text not in words:
                raise RollbuildError(f"`{name}` cannot be {text!r}", hint=f"it is one of {', '.join(words)}")
            return text

        text = self.text(name, former, read)
        return text if text in words else former

    def items(self, name: str) -> tuple[YamlNode, ...]:
        node = self.values[name][1]
        if isinstance(node, YamlSequence):
            return node.items
        if not (isinstance(node, YamlScalar) and node.null):
            self.faults.add(f"`{name}` is a list", node.location, "put `- ` before each entry")
        return ()

    def group(self, name: str, keys: tuple[str, ...] | None, what: str) -> "Group":
        return Group(self.faults, self.values[name][1], keys, what)
