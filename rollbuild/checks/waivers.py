"""Waivers: findings that a site knows of and accepts, each with its reason."""

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding, note
from rollbuild.location import Location

_KEYS = ("code", "file", "line", "match", "reason")
_LIMIT = 1024 * 1024
_SHAPE = "write a list of entries such as {code: DUP-COMMAND, file: 'nodes/*.xml', reason: WHY}"


@dataclass(frozen=True, slots=True)
class Waiver:
    """What it takes back: findings of a code, in files that match a glob, at a line, with a text in the message.

    `file`, `line` and `match` narrow it down where they are given ('' and 0: anything will do).
    """

    code: str
    reason: str
    location: Location
    file: str = ""
    line: int = 0
    match: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is one of those that it waives."""
        if finding.code != self.code or self.match not in finding.message:
            return False
        place = finding.location
        if self.line and (place is None or place.line != self.line):
            return False
        return not self.file or (place is not None and _matches(place.file, self.file))


def _matches(path: str, pattern: str) -> bool:
    """Whether a path, or its end from any folder on, is what a glob describes."""
    parts = Path(path).as_posix().split("/")
    return any(fnmatch.fnmatchcase("/".join(parts[start:]), pattern) for start in range(len(parts)))


def read_waivers(path: str | os.PathLike[str]) -> tuple[Waiver, ...]:
    """Read a waivers.yaml: a list of {code, file, line, match, reason}; code and reason are required.

    Raises RollbuildError with the place of what is wrong.
    """
    import yaml

    file = os.fspath(path)
    try:
        text = read_limited(file, _LIMIT).decode("utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise RollbuildError("not UTF-8 text", location=Location(file), hint="save it as UTF-8") from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place, hint=_SHAPE) from None
    except (yaml.YAMLError, RecursionError):
        raise RollbuildError("not valid YAML", location=Location(file), hint=_SHAPE) from None
    if root is None:
        return ()
    if not isinstance(root, yaml.SequenceNode):
        raise RollbuildError("waivers are a list", location=_place(root, file), hint=_SHAPE)
    return tuple(_read_entry(node, file) for node in root.value)


def _read_entry(node: Any, file: str) -> Waiver:
    import yaml

    place = _place(node, file)
    if not isinstance(node, yaml.MappingNode):
        raise RollbuildError("a waiver is a mapping", location=place, hint=_SHAPE)
    entry: dict[str, str] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value not in _KEYS:
            hint = f"a waiver has: {', '.join(_KEYS)}"
            raise RollbuildError(
                f"a waiver has no {getattr(key, 'value', 'such key')}", location=_place(key, file), hint=hint
            )
        if not isinstance(value, yaml.ScalarNode):
            raise RollbuildError(f"{key.value} is one text", location=_place(value, file), hint=_SHAPE)
        if key.value in entry:
            raise RollbuildError(f"{key.value} is given twice", location=_place(key, file))
        entry[key.value] = str(value.value)
    _require(entry, place)
    return Waiver(
        code=entry["code"],
        reason=entry["reason"].strip(),
        location=place,
        file=entry.get("file", ""),
        line=int(entry.get("line") or 0),
        match=entry.get("match", ""),
    )


def _require(entry: Mapping[str, str], place: Location) -> None:
    if not entry.get("code", "").strip():
        raise RollbuildError("this waiver names no code", location=place, hint=_SHAPE)
    if not entry.get("reason", "").strip():
        hint = "say why the finding is accepted: reason: ..."
        raise RollbuildError(f"this waiver of {entry['code']} has no reason", location=place, hint=hint)
    line = entry.get("line") or "0"
    if not (line.isascii() and line.isdecimal()):
        raise RollbuildError(f"line is a number, not {line}", location=place)


def _place(node: Any, file: str) -> Location:
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


def apply_waivers(
    findings: Iterable[Finding], waivers: Sequence[Waiver]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The findings that are left and those that were waived; a waiver without use becomes a note."""
    kept: list[Finding] = []
    waived: list[Finding] = []
    used: set[int] = set()
    for finding in findings:
        covering = [index for index, waiver in enumerate(waivers) if waiver.covers(finding)]
        used.update(covering)
        (waived if covering else kept).append(finding)
    for index, waiver in enumerate(waivers):
        if index not in used:
            message = f"this waiver of {waiver.code} waives nothing"
            kept.append(note("WAIVER-UNUSED", message, waiver.location, "remove it"))
    return tuple(kept), tuple(waived)
