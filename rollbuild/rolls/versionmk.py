"""version.mk of rolls for Rocks 5-7: a makefile, of which only the plain assignments are read; nothing is run."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.location import Location

VERSION_MK = "version.mk"
_LIMIT = 1024 * 1024
_DEPTH = 4
_LONGEST = 4096
_ASSIGNMENT = re.compile(r"(?:export\s+|override\s+)?(?P<key>[^\s:=+?#$]+)\s*(?P<sign>::?|\?|\+)?=\s*(?P<value>.*)\Z")
_INCLUDE = re.compile(r"(?:-|s)?include\s+(?P<names>.+)\Z")
_REFERENCE = re.compile(r"\$(?:\((?P<round>[^()$\s]+)\)|\{(?P<curly>[^{}$\s]+)\}|(?P<letter>[A-Za-z]))")
_BLOCK = re.compile(r"(?:ifeq|ifneq|ifdef|ifndef)\b")


@dataclass(frozen=True, slots=True)
class Assigned:
    """A variable's text, with `$(...)` as written, and where it was set last."""

    text: str
    location: Location


def read_version_mk(folder: Path) -> Mapping[str, Assigned]:
    """The variables that version.mk of a roll's folder, and the files of the folder that it includes, set.

    Lines inside `ifeq` and the like, rules and commands are passed over. Raises RollbuildError when the file cannot
    be read.
    """
    found: dict[str, Assigned] = {}
    _read(folder, VERSION_MK, found, 1)
    return found


def expand(name: str, variables: Mapping[str, Assigned]) -> str:
    """A variable's value with the other variables in it replaced; empty where it is not set.

    Raises RollbuildError, at the line that sets it, for what only make could tell, such as `$(shell ...)`.
    """
    assigned = variables.get(name)
    return _expand(assigned.text, assigned.location, variables, (name,)) if assigned else ""


def _expand(text: str, place: Location, variables: Mapping[str, Assigned], within: tuple[str, ...]) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match["round"] or match["curly"] or match["letter"]
        known = variables.get(name)
        if known is None or name in within:
            raise RollbuildError(
                f"$({name}) in {within[0]} is known to make only",
                location=place,
                hint=f"write the value of {within[0]} out, or write a roll.yaml beside version.mk",
            )
        value = _expand(known.text, known.location, variables, (*within, name))
        if len(value) > _LONGEST:
            raise RollbuildError(f"{name} grows without end", location=place)
        return value

    expanded = _REFERENCE.sub(replace, text)
    if "$(" in _REFERENCE.sub("", text) or "${" in _REFERENCE.sub("", text):
        raise RollbuildError(
            f"{within[0]} is made by a function of make, which rollbuild does not run",
            location=place,
            hint=f"write the value of {within[0]} out, or write a roll.yaml beside version.mk",
        )
    return expanded.strip()


def _read(folder: Path, name: str, found: dict[str, Assigned], depth: int) -> None:
    file = folder / name
    text = read_limited(file, _LIMIT).decode("utf-8", "replace")
    blocks = 0
    number = 0
    lines = iter(text.splitlines())
    for line in lines:
        number += 1
        first = number
        while line.endswith("\\"):
            line = f"{line[:-1]} {next(lines, '').strip()}"
            number += 1
        is_command = line.startswith("\t")
        line = line.split("#", 1)[0].strip()
        if _BLOCK.match(line):
            blocks += 1
        elif line.startswith("endif"):
            blocks = max(blocks - 1, 0)
        elif blocks or not line:
            continue
        elif assignment := _ASSIGNMENT.match(line):
            _assign(assignment, Location(os.fspath(file), first), found)
        elif not is_command and (include := _INCLUDE.match(line)) and depth < _DEPTH:
            for other in include["names"].split():
                inside = "/" not in other and "$" not in other
                if inside and (folder / other).is_file() and not (folder / other).is_symlink():
                    _read(folder, other, found, depth + 1)


def _assign(assignment: re.Match[str], place: Location, found: dict[str, Assigned]) -> None:
    key, value = assignment["key"], assignment["value"].strip()
    before = found.get(key)
    if assignment["sign"] == "?" and before:
        return
    if assignment["sign"] == "+" and before:
        value = f"{before.text} {value}"
    found[key] = Assigned(value, place)
