"""roll.yaml: every key, read with the place of each fault."""

import datetime
import os
import re
from pathlib import Path
from typing import Any

from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.files import read_limited
from rollbuild.findings import Finding
from rollbuild.language import YamlMapping, YamlNode, YamlScalar, YamlSequence, did_you_mean, read_yaml
from rollbuild.location import Location
from rollbuild.releases import RELEASES
from rollbuild.rolls.identity import Requirement, RollId, is_roll_name, parse_requirement

ROLL_YAML = "roll.yaml"
MANIFEST_MODES = ("strict", "warn", "off")
_LIMIT = 1024 * 1024
_ARCHES = ("x86_64", "aarch64", "ppc64le", "s390x", "i386", "noarch")
_ITEM = re.compile(r"[^\s,/\0]+\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LAST_YEAR = 2105
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})\Z")


def color_of(text: str) -> str:
    """A colour's name as it may stand in XML; empty for what is none."""
    return text if text.isalnum() and text.isascii() else ""


def read_roll_yaml(file: Path, own_name: str) -> tuple[dict[str, Any], bool]:
    """The values of a roll.yaml by key, with a name (`own_name` where it says none), and whether it says its name.

    Texts are as written, so that `version: 1.10` stays that. Raises RollbuildError: FindingsError with every fault at
    its line and column, REFUSED for what is no YAML, DISK when the file cannot be read.
    """
    shown = os.fspath(file)
    try:
        text = read_limited(file, _LIMIT).decode("utf-8")
    except UnicodeDecodeError:
        raise RollbuildError("this file is not UTF-8", location=Location(shown), hint="save it as UTF-8") from None
    content = read_yaml(text, shown)
    if isinstance(content, YamlScalar) and content.null:
        content = YamlMapping((), Location(shown, 1, 1))
    if not isinstance(content, YamlMapping):
        raise RollbuildError(
            "a roll.yaml is a list of KEY: VALUE lines", location=content.location, hint="such as `name: example`"
        )
    reader = _Reader()
    values: dict[str, Any] = {}
    for key, value in content.items:
        if key.text not in _KEYS:
            hint = did_you_mean(key.text, _KEYS) or f"there are: {', '.join(_KEYS)}"
            reader.refuse(f"a roll.yaml has no key {key.text}", key.location, hint)
        elif not (isinstance(value, YamlScalar) and value.null):
            with reader:
                values[key.text] = _KEYS[key.text](reader, key.text, value)
    is_named = any(key.text == "name" for key, _ in content.items)
    if not is_named:
        with reader:
            values["name"] = _read_name(reader, "name", YamlScalar(own_name, Location(shown, 1)))
    reader.finish()
    return values, is_named


class _Reader:
    """Collects every fault before it fails: each block under `with` may be refused without ending the rest."""

    def __init__(self) -> None:
        self.faults: list[Finding] = []

    def refuse(self, message: str, place: Location, hint: str = "") -> None:
        self.faults.append(RollbuildError(message, location=place, hint=hint).as_finding())

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> bool:
        if isinstance(problem, RollbuildError):
            self.faults.append(problem.as_finding())
            return True
        return False

    def finish(self) -> None:
        if self.faults:
            raise FindingsError(self.faults)

    def text(self, key: str, node: YamlNode) -> str:
        if not isinstance(node, YamlScalar):
            raise RollbuildError(f"{key} is one text", location=node.location, hint=f"write it as in: {key}: TEXT")
        return node.text

    def items(self, key: str, node: YamlNode) -> tuple[YamlScalar, ...]:
        """A list of texts; one text alone is a list of one."""
        nodes = node.items if isinstance(node, YamlSequence) else (node,)
        for item in nodes:
            if not isinstance(item, YamlScalar) or item.null:
                raise RollbuildError(f"{key} is a list of names", location=item.location, hint=f"as in: {key}: [a, b]")
        return tuple(item for item in nodes if isinstance(item, YamlScalar))


def _read_plain(reader: _Reader, key: str, node: YamlNode) -> str:
    text = reader.text(key, node).strip()
    if found := _UNPRINTABLE.search(text):
        hint = "only line breaks and tabs are allowed"
        raise RollbuildError(f"{key} has the control character {found[0]!r}", location=node.location, hint=hint)
    return text


