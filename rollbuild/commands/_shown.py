"""How values, places and conditions are shown to people: secrets hidden, nothing that steers the terminal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rollbuild.compiler import Profile
from rollbuild.console import Console
from rollbuild.findings import Severity
from rollbuild.language import HIDDEN, Guard, is_hidden
from rollbuild.location import Location
from rollbuild.workspace import Workspace

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 9}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Which attributes are not shown: those `declared` as secret by a roll, and those that are called like one."""

    declared: frozenset[str] = frozenset()
    are_shown: bool = False

    def hides(self, name: str, value: str) -> bool:
        """Whether this attribute is hidden."""
        return not self.are_shown and is_hidden(name, value, self.declared)


def secrets_of(workspace: Workspace, *, are_shown: bool = False) -> Secrets:
    """What the rolls of a workspace declare as secret."""
    return Secrets(workspace.secret_names(), are_shown)


def show_value(name: str, value: str, secrets: Secrets) -> str:
    """The value, or `(hidden)`."""
    return HIDDEN if secrets.hides(name, value) else value


def find_secrets(attributes: Mapping[str, str], secrets: Secrets) -> tuple[tuple[str, str], ...]:
    """Name and value of the attributes to hide in running text, the longest values first.

    Very short values are left out: they would be found everywhere.
    """
    found = [(name, value) for name, value in attributes.items() if secrets.hides(name, value) and len(value) > 3]
    return tuple(sorted(found, key=lambda item: (-len(item[1]), item)))


def hide_secrets(text: str, attributes: Mapping[str, str], secrets: Secrets) -> str:
    """A text with the values of secret attributes hidden."""
    for _, value in find_secrets(attributes, secrets):
        text = text.replace(value, HIDDEN)
    return text


def printable(text: str) -> str:
    """One line of text, fit for a terminal."""
    return text.translate(_CONTROLS)


def place_of(location: Location | None) -> str:
    """`FILE:LINE`."""
    return str(Location(location.file, location.line)) if location else "-"


def place_data(location: Location | None) -> dict[str, object]:
    """A place in JSON: `file` and `line`, null where there is none."""
    return {"file": location.file if location else None, "line": location.line or None if location else None}


def values_of(guards: Iterable[Guard], attributes: Mapping[str, str], secrets: Secrets) -> dict[str, str | None]:
    """The attributes that the guards look at with their values; None where one is not defined."""
    names = sorted({name for guard in guards for name in guard.names})
    return {
        name: show_value(name, attributes[name], secrets) if name in attributes else None
        for name in names
        if name in attributes or name != "os_release"
    }


def show_values(values: Mapping[str, str | None]) -> str:
    """`arch is x86_64, xen is not defined`."""
    return ", ".join(
        f"{name} is not defined" if value is None else f"{name} is {value or 'empty'}" for name, value in values.items()
    )


def counted(count: int, noun: str) -> str:
    """`1 package`, `2 packages`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def tell_errors(console: Console, profiles: Iterable[Profile]) -> None:
    """Say when what is shown comes from a compile that `rollbuild compile` would refuse."""
    for profile in profiles:
        errors = sum(finding.severity is Severity.ERROR for finding in profile.findings)
        if errors:
            count = counted(errors, "error")
            console.say(f"compiling {profile.name} finds {count}; `rollbuild check` shows them")
