"""The hosts file: many hosts for one compile, as YAML or CSV."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import check_name
from rollbuild.location import Location

FILE_LIMIT = 256 * 1024 * 1024
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
_KEYS = ("name", "appliance", "attributes")


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One host of the file; `appliance` is empty where the file names none."""

    name: str
    appliance: str
    attributes: dict[str, str]
    location: Location


def read_hosts(path: str) -> tuple[HostEntry, ...]:
    """The hosts of a `.csv` file (a header with name, appliance and one column an attribute) or a YAML file.

    YAML: `hosts:`, a list of `{name, appliance, attributes: {...}}`. Values are texts as they are written.
    Raises RollbuildError for anything else, and for a host that is named twice.
    """
    text = _decode(read_limited(path, FILE_LIMIT), path)
    entries = tuple(_read_csv(text, path) if path.lower().endswith(".csv") else _read_yaml(text, path))
    if not entries:
        raise RollbuildError("this file names no host", location=Location(path), hint="hosts: [{name: compute-0-0}]")
    seen: dict[str, HostEntry] = {}
    for entry in entries:
        if not _HOST_NAME.match(entry.name):
            raise RollbuildError(
                f'"{entry.name}" is not a host name' if entry.name else "a host without a name",
                location=entry.location,
                hint="letters, digits, dots and dashes, first a letter or digit",
            )
        if entry.name in seen:
            first = seen[entry.name].location.line
            raise RollbuildError(f"host {entry.name} is named twice, first in line {first}", location=entry.location)
        seen[entry.name] = entry
    return entries


def _decode(data: bytes, path: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise RollbuildError("this file is not UTF-8", location=Location(path, line)) from None
    if "\x00" in text:
        raise RollbuildError("this file holds binary data", location=Location(path))
    return text


def _read_csv(text: str, path: str) -> Iterator[HostEntry]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if "name" not in header:
            raise RollbuildError("the header has no column `name`", location=Location(path, 1))
        for name in header:
            if name:
                check_name(name, Location(path, 1))
        if len(set(header)) < len(header) or "" in header:
            raise RollbuildError("every column needs a name of its own", location=Location(path, 1))
        for row in reader:
            if not any(row):
                continue
            place = Location(path, reader.line_num)
            if len(row) != len(header):
                raise RollbuildError(f"{len(row)} columns, the header has {len(header)}", location=place)
            values = dict(zip(header, row, strict=True))
            name, appliance = values.pop("name").strip(), values.pop("appliance", "").strip()
            yield HostEntry(name, appliance, {key: value for key, value in values.items() if value}, place)
    except csv.Error as problem:
        raise RollbuildError(f"not valid CSV: {problem}", location=Location(path, reader.line_num)) from None


def _read_yaml(text: str, path: str) -> Iterator[HostEntry]:
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # The base loader leaves every value the text that it is: 007 stays 007, yes stays yes.
        events = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
        raise RollbuildError(f"not valid YAML: {problem.problem}", location=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise RollbuildError(f"not valid YAML: {problem}", location=Location(path)) from None
    top = _mapping(events, path, "a hosts file is `hosts:` and a list below")
    hosts = top.pop("hosts", None)
    if hosts is None or top or not isinstance(hosts, yaml.SequenceNode):
        raise RollbuildError("a hosts file is `hosts:` and a list below", location=Location(path, 1))
    for node in hosts.value:
        place = Location(path, node.start_mark.line + 1, node.start_mark.column + 1)
        entry = _mapping(node, path, "a host is a mapping: {name: compute-0-0, appliance: compute}")
        for key in entry.keys() - set(_KEYS):
            hint = f"attributes belong below `attributes:`; known here: {', '.join(_KEYS)}"
            raise RollbuildError(f"a host has no {key}", location=place, hint=hint)
        own = _mapping(entry["attributes"], path, "attributes are a mapping") if "attributes" in entry else {}
        for key in own:
            check_name(key, place)
        attributes = {key: _text(value, path, key) for key, value in own.items()}
        name = _text(entry["name"], path, "name") if "name" in entry else ""
        appliance = _text(entry["appliance"], path, "appliance") if "appliance" in entry else ""
        yield HostEntry(name, appliance, attributes, place)


def _mapping(node: object, path: str, shape: str) -> dict[str, object]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        place = Location(path, node.start_mark.line + 1) if isinstance(node, yaml.Node) else Location(path, 1)
        raise RollbuildError(shape, location=place)
    found: dict[str, object] = {}
    for key, value in node.value:
        name = _text(key, path, "key")
        if name in found:
            raise RollbuildError(f"{name} stands here twice", location=Location(path, key.start_mark.line + 1))
        found[name] = value
    return found


def _text(node: object, path: str, name: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        place = Location(path, node.start_mark.line + 1) if isinstance(node, yaml.Node) else Location(path)
        raise RollbuildError(f"{name} is one text, not a list or mapping", location=place)
    return str(node.value)
