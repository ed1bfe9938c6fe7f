"""Files that a cluster is exchanged by: YAML with all of it, CSV with one host a row."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollbuild.cluster.attributes import find_primary_interfaces
from rollbuild.cluster.state import State
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import YamlMapping, YamlNode, YamlScalar, YamlSequence, read_yaml
from rollbuild.location import Location

FILE_LIMIT = 256 * 1024 * 1024
AUTO = "auto"
"""Written as an address: the next free one of the network, from its highest downward."""

HOST_COLUMNS = ("name", "appliance", "rack", "rank", "cpus", "arch", "os", "boot_action", "comment")
INTERFACE_COLUMNS = ("device", "mac", "address", "network")
COLUMNS = ("name", "appliance", "rack", "rank", "mac", "address", "device", "network", "boot_action")
_OTHER_NAMES = {"ksmac": "mac", "hostaddr": "address", "ip": "address", "subnet": "network", "membership": "appliance"}
_WIDTH = 160


@dataclass(frozen=True, slots=True)
class ImportData:
    """What a file says. `is_table`: of each host it says a part only, as a row of CSV does."""

    tree: YamlNode
    is_table: bool = False


def read_cluster_file(path: str | os.PathLike[str]) -> ImportData:
    """Read `.csv` (a header, then one host a row) or YAML. Raises RollbuildError at FILE:LINE."""
    file = os.fspath(path)
    data = read_limited(file, FILE_LIMIT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        place = Location(file, data.count(b"\n", 0, problem.start) + 1)
        raise RollbuildError("this is not UTF-8 text", location=place, hint="save the file as UTF-8") from None
    if file.lower().endswith(".csv"):
        return ImportData(read_table(text, file), is_table=True)
    return ImportData(read_yaml(text, file))


def as_tree(data: Any, place: Location | None = None) -> YamlNode:
    """Plain values, as `export_cluster` gives them, in the form that files are read into."""
    place = place or Location("data")
    match data:
        case dict():
            entries = ((YamlScalar(str(key), place), as_tree(value, place)) for key, value in data.items())
            return YamlMapping(tuple(entries), place)
        case list() | tuple():
            return YamlSequence(tuple(as_tree(item, place) for item in data), place)
        case bool():
            return YamlScalar("yes" if data else "no", place)
        case None:
            return YamlScalar("", place, null=True)
    return YamlScalar(str(data), place)


def read_table(text: str, file: str) -> YamlNode:
    """Rows of CSV as the hosts of a tree: an empty cell says nothing. Raises RollbuildError at FILE:LINE.

    Columns are HOST_COLUMNS and those of one interface, INTERFACE_COLUMNS; every other one is an attribute.
    """
    if "\0" in text:
        raise RollbuildError("this file holds binary data", location=Location(file))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    hosts = []
    try:
        header = _read_header(next(reader, []), file)
        start = reader.line_num + 1
        for row in reader:
            place, start = Location(file, start), reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                message = f"this row has {len(row)} columns, and the header {len(header)}"
                raise RollbuildError(message, location=place, hint="put a value that has a comma in double quotes")
            hosts.append(_read_row(dict(zip(header, row, strict=True)), place))
    except csv.Error as problem:
        raise RollbuildError(f"not valid CSV: {problem}", location=Location(file, reader.line_num)) from None
    place = Location(file, 1)
    return YamlMapping(((YamlScalar("hosts", place), YamlSequence(tuple(hosts), place)),), place)


def _read_header(cells: Sequence[str], file: str) -> list[str]:
    place = Location(file, 1)
    header = [_OTHER_NAMES.get(cell.strip(), cell.strip()) for cell in cells]
    if "name" not in header:
        raise RollbuildError("the header has no column `name`", location=place, hint=f"it begins {','.join(COLUMNS)}")
    if "" in header:
        raise RollbuildError("a column of the header has no name", location=place)
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise RollbuildError(f"two columns are called {twice[0]}", location=place)
    return header


def _read_row(cells: Mapping[str, str], place: Location) -> YamlNode:
    host: list[tuple[YamlScalar, YamlNode]] = []
    interface: list[tuple[YamlScalar, YamlNode]] = []
    attributes: list[tuple[YamlScalar, YamlNode]] = []
    for name, cell in cells.items():
        is_own = name in HOST_COLUMNS or name in INTERFACE_COLUMNS
        value = cell.strip() if is_own else cell
        if value:
            into = host if name in HOST_COLUMNS else interface if is_own else attributes
            into.append((YamlScalar(name, place), YamlScalar(value, place)))
    if interface:
        only = YamlSequence((YamlMapping(tuple(interface), place),), place)
        host.append((YamlScalar("interfaces", place), only))
    if attributes:
        host.append((YamlScalar("attributes", place), YamlMapping(tuple(attributes), place)))
    return YamlMapping(tuple(host), place)


def write_table(state: State) -> str:
    """All hosts as CSV, with their primary interface (else their first) and a column for each attribute of a host.

    An empty value of an attribute and further interfaces have no place in it.
    """
    primary = find_primary_interfaces(state.interfaces.values())
    for (name, _), interface in state.interfaces.items():
        primary.setdefault(name, interface)
    own: dict[str, dict[str, str]] = {}
    for (scope, key, name), value in state.attributes.items():
        if scope == "host":
            own.setdefault(key, {})[name] = value
    # An attribute that is called like a column would be read as that.
    names = sorted(
        {name for values in own.values() for name in values} - {*HOST_COLUMNS, *INTERFACE_COLUMNS, *_OTHER_NAMES}
    )
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow((*COLUMNS, *names))
    for host in state.hosts.values():
        one = primary.get(host.name)
        shown = (one.mac, one.address, one.device, one.network) if one else ("", "", "", "")
        values = (own.get(host.name, {}).get(name, "") for name in names)
        rows.writerow((host.name, host.appliance, host.rack, host.rank, *shown, host.boot_action, *values))
    return text.getvalue()


def write_yaml(data: Mapping[str, Any]) -> str:
    """`export_cluster`'s values as YAML that reads back the same: small groups on one line each."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: object) -> bool:
            return True

    return str(
        yaml.dump(dict(data), Dumper=Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=_WIDTH)
    )
