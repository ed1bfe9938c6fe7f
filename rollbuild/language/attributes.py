"""Attributes: scoped values, the files they are read from, and what one host sees of them."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from rollbuild.errors import REFUSED, USAGE, RollbuildError
from rollbuild.files import read_limited
from rollbuild.language import plain_yaml as tree
from rollbuild.location import Location

DEFAULT = "default"
GLOBAL = "global"
COMMAND_LINE = "command line"
SCOPES = (DEFAULT, GLOBAL, "os", "appliance", "rack", "host", COMMAND_LINE)
"""From low to high: a value of a later scope hides those of earlier ones."""

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_VALUE_BYTES = 1024 * 1024

_SELECTED = ("os", "appliance", "rack", "host")
_ENTITY_NAME = re.compile(r"[^\W\d][\w.-]*")
_QUOTING = re.compile(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_NO_LIST = "an attribute is one text: write the items in it, separated by blanks or commas"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value, where it was written (None: not in a file), and its scope (one of SCOPES)."""

    value: str
    location: Location | None
    scope: str


Layer = tuple[str, str]
"""A scope, and which os, appliance, rack or host it is for ('' in the scopes that are for all)."""


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """Attributes in all scopes. Never changed after it was made; `merge` makes a new one."""

    layers: Mapping[Layer, Mapping[str, Attribute]] = field(default_factory=dict)
    _texts: dict[Layer, dict[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        texts = {
            layer: {name: attribute.value for name, attribute in attributes.items()}
            for layer, attributes in self.layers.items()
        }
        object.__setattr__(self, "_texts", texts)

    @classmethod
    def of(
        cls, scope: str, values: Mapping[str, str], *, key: str = "", location: Location | None = None
    ) -> "AttributeSet":
        """A set of one scope; `key` names the os, appliance, rack or host where the scope is one of these.

        Raises RollbuildError for a name or value that no attribute can have.
        """
        for name, value in values.items():
            check_name(name, location)
            check_value(name, value, location)
        return cls({(scope, key): {name: Attribute(value, location, scope) for name, value in values.items()}})

    def merge(self, other: "AttributeSet") -> "AttributeSet":
        """Both together; within the same scope `other` wins."""
        layers = {layer: dict(attributes) for layer, attributes in self.layers.items()}
        for layer, attributes in other.layers.items():
            layers.setdefault(layer, {}).update(attributes)
        return AttributeSet(layers)

    def resolve(self, *, os: str, appliance: str, rack: str, host: str) -> dict[str, Attribute]:
        """What holds for one host: of each name the value of the highest scope."""
        found: dict[str, Attribute] = {}
        for layer in _layers_for(os, appliance, rack, host):
            found.update(self.layers.get(layer, {}))
        return found

    def resolve_texts(self, *, os: str, appliance: str, rack: str, host: str) -> dict[str, str]:
        """The same as `resolve`, plain values only; cheap enough for many thousands of hosts."""
        found: dict[str, str] = {}
        for layer in _layers_for(os, appliance, rack, host):
            texts = self._texts.get(layer)
            if texts:
                found.update(texts)
        return found

    def keys_of(self, scope: str) -> tuple[str, ...]:
        """The oses, appliances, racks or hosts that have attributes of their own, sorted."""
        return tuple(sorted(key for layer_scope, key in self.layers if layer_scope == scope))


def _layers_for(os: str, appliance: str, rack: str, host: str) -> tuple[Layer, ...]:
    return (
        (DEFAULT, ""),
        (GLOBAL, ""),
        ("os", os),
        ("appliance", appliance),
        ("rack", rack),
        ("host", host),
        (COMMAND_LINE, ""),
    )


def complete(
    values: Mapping[str, str],
    *,
    root: str,
    appliance: str,
    membership: str,
    hostname: str,
    os_release: str,
    graph: str,
) -> dict[str, str]:
    """A host's attributes with those that every host has (format.md A1).

    `root`, `os_release` (such as `el9`) and `os_version_major` always tell what is compiled; the others are
    filled in where they are missing.
    """
    completed = {
        "os": "linux",
        "arch": "x86_64",
        "release": os_release,
        "hostname": hostname,
        "appliance": appliance,
        "membership": membership,
        "rack": "0",
        "rank": "0",
        "graph": graph,
        "distribution": "rollbuild",
        **values,
        "root": root,
        "os_release": os_release,
        "os_version_major": os_release.removeprefix("el").partition(".")[0],
    }
    if "rocks_version" in values:
        completed.setdefault("version", values["rocks_version"])
        completed.setdefault("rocks_version_major", values["rocks_version"].partition(".")[0])
    return completed


def is_entity_name(name: str) -> bool:
    """Whether `&name;` can refer to an attribute of this name; otherwise only conditions can see it."""
    return bool(_ENTITY_NAME.fullmatch(name)) and name not in _XML_ENTITIES


def shell_risk(value: str) -> bool:
    """Whether a shell script that this value is pasted into would run some of it, or lose its quoting."""
    if "$(" in value or "`" in value or "\n" in value:
        return True
    unquoted = _QUOTING.sub("", value)
    return "'" in unquoted or '"' in unquoted or "\\" in unquoted


def parse_assignment(text: str) -> tuple[str, str]:
    """Name and value of a `KEY=VALUE` of the command line; the value may be empty and may hold `=`.

    Raises RollbuildError (USAGE).
    """
    name, equals, value = text.partition("=")
    if not equals:
        hint = f"write `{name}=VALUE`, for example `-A rocks_version_major=7`"
        raise RollbuildError(f"`{text}` is no KEY=VALUE", hint=hint, exit_code=USAGE)
    check_name(name, exit_code=USAGE)
    check_value(name, value, exit_code=USAGE)
    return name, value


def check_name(name: str, location: Location | None = None, *, exit_code: int = REFUSED) -> None:
    """Raises RollbuildError unless an attribute can have this name: not empty, no blanks, printable."""
    if not name:
        hint = "write a name before the value"
        raise RollbuildError("an attribute has no name", location=location, hint=hint, exit_code=exit_code)
    if not name.isprintable() or " " in name:
        raise RollbuildError(
            f'"{ascii(name[:80])[1:-1]}" cannot be the name of an attribute',
            location=location,
            hint="use letters, digits and `_`; no blanks and no control characters",
            exit_code=exit_code,
        )


def check_value(name: str, value: str, location: Location | None = None, *, exit_code: int = REFUSED) -> None:
    """Raises RollbuildError unless an attribute can have this value: text without NUL, at most 1 MiB."""
    problem = ""
    if "\0" in value:
        problem = "holds a NUL character"
    else:
        try:
            if len(value) > MAX_VALUE_BYTES or len(value.encode()) > MAX_VALUE_BYTES:
                problem = f"is longer than {MAX_VALUE_BYTES:,} bytes"
        except UnicodeEncodeError:
            problem = "is not valid Unicode text"
    if problem:
        raise RollbuildError(
            f"the value of `{name}` {problem}",
            location=location,
            hint="attributes are short texts; put anything else into a file",
            exit_code=exit_code,
        )


def read_attributes(path: str | os.PathLike[str]) -> AttributeSet:
    """Read a site's attributes: YAML (.yaml, .yml), JSON (.json), else lines of Rocks' `key:value`.

    In YAML and JSON a mapping below `global`, `os`, `appliance`, `rack` or `host` is that scope; everything
    else is global. A file whose name tells nothing may hold any of the three. Raises RollbuildError.
    """
    file = os.fspath(path)
    text = read_text(file)
    suffix = os.path.splitext(file)[1].lower()
    known = suffix in (".yaml", ".yml", ".json", ".attrs")
    form = suffix if known else _guess_form(text)
    if form in (".yaml", ".yml"):
        return _from_tree(tree.read_yaml(text, file))
    if form == ".json":
        return _from_tree(tree.read_json(text, file))
    attributes = _read_lines(text, file)
    if not attributes and text.strip() and not known:
        hint = "name it .yaml, .json, or .attrs (lines of `key: value`)"
        raise RollbuildError("no attributes were found in this file", location=Location(file), hint=hint)
    return AttributeSet({(GLOBAL, ""): attributes})


def read_text(file: str) -> str:
    """The text of a UTF-8 file of at most 4 MiB, without a byte order mark. Raises RollbuildError."""
    data = read_limited(file, MAX_FILE_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RollbuildError("not UTF-8 text", location=Location(file, line), hint="save the file as UTF-8") from None


def _guess_form(text: str) -> str:
    if text.lstrip().startswith("{"):
        return ".json"
    scopes = "|".join((GLOBAL, *_SELECTED))
    if re.search(rf"\A(?:%YAML|---\s)|^(?:{scopes}):[ \t]*(?:\{{|(?:#.*)?\r?\n[ \t]+\S)", text, re.MULTILINE):
        return ".yaml"
    return ".attrs"


def _read_lines(text: str, file: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if colon and not name.startswith("#"):
            _add(attributes, name, value, Location(file, number, 1), GLOBAL)
    return attributes


def _from_tree(document: tree.Node) -> AttributeSet:
    layers: dict[Layer, dict[str, Attribute]] = {(GLOBAL, ""): {}}
    everywhere = layers[GLOBAL, ""]
    for key, node in entries(document, "the file must be a mapping from names to values"):
        if key.text == GLOBAL and _is_scope(node):
            _add_all(everywhere, node, GLOBAL)
        elif key.text in _SELECTED and _is_scope(node):
            for selector, values in entries(node, f"write the names below `{key.text}`"):
                check_name(selector.text, selector.location)
                layer = layers.setdefault((key.text, selector.text), {})
                _add_all(layer, values, key.text)
        else:
            _add_node(everywhere, key, node, GLOBAL)
    return AttributeSet(layers)


def _is_scope(node: tree.Node) -> bool:
    # `host:` with nothing below it is an empty scope, not an attribute called host.
    return isinstance(node, tree.Mapping) or (isinstance(node, tree.Scalar) and node.null)


def entries(node: tree.Node, hint: str) -> Iterable[tuple[tree.Scalar, tree.Node]]:
    """The entries of a mapping; nothing at all counts as an empty one. Raises RollbuildError."""
    if isinstance(node, tree.Mapping):
        return node.items
    if isinstance(node, tree.Scalar) and node.null:
        return ()
    raise RollbuildError("a mapping is needed here", location=node.location, hint=hint)


def _add_all(attributes: dict[str, Attribute], node: tree.Node, scope: str) -> None:
    for key, value in entries(node, "write attributes as `name: value`"):
        _add_node(attributes, key, value, scope)


def _add_node(attributes: dict[str, Attribute], key: tree.Scalar, node: tree.Node, scope: str) -> None:
    if not isinstance(node, tree.Scalar):
        _refuse_shape(key, node)
    _add(attributes, key.text, node.text, key.location, scope)


def _refuse_shape(key: tree.Scalar, node: tree.Node) -> NoReturn:
    if isinstance(node, tree.Sequence):
        raise RollbuildError(f"the value of `{key.text}` is a list", location=node.location, hint=_NO_LIST)
    hint = f"scopes are {', '.join((GLOBAL, *_SELECTED))}; every other value is one text"
    raise RollbuildError(f"the value of `{key.text}` is a mapping", location=node.location, hint=hint)


def _add(attributes: dict[str, Attribute], name: str, value: str, location: Location, scope: str) -> None:
    check_name(name, location)
    check_value(name, value, location)
    if name in attributes:
        message = f"attribute `{name}` is given twice, first at {attributes[name].location}"
        raise RollbuildError(message, location=location, hint="leave one of the two out")
    attributes[name] = Attribute(value, location, scope)