def _read_name(reader: _Reader, key: str, node: YamlNode) -> str:
    name = reader.text(key, node)
    if not is_roll_name(name):
        hint = "lower-case letters, digits and . _ - are allowed, first a letter or a digit"
        raise RollbuildError(f"{name!r} is no name of a roll", location=node.location, hint=hint)
    return name


def _read_version(reader: _Reader, key: str, node: YamlNode) -> str:
    text = reader.text(key, node)
    try:
        RollId("roll", text, text, "noarch")
    except RollbuildError:
        hint = "letters, digits and . _ ~ ^ + are allowed, no dash, first a letter or a digit"
        raise RollbuildError(f"{text!r} is no {key} of a roll", location=node.location, hint=hint) from None
    return text


def _read_priority(reader: _Reader, key: str, node: YamlNode) -> int:
    text = reader.text(key, node)
    if not re.match(r"-?\d{1,6}\Z", text):
        raise RollbuildError(f"priority is a whole number, not {text!r}", location=node.location)
    return int(text)


def _read_date(reader: _Reader, key: str, node: YamlNode) -> int:
    text = reader.text(key, node)
    match = _DATE.match(text)
    if not match:
        hint = "as in: date: 2026-01-31"
        raise RollbuildError(f"{text!r} is no date of the form YYYY-MM-DD", location=node.location, hint=hint)
    try:
        moment = datetime.datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=datetime.UTC)
    except ValueError:
        raise RollbuildError(f"there is no day {text}", location=node.location) from None
    if not 0 <= moment.timestamp() < 1 << 32:
        raise RollbuildError(
            f"a date lies between 1970 and {_LAST_YEAR}, as images cannot hold others", location=node.location
        )
    return int(moment.timestamp())


def _read_one_of(known: tuple[str, ...], what: str, item: YamlScalar) -> str:
    if item.text not in known:
        hint = did_you_mean(item.text, known) or f"there are: {', '.join(known)}"
        raise RollbuildError(f"there is no {what} {item.text}", location=item.location, hint=hint)
    return item.text


def _read_releases(reader: _Reader, key: str, node: YamlNode) -> tuple[str, ...]:
    return tuple(_read_one_of(RELEASES, "release", item) for item in reader.items(key, node))


def _read_arch(reader: _Reader, key: str, node: YamlNode) -> tuple[str, ...]:
    return tuple(_read_one_of(_ARCHES, "architecture", item) for item in reader.items(key, node))


def _read_manifest_mode(reader: _Reader, key: str, node: YamlNode) -> str:
    return _read_one_of(
        MANIFEST_MODES, "way to hold to the manifest", YamlScalar(reader.text(key, node), node.location)
    )


def _read_requirements(reader: _Reader, key: str, node: YamlNode) -> tuple[Requirement, ...]:
    read = []
    for item in reader.items(key, node):
        try:
            read.append(parse_requirement(item.text))
        except RollbuildError as problem:
            reader.refuse(problem.message, item.location, problem.hint)
    return tuple(read)


def _read_packages(reader: _Reader, key: str, node: YamlNode) -> tuple[str, ...]:
    for item in reader.items(key, node):
        if not _ITEM.match(item.text):
            hint = "write the name alone, as in: packages: [lmod, munge]"
            raise RollbuildError(f"{item.text!r} is no name of a package", location=item.location, hint=hint)
    return tuple(dict.fromkeys(item.text for item in reader.items(key, node)))


def _read_color(reader: _Reader, key: str, node: YamlNode) -> str:
    text = reader.text(key, node)
    if not color_of(text):
        raise RollbuildError(f"{text!r} is no name of a colour", location=node.location, hint="as in: color: steelblue")
    return text


def _read_packages_from(reader: _Reader, key: str, node: YamlNode) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(node, YamlMapping):
        hint = "write it as in: packages_from: {EPEL: [slurm, munge]}"
        raise RollbuildError("packages_from lists names of packages by their source", location=node.location, hint=hint)
    return tuple((name.text, tuple(item.text for item in reader.items(key, value))) for name, value in node.items)


_KEYS = {
    "name": _read_name,
    "version": _read_version,
    "release": _read_version,
    "summary": _read_plain,
    "description": _read_plain,
    "releases": _read_releases,
    "arch": _read_arch,
    "requires": _read_requirements,
    "conflicts": _read_requirements,
    "priority": _read_priority,
    "packages_from": _read_packages_from,
    "packages": _read_packages,
    "date": _read_date,
    "manifest": _read_manifest_mode,
    "color": _read_color,
}
